"""How the relay ends: nothing left behind, and in time for a client that kills."""

from collections.abc import Callable
from typing import Final

import msgspec

from relay_supervisor.core.effects import Exit
from relay_supervisor.core.processes import Pace, Rung
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.state import Phase
from relay_supervisor.wire import v1

LAST_ANSWERS_SECONDS_MAX: Final = 0.8
"""After the client closed stdin, calls under way get this long to be answered."""

STOP_SECONDS_MAX: Final = 1.0
"""After the end has begun we exit at the latest after this, whatever is left."""


_WHY: Final = {
    Pace.HURRIED: "the client has gone",
    Pace.URGENT: "a signal asks for it",
    Pace.AT_ONCE: "signals ask for it",
}


class EndingState(msgspec.Struct):
    """Plain data of this room."""

    pace: Pace | None = None
    client_closed: bool = False


class Ending:
    """Whether, and how fast, the relay is ending."""

    def __init__(self, shared: Shared, abandon: Callable[[], None]) -> None:
        """*abandon* answers every request that is still open."""
        self._shared = shared
        self._abandon = abandon
        self._state = shared.memory.ending

    @property
    def pace(self) -> Pace | None:
        """How fast it is ending; None: it is not."""
        return self._state.pace

    @property
    def near(self) -> bool:
        """Tell whether there is something to check."""
        return self._state.client_closed or self.pace is not None

    def client_closed(self, now: float) -> None:
        """The client closed stdin: it may still read answers, but asks nothing more."""
        self._state.client_closed = True
        self._shared.timers.set("last answers", now + LAST_ANSWERS_SECONDS_MAX)

    def signalled(self, now: float) -> None:
        """A signal asks for the end; a second one means that the first was not fast enough."""
        self.begin(Pace.URGENT if self.pace is None else Pace.AT_ONCE, now)

    def begin(self, pace: Pace, now: float) -> None:
        """Begin to end, or hurry."""
        if self.pace is not None and self.pace.value <= pace.value:
            return
        shared = self._shared
        if self.pace is None:
            shared.out.log("info", f"the relay ends: {_WHY[pace]}")
            shared.timers.clear("respawn")
            shared.timers.set("stop", now + STOP_SECONDS_MAX)
            for number in shared.workers.state.generations:
                shared.out.worker(number, v1.Retire(for_good=True))
        self._state.pace = pace
        for pid in list(shared.processes.by_pid):
            shared.processes.end(pid, pace, now)

    def check(self, now: float) -> None:
        """After each event, once the end is `near`: see whether it is time."""
        if self.pace is None and self._state.client_closed and not self._waiting():
            self.begin(Pace.HURRIED, now)
        if self.pace is not None and self._alone():
            self.exit()

    def exit(self) -> None:
        """Go, whatever is left; a client that only closed stdin still gets its answers."""
        self._abandon()
        self._shared.out.put(Exit(0))

    def _waiting(self) -> bool:
        """Tell whether the client has an answer to come; what is parked it would have to ask for,
        and subscriptions have none.
        """
        requests = self._shared.state.requests.values()
        return any(r.raw_id and r.phase is not Phase.LISTENING for r in requests)

    def _alone(self) -> bool:
        processes = self._shared.processes.by_pid.values()
        return all(process.rung is Rung.KILLED for process in processes)
