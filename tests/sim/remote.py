"""A server behind HTTP, with which every worker speaks by itself: no process, nothing to hand over.

A call stays with the worker that has made it, and one that is killed leaves it in doubt from before
its first byte is out. The workers share a session and the links that were seen; of those that share
it one hears what the server says by itself.
"""

from typing import TYPE_CHECKING

from relay_supervisor.core.generation import GONE
from relay_supervisor.wire import v1
from relay_supervisor.wire.ledger import Stage
from tests.sim.model import Sent, Worker, must
from tests.sim.setup import WEB

if TYPE_CHECKING:
    from tests.sim.keeper import Keeper
    from tests.sim.world import World

URIS = ("web:/a", "web:/b", "web:/c")


class Remote:
    """What the workers of a world have said of it, and know."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._sessions: list[bytes] = []

    # ---- what workers say -------------------------------------------------------------------

    def begins_session(self, worker: Worker) -> None:
        """A worker has a session of its own."""
        self._sessions.append(b"session %d" % len(self._sessions))
        self._world.frame(worker, v1.LearnedSession(WEB, ""), self._sessions[-1])

    def sees_link(self, worker: Worker) -> None:
        """A worker passes a link on that nobody lists."""
        uri = self._world.dice.pick(URIS)
        worker.links[uri] = WEB
        self._world.frame(worker, v1.LearnedLinks(WEB, [uri]))

    # ---- what they are told -----------------------------------------------------------------

    def attend(self, worker: Worker, message: v1.Attend, payload: bytes) -> None:
        """One is told whether it is to hear what the server says by itself."""
        must(worker.attends != message.attend, "{} once more to {}", message, worker)
        worker.attends = message.attend

    def session(self, worker: Worker, message: v1.KnownSession, payload: bytes) -> None:
        """One is told of the session there is."""
        must(payload in self._sessions, "{}, which nobody has", payload)

    def links(self, worker: Worker, message: v1.KnownLinks, payload: bytes) -> None:
        """One is told whose links are."""
        worker.links |= dict.fromkeys(message.uris, message.backend)

    # ---- what has to hold -------------------------------------------------------------------

    def check(self) -> None:
        """Whoever serves hears the server, and nobody else does."""
        active = self._world.relay.shared.workers.active()
        for generation in self._world.relay.shared.workers.state.generations.values():
            worker = self._world.workers[generation.number]
            if active is not None and worker.introduced and generation.state not in GONE:
                must(worker.attends == (generation is active), "{} serves: {}", active, worker)

    def knows_links(self, worker: Worker) -> None:
        """Whoever gets a call knows all links that were seen."""
        known = self._world.relay.shared.registry.links
        must(worker.links == known, "{} knows {} of {}", worker, worker.links, known)


class Line:
    """A worker's calls at the server."""

    def __init__(self, keeper: "Keeper") -> None:
        self._keeper = keeper
        self.calls: dict[int, Sent] = {}
        self._ran: set[int] = set()

    def step(self) -> bool:
        """Get further with one of them; False where there is none."""
        if not self.calls:
            return False
        keeper = self._keeper
        number = keeper.world.dice.pick(self.calls)
        sent = self.calls[number]
        if keeper.ledger[number] == Stage.RECEIVED:
            keeper.ledger[number] = Stage.WRITING
        elif number not in self._ran:
            self._ran.add(number)
            keeper.world.note_run(sent.marker)
        elif keeper.ledger[number] == Stage.WRITING:
            keeper.ledger[number] = Stage.WRITTEN
        else:
            del self.calls[number]
            keeper.succeed(sent)
        return True

    def in_doubt(self, number: int, *, known: bool) -> bool:
        """Whether a call may have been carried out, by what its worker leaves in the ledger."""
        return not known or self._keeper.ledger[number] > Stage.RECEIVED
