"""What all rooms of the core share: the plain state, the deadlines, the way out, the catalogue."""

from relay_supervisor.core.generation import GONE
from relay_supervisor.core.outbox import Outbox
from relay_supervisor.core.processes import Processes
from relay_supervisor.core.registry import Registry
from relay_supervisor.core.state import State
from relay_supervisor.core.timers import Timers
from relay_supervisor.core.workers import Identity, Workers, WorkersState
from relay_supervisor.wire import v1


class Shared:
    """One of each; made by `Relay`, handed to every room."""

    __slots__ = ("out", "processes", "registry", "state", "timers", "workers")

    def __init__(self, identity: Identity, seed: int) -> None:
        self.out = Outbox()
        self.timers = Timers()
        self.state = State()
        self.registry = Registry()
        self.processes = Processes({}, self.timers, self.out)
        self.workers = Workers(identity, WorkersState(entropy=seed), self.timers, self.out)

    def tell_workers(self, message: v1.Message, payload: bytes = b"", *, but: int = 0) -> None:
        """Send every generation that knows the client what has changed about it, *but* the one that
        knows already. A later one gets it replayed.
        """
        for generation in self.workers.state.generations.values():
            knows = generation.offer.configured and generation.state not in GONE
            if knows and generation.number != but:
                self.out.worker(generation.number, message, payload)
