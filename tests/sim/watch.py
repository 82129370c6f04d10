"""Holds each event against what was before it: who serves, which tools there are, how swaps end.

`invariants` looks at one moment, this at the step from one to the next.
"""

import re
from typing import TYPE_CHECKING, Any

from relay_supervisor.core import effects, events
from relay_supervisor.core.generation import GONE, Generation, Life
from relay_supervisor.core.heartbeat import MISSES_MAX
from relay_supervisor.core.swap_record import Swap
from relay_supervisor.wire import v1
from tests.sim.model import Worker, must

if TYPE_CHECKING:
    from tests.sim.world import World

EARLY_SECONDS = 1e-6
SILENT = re.compile(r"generation (\d+) failed: it gave no sign of life")


class Watch:
    """What is remembered from one event to the next."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._active: Generation | None = None
        self._standby: int | None = None
        self._limits: tuple[float, ...] = ()
        self._body: Any = None
        self._tools: frozenset[str] = frozenset()
        self.ending = False
        """Whether the end had begun before this event."""
        self.refused: set[tuple[str, str]] = set()
        """Pairs that were taken back, or that relayctl knows to have been."""
        self.served: dict[int, float] = {}
        """Since when, in seconds awake, each generation is the active one without a break."""
        self.answered: dict[int, int] = {}
        """Calls that each generation has answered since then."""
        self.drains: dict[int, float] = {}
        """Since when, in seconds awake, each generation drains."""
        self.drain_seconds_max = 600.0
        """The longest limit so far: each drain has the one that held at its beginning."""
        self._ended: set[object] = set()
        self._dead: set[object] = set()

    # ---- every event ------------------------------------------------------------------------

    def before(self) -> None:
        """An event is about to be handled."""
        workers = self._world.relay.shared.workers
        self.ending = self._world.relay.ending.pace is not None
        self._active = workers.active()
        lives = workers.state.generations.values()
        self._standby = next((g.number for g in lives if g.state is Life.STANDBY), None)

    def after(self, event: events.AnyEvent) -> None:
        """An event was handled, and what it caused is done."""
        active = self._world.relay.shared.workers.active()
        if active is not None and active is not self._active:
            self._takes_over(active)
        registry = self._world.relay.shared.registry
        if registry.body is not None and registry.body is not self._body:
            tools = frozenset(entry.key for entry in registry.body.tools)
            if lost := self._tools - tools:
                self._may_lose(lost, event, active)
            self._body, self._tools = registry.body, tools

    def _takes_over(self, active: Generation) -> None:
        """Another worker serves: is it one that may? In need it need not be ready."""
        longest = (*self._limits, self._world.core.limits.drain_max_seconds)
        self._limits, self.drain_seconds_max = longest, max(longest)
        self.served[active.number] = self._world.awake
        self.answered[active.number] = 0
        worker, swap = self._world.workers[active.number], self._swap(active.number)
        must(worker.phase == "configured", "{} serves", worker)
        if swap is not None:
            pair = (active.build, active.offer.config_digest)
            must(swap.force or pair not in self.refused, "{} failed before, and serves", pair)
            # With no client there is nothing it could lose.
            needless = worker.ready or self._in_need() or self._world.core.peer.era is None
            must(needless, "{} is not ready, and serves", worker)
        elif not self._in_need():
            back = active.number == self._standby
            must(back, "{} serves, {} stood by", active.number, self._standby)

    def _in_need(self) -> bool:
        """Whether nobody serves any more who did before this event."""
        return self._active is None or self._active.state in GONE

    def _swap(self, number: int) -> Swap | None:
        """The swap that has just brought this generation up."""
        swaps = self._world.relay.swaps
        for swap in (swaps.probation, swaps.last):
            if swap is not None and swap.new == number and number != self._standby:
                return swap
        return None

    def _may_lose(
        self, lost: frozenset[str], event: events.AnyEvent, active: Generation | None
    ) -> None:
        """Tools are gone: somebody must have wanted that, or it must be for good."""
        before = self._active
        must(active is not None, "{} are lost with nobody serving", lost)
        assert active is not None
        worker = self._world.workers[active.number]
        if active is before:
            frame = isinstance(event, events.WorkerFrame) and event.generation == active.number
            message = v1.decode_to_supervisor(event.header) if frame else None  # type: ignore[union-attr]
            known = isinstance(message, v1.Catalogue) and message.settled
            must(known, "{} are lost by {}", lost, event)
            return
        if active.number == self._standby:
            return  # what the other one had brought goes with it
        swap = self._swap(active.number)
        if before is None or self._in_need():
            must(worker.settled or worker.ready, "{} are lost by one that is not ready", lost)
        elif swap is not None and not swap.force:
            old, new = self._prints(self._world.workers[before.number]), self._prints(worker)
            same = {name for name, print_ in new.items() if old.get(name) == print_}
            unwanted = [tool for tool in lost if tool.partition("__")[0] in same]
            must(not unwanted, "{} are lost by a swap without force", unwanted)

    def _prints(self, worker: Worker) -> dict[str, str]:
        return worker.setup.prints if worker.setup is not None else {}

    # ---- what is said of it -----------------------------------------------------------------

    def journal(self, effect: effects.Journal) -> None:
        """An entry for the journal."""
        fields = effect.fields
        if effect.event == "swap_phase":
            must(fields["swap"] not in self._ended, "{} after its end", fields)
        elif effect.event == "swap_ended":
            must(fields["swap"] not in self._ended, "{} once more", fields)
            self._ended.add(fields["swap"])
            if fields["outcome"] == "committed":
                self._may_commit(fields)
            if fields["outcome"] == "rolled_back" and self._had_served(fields):
                active = self._world.relay.shared.workers.state.active
                must(
                    active == self._standby, "{}: {} serves, not {}", fields, active, self._standby
                )
        elif effect.event in {"worker_died", "drained"}:
            key = (effect.event, fields["generation"])
            must(key not in self._dead, "{} once more", effect)
            self._dead.add(key)

    def _had_served(self, fields: dict[str, Any]) -> bool:
        return any(name == "active" for name, _ in fields["phases"])

    def _may_commit(self, fields: dict[str, Any]) -> None:
        """Nobody is the last good one who has not proved it."""
        number = self._world.relay.shared.workers.state.active or 0
        limits = self._world.core.limits
        served = self._world.awake - self.served.get(number, self._world.awake) + EARLY_SECONDS
        answered = self.answered.get(number, 0)
        proved = served >= limits.probation_seconds or answered >= limits.probation_calls
        must(proved, "{} after {} s and {} calls", fields, served, answered)

    def log(self, effect: effects.Log) -> None:
        """A line of the log."""
        must(effect.text, "an empty line in the log")
        if (found := SILENT.search(effect.text)) is not None:
            worker = self._world.workers[int(found[1])]
            must(
                worker.missed >= MISSES_MAX, "{} is given up, and was to blame for nothing", worker
            )

    def forgive(self) -> None:
        """Nobody could be heard for a while."""
        for worker in self._world.workers.values():
            worker.missed = 0

    def answer(self, generation: int) -> None:
        """A call was answered by a worker, and somebody waited for it."""
        if generation in self.answered:
            self.answered[generation] += 1
