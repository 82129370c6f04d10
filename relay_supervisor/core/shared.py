"""What all rooms of the core share: the plain state, the deadlines, the way out, the catalogue."""

from typing import TYPE_CHECKING

from relay_supervisor.core.generation import GONE
from relay_supervisor.core.outbox import Outbox
from relay_supervisor.core.processes import Processes
from relay_supervisor.core.workers import Workers
from relay_supervisor.wire import v1

if TYPE_CHECKING:  # it knows the rooms, which know this
    from relay_supervisor.core.memory import Memory


class Shared:
    """One of each; made by `Relay`, handed to every room."""

    __slots__ = ("memory", "out", "processes", "registry", "state", "timers", "workers")

    def __init__(self, memory: "Memory") -> None:
        """A room keeps nothing that is not in *memory* or follows from it: it is what is left when
        the code is replaced.
        """
        self.memory = memory
        self.out = Outbox()
        self.timers = memory.timers
        self.state = memory.state
        self.registry = memory.registry
        self.processes = Processes(memory.processes, self.timers, self.out)
        self.workers = Workers(memory.identity, memory.workers, self.timers, self.out)

    def tell_workers(self, message: v1.Message, payload: bytes = b"", *, but: int = 0) -> None:
        """Send every generation that knows the client what has changed about it, *but* the one that
        knows already. A later one gets it replayed.
        """
        for generation in self.workers.state.generations.values():
            knows = generation.offer.configured and generation.state not in GONE
            if knows and generation.number != but:
                self.out.worker(generation.number, message, payload)
