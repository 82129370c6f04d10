"""What follows when the active worker dies: start it again, then the last good one, then wait.

The relay never ends for it. While nothing comes up the lists stay, and calls get a clear error.
"""

import enum
from typing import Final

import msgspec

from relay_supervisor.core.generation import Generation, Source
from relay_supervisor.core.shared import Shared

BACKOFF_SECONDS_FIRST: Final = 0.1
BACKOFF_SECONDS_MAX: Final = 10.0
BACKOFF_DOUBLINGS_MAX: Final = 10
DEATHS_MAX: Final = 5
"""So many deaths within the window, and the last good pair is tried; as many again: degraded."""
WINDOW_SECONDS: Final = 60.0
PROBE_SECONDS: Final = 30.0
"""A degraded relay tries one worker in each of these times."""
STEADY_SECONDS: Final = 10.0
STEADY_CALLS: Final = 20
"""A worker that has served this long, or answered so many calls, is no part of a crash loop."""
PREVIOUS_MAX: Final = 5


class Condition(enum.Enum):
    """How far it has come."""

    WELL = "well"
    LAST_GOOD = "last good"
    """The committed pair died too often; the one committed before it is tried."""
    DEGRADED = "degraded"


_WELL: Final = Condition.WELL  # see `generation.ACTIVE`


class RecoveryState(msgspec.Struct):
    """Plain data of this room."""

    committed: Source
    pair: tuple[str, str] = ("", "")
    """Build and digest of the configuration of what is committed, once it has told them."""
    previous: list[Source] = []
    condition: Condition = Condition.WELL
    deaths: list[float] = []
    answered: int = 0
    """Calls answered since the active worker began to serve."""
    source: Source | None = None
    """What the next worker is made of, where it is not the committed pair."""


class Recovery:
    """Starts workers again, with full-jitter back-off."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.state = shared.memory.recovery

    def committed(self, generation: Generation) -> None:
        """A pair has proved itself: it is what a dead worker is replaced with."""
        state = self.state
        if state.committed != generation.source:
            state.previous = [state.committed, *state.previous][:PREVIOUS_MAX]
        state.committed, state.pair = generation.source, generation.pair
        state.source = None

    def before(self, active: Generation | None) -> Source | None:
        """Return the version before the one that serves, or is tried; None: there is none."""
        state = self.state
        known = [state.committed, *state.previous]
        now = active.source if active is not None else state.source or state.committed
        older = known[known.index(now) + 1 :] if now in known else known
        return older[0] if older else None

    def died(self, now: float) -> None:
        """The active worker is lost and nobody is there to take its place."""
        state = self.state
        deaths = [when for when in state.deaths if now - when < WINDOW_SECONDS]
        state.deaths = [*deaths, now]
        if len(state.deaths) >= DEATHS_MAX:
            self._worsen()
        if state.condition is Condition.DEGRADED:
            self._shared.timers.set("respawn", now + PROBE_SECONDS)
            return
        # Capped before it is a float: 2**1024, a night of crashes, would be none.
        doublings = min(len(deaths), BACKOFF_DOUBLINGS_MAX)
        ceiling = min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS_FIRST * 2**doublings)
        delay = ceiling * self._shared.workers.random(1000) / 1000
        self._shared.timers.set("respawn", now + delay)

    @property
    def good(self) -> Source:
        """What a dead worker is replaced with: the committed pair, or the last good one."""
        return self.state.source or self.state.committed

    @property
    def releases(self) -> list[str]:
        """The releases that may be started again, or gone back to."""
        known = [self.good, self.state.committed, *self.state.previous]
        return list(dict.fromkeys(source.release for source in known if source.release))

    def respawn(self, now: float) -> Generation:
        """Start the next worker."""
        return self._shared.workers.spawn(self.good, now)

    def serving(self, now: float) -> None:
        """A worker is active; if it stays so it is well."""
        self.state.answered = 0
        self._shared.timers.set("steady", now + STEADY_SECONDS)

    @property
    def recovering(self) -> bool:
        """Tell whether there is anything to get over."""
        return bool(self.state.deaths) or self.state.condition is not _WELL

    def answered(self) -> None:
        """The active worker answered a call, after others have died."""
        self.state.answered += 1
        if self.state.answered == STEADY_CALLS:
            self.steady()

    def steady(self) -> None:
        """It has shown that it can serve."""
        if self._shared.workers.state.active is None:
            return
        state = self.state
        state.deaths = []
        if state.condition is not Condition.WELL:
            state.condition = Condition.WELL
            self._shared.out.journal("recovered")
            self._shared.out.log("warning", "the worker is well again")

    @property
    def degraded(self) -> bool:
        """Tell whether calls are to be refused at once while no worker is up."""
        return self.state.condition is Condition.DEGRADED

    def _last_good(self) -> Source | None:
        """Return what to start instead of the committed pair. Where nothing was committed before
        it, that is the relay's own environment: a release that is current may be one that this
        relay cannot speak with, but its own worker it can.
        """
        state, own = self.state, self._shared.workers.identity.python
        if state.previous:
            return state.previous[0]
        if own in ("", state.committed.python):
            return None
        return Source(own, "", state.committed.config)

    def _worsen(self) -> None:
        state, out = self.state, self._shared.out
        state.deaths = []
        if state.condition is Condition.WELL and (last_good := self._last_good()) is not None:
            state.condition = Condition.LAST_GOOD
            state.source = last_good
            name = last_good.release or "the environment of the relay itself"
            out.log(
                "error", f"the worker dies again and again; the last good one is started: {name}"
            )
        elif state.condition is not Condition.DEGRADED:
            state.condition = Condition.DEGRADED
            out.log("error", "no worker stays alive; calls are refused until one does")
        else:
            return
        out.journal("degraded", condition=state.condition.value)
