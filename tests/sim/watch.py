"""Holds each event against what was before it: who serves, and which tools there are.

`invariants` looks at one moment, this at the step from one to the next.
"""

from typing import TYPE_CHECKING, Any

from relay_supervisor.core import events
from relay_supervisor.core.gate import AWAITED, HEALTHY
from relay_supervisor.core.generation import GONE, Generation, Life
from relay_supervisor.core.swap_record import Swap
from relay_supervisor.wire import v1
from tests.sim.book import Book
from tests.sim.model import Worker, must
from tests.sim.server import Said, Server

if TYPE_CHECKING:
    from tests.sim.world import World


class Watch:
    """What is remembered from one event to the next."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.book = Book(world)
        self.active: Generation | None = None
        self.standby: int | None = None
        """Who served, and who stood by, before this event."""
        self.ending = False
        """Whether the end had begun before this event."""
        self._committed: Any = None
        self._limits: tuple[float, ...] = ()
        self._body: Any = None
        self._tools: frozenset[str] = frozenset()
        self.refused: set[tuple[str, str]] = set()
        """Pairs that were taken back, or that relayctl knows to have been."""
        self.served: dict[int, float] = {}
        """Since when, in seconds awake, each generation is the active one without a break."""
        self.answered: dict[int, tuple[int, int]] = {}
        """Calls that each generation has answered since then, and failures of its own."""
        self.drains: dict[int, float] = {}
        """Since when, in seconds awake, each generation drains."""
        self.drain_seconds_max = 600.0
        """The longest limit so far: each drain has the one that held at its beginning."""

    # ---- every event ------------------------------------------------------------------------

    def before(self) -> None:
        """An event is about to be handled."""
        relay = self._world.relay
        self.ending = relay.ending.pace is not None
        self.active = relay.shared.workers.active()
        lives = relay.shared.workers.state.generations.values()
        self.standby = next((g.number for g in lives if g.state is Life.STANDBY), None)
        self._committed = relay.recovery.state.committed
        self.book.commits = False

    def after(self, event: events.AnyEvent) -> None:
        """An event was handled, and what it caused is done."""
        relay = self._world.relay
        active = relay.shared.workers.active()
        if active is not None and active is not self.active:
            self._takes_over(active)
        if relay.recovery.state.committed is not self._committed:
            again = self._in_need() and active is not None and self._swap(active.number) is None
            must(self.book.commits or again, "{} is committed", relay.recovery.state.committed)
        registry = relay.shared.registry
        if registry.body is not None and registry.body is not self._body:
            tools = frozenset(entry.key for entry in registry.body.tools)
            if lost := self._tools - tools:
                self._may_lose(lost, event, active)
            self._body, self._tools = registry.body, tools

    def nothing_is_left_to_do(self) -> None:
        """Right after an event: where the core has not asked its rooms what they want to do, as it
        is calm, none of them wants to do anything.
        """
        relay = self._world.relay
        shared = relay.shared
        if shared.memory.calm and "heartbeat" in shared.timers.at:
            relay._follow_up(self._world.now)
            must(not (left := shared.out.take()), "it is calm, and {} are left to be done", left)

    def starts(self, number: int) -> None:
        """A worker is started: by a swap, or again."""
        generations = self._world.relay.shared.workers.state.generations
        warming, state = self._world.relay.swaps.warming, self._world.relay.recovery.state
        if warming is None or warming.new != number:
            source = generations[number].source
            known = source in (state.committed, *state.previous)
            must(known, "{} is started again, which nobody has committed", source)

    # ---- who serves -------------------------------------------------------------------------

    def _takes_over(self, active: Generation) -> None:
        """Another worker serves: is it one that may? In need it need not be ready."""
        longest = (*self._limits, self._world.core.limits.drain_max_seconds)
        self._limits, self.drain_seconds_max = longest, max(longest)
        self.served[active.number] = self._world.awake
        self.answered[active.number] = (0, 0)
        worker, swap = self._world.workers[active.number], self._swap(active.number)
        must(worker.phase == "configured", "{} serves", worker)
        if swap is not None:
            pair = (active.build, active.offer.config_digest)
            must(swap.force or pair not in self.refused, "{} failed before, and serves", pair)
            # With no client there is nothing it could lose.
            if not (self._in_need() or self._world.core.peer.era is None):
                must(worker.ready, "{} is not ready, and serves", worker)
                healthy = swap.force or not self._sicker(worker)
                must(healthy, "{} is not healthy, and serves", worker)
        elif not self._in_need():
            back = active.number == self.standby
            must(back, "{} serves, {} stood by", active.number, self.standby)

    def _in_need(self) -> bool:
        """Whether nobody serves any more who did before this event."""
        return self.active is None or self.active.state in GONE

    def _swap(self, number: int) -> Swap | None:
        """The swap that has just brought this generation up."""
        swaps = self._world.relay.swaps
        for swap in (swaps.probation, swaps.last):
            if swap is not None and swap.new == number and number != self.standby:
                return swap
        return None

    def _sicker(self, worker: Worker) -> list[str]:
        """Backends that nobody has changed, and that were healthy and are not."""
        assert self.active is not None
        before = self._world.workers[self.active.number]
        old, new = self.prints(before.generation), self.prints(worker.generation)
        same = [name for name, print_ in new.items() if old.get(name) == print_]
        well = [name for name in same if before.states.get(name) in HEALTHY]
        return [name for name in well if worker.states.get(name) not in (*HEALTHY, AWAITED)]

    def prints(self, generation: int) -> dict[str, str]:
        """The fingerprints of a generation's backends, as far as it has come."""
        worker = self._world.workers.get(generation)
        return worker.setup.prints if worker is not None and worker.setup is not None else {}

    # ---- which tools there are --------------------------------------------------------------

    def _may_lose(
        self, lost: frozenset[str], event: events.AnyEvent, active: Generation | None
    ) -> None:
        """Tools are gone: somebody must have wanted that, or it must be for good."""
        before = self.active
        if active is None:
            # Whoever was gone back to was over its own time in the same moment.
            late = isinstance(event, events.DeadlinePassed)
            must(late, "{} are lost with nobody serving", lost)
            return
        worker = self._world.workers[active.number]
        if active is before:
            frame = isinstance(event, events.WorkerFrame) and event.generation == active.number
            message = v1.decode_to_supervisor(event.header) if frame else None  # type: ignore[union-attr]
            known = isinstance(message, v1.Catalogue) and message.settled
            must(known, "{} are lost by {}", lost, event)
            return
        if active.number == self.standby:
            return  # what the other one had brought goes with it
        swap = self._swap(active.number)
        if before is None or self._in_need():
            must(worker.settled or worker.ready, "{} are lost by one that is not ready", lost)
        elif swap is not None and not swap.force:
            old, new = self.prints(before.number), self.prints(active.number)
            same = {name for name, print_ in new.items() if old.get(name) == print_}
            unwanted = [tool for tool in lost if tool.partition("__")[0] in same]
            must(not unwanted, "{} are lost by a swap without force", unwanted)

    # ---- what workers do --------------------------------------------------------------------

    def forgive(self) -> None:
        """Nobody could be heard for a while."""
        for worker in self._world.workers.values():
            worker.missed = 0

    def hears(self, worker: Worker, server: Server, said: Said, *, news: bool) -> bool | None:
        """Whether anybody is to notice what a worker passes on of a backend's; None: who knows."""
        core = self._world.core
        if (
            self.let_go(worker)
            or said.what == "withdrawn"
            or self._world.relay.ending.pace is not None
        ):
            return None
        if said.what == "news":
            return news and core.peer.era == v1.LEGACY and core.peer.greeted
        if said.what == "question":
            over = self._cut_off(worker.generation)  # then nobody waits for the answer
            return None if over else news and server.alive
        call = core.calls.get(said.call)
        if call is None or call.generation != worker.generation:
            return False
        return news and bool(core.requests[call.request].token)

    def let_go(self, worker: Worker) -> bool:
        """Whether a worker is to end, and all it had to say was taken in."""
        generation = self._world.relay.shared.workers.state.generations.get(worker.generation)
        return generation is None or generation.state is Life.RETIRED

    def _cut_off(self, generation: int) -> bool:
        drain = self._world.relay.drains.open.get(generation)
        return drain is not None and drain.cut_off

    def answer(self, generation: int, *, failed: bool) -> None:
        """A call was answered by a worker, and somebody waited for it."""
        if generation in self.answered:
            answered, failures = self.answered[generation]
            self.answered[generation] = (answered + 1, failures + failed)
