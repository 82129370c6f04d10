"""Letting a generation go: it finishes what it has under way, within limits, and then ends."""

import msgspec

from relay_supervisor.core.asks import Asks
from relay_supervisor.core.calls import Calls
from relay_supervisor.core.custody import Custody
from relay_supervisor.core.errands import Errands
from relay_supervisor.core.generation import Generation, Life, Step
from relay_supervisor.core.processes import Pace
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.state import BackendCall
from relay_supervisor.wire import v1

DRAINERS_MAX = 2
"""A further swap waits until one of them is done."""


class Drain(msgspec.Struct):
    """One generation on its way out."""

    began: float
    calls: int
    """Under way when it began."""
    handed_over_before: int = 0
    """How many calls had changed workers with their backends when it began."""
    cancelled: int = 0
    cut_off: bool = False
    """The hard limit is over."""


class Drains:
    """All generations on their way out."""

    def __init__(
        self, shared: Shared, calls: Calls, asks: Asks, errands: Errands, custody: Custody
    ) -> None:
        self._shared = shared
        self._errands = errands
        self._custody = custody
        self._calls = calls
        self._asks = asks
        self.open = shared.memory.drains

    def begin(self, generation: Generation, now: float) -> None:
        """No new call goes to *generation*; it ends when the last one is answered."""
        generation.advance(Step.RETIRED)
        calls = len(self._calls_of(generation.number))
        handed_over = self._shared.state.counts.handed_over
        self.open[generation.number] = Drain(now, calls, handed_over)
        limits = self._shared.state.limits
        self._shared.timers.set(f"drain#{generation.number}", now + limits.drain_seconds)
        self._shared.timers.set(f"drain_max#{generation.number}", now + limits.drain_max_seconds)

    def check(self, now: float) -> None:
        """After each event: end those that have nothing under way any more."""
        state = self._shared.state
        for number, drain in list(self.open.items()):
            leaving = self._custody.leaving(number)
            if drain.cut_off and not leaving:
                self._cancel_all(number, drain)
            if any(call.generation == number for call in state.calls.values()):
                continue
            if any(ask.generation == number for ask in state.asks.values()):
                continue
            if not leaving:
                self._end(number, drain, now)

    def overdue(self, number: int) -> None:
        """The soft limit is over."""
        self._shared.out.log(
            "warning",
            f"the old worker (generation {number}) still has {len(self._calls_of(number))} calls "
            "under way after "
            f"{self._shared.state.limits.drain_seconds:g} s (drain_seconds)",
        )

    def cut_off(self, number: int) -> None:
        """The hard limit is over; but what is about to move to another worker goes on."""
        self.open[number].cut_off = True

    def _cancel_all(self, number: int, drain: Drain) -> None:
        """Cancel what is left at the backends, and answer it."""
        limit = self._shared.state.limits.drain_max_seconds
        self._asks.lose(generation=number)
        for call in self._calls_of(number):
            self._errands.cancel(call, b"")
            self._calls.fail(
                self._shared.state.requests[call.request],
                f"Relay: this was not done {limit:g} s (drain_max_seconds) after its worker had "
                "been replaced, and was cancelled. It may have run in part.",
            )
            drain.cancelled += 1

    def gone(self, number: int) -> None:
        """A generation died before it was done."""
        if self.open.pop(number, None) is not None:
            self._clear(number)

    def _end(self, number: int, drain: Drain, now: float) -> None:
        shared = self._shared
        del self.open[number]
        self._clear(number)
        generation = shared.workers.state.generations[number]
        assert generation.state is Life.DRAINING
        generation.advance(Step.EMPTIED)
        shared.out.journal(
            "drained",
            generation=number,
            seconds=round(now - drain.began, 3),
            calls=drain.calls,
            cancelled=drain.cancelled,
            handed_over=shared.state.counts.handed_over - drain.handed_over_before,
        )
        shared.out.worker(number, v1.Retire())
        for process in shared.processes.backends_of(number):
            shared.processes.end(process.pid, Pace.PATIENT, now)
        if generation.pid is not None:
            shared.processes.end(generation.pid, Pace.PATIENT, now)

    def _calls_of(self, number: int) -> list[BackendCall]:
        return [call for call in self._shared.state.calls.values() if call.generation == number]

    def _clear(self, number: int) -> None:
        self._shared.timers.clear(f"drain#{number}")
        self._shared.timers.clear(f"drain_max#{number}")
