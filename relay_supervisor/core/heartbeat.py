"""Finds workers that live and do nothing: stopped, or busy in a loop that never ends.

Only while something is open, so that an idle relay sleeps. A miss counts only where the supervisor
itself was on time and did read the worker's pipe.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from relay_supervisor.core.generation import Generation, Life
from relay_supervisor.core.shared import Shared
from relay_supervisor.wire import v1

INTERVAL_SECONDS: Final = 1.0
MISSES_MAX: Final = 5
"""So many pings in a row without an answer, and the worker is given up."""

ASKED: Final = (Life.ACTIVE, Life.STANDBY, Life.DRAINING)


class HeartbeatState(msgspec.Struct):
    """Plain data of this room."""

    unread: bool = False
    """Workers are not read for now."""


class Heartbeat:
    """Pings and counts."""

    def __init__(self, shared: Shared, lose: Callable[[int, str, float], None]) -> None:
        self._shared = shared
        self._lose = lose
        self._state = shared.memory.heartbeat

    @property
    def deaf(self) -> bool:
        """Tell whether workers are not read for now, whatever they say."""
        return self._state.unread

    def begin(self, now: float) -> None:
        """Something is open that was not: ping from now on."""
        self._shared.timers.set("heartbeat", now + INTERVAL_SECONDS)

    def beat(self, *, needed: bool, now: float) -> None:
        """The time for the next ping has come."""
        if not needed:
            self.forgive()
            return
        self._shared.timers.set("heartbeat", now + INTERVAL_SECONDS)
        for generation in list(self._shared.workers.state.generations.values()):
            if generation.state not in ASKED or self._state.unread:
                continue
            if generation.unanswered_pings >= MISSES_MAX:
                seconds = MISSES_MAX * INTERVAL_SECONDS
                self._lose(generation.number, f"it gave no sign of life for {seconds:g} s", now)
                continue
            generation.unanswered_pings += 1
            self._shared.out.worker(generation.number, v1.Ping(generation.unanswered_pings))

    def answered(self, generation: Generation) -> None:
        """A worker lives."""
        generation.unanswered_pings = 0

    def unread(self, *, unread: bool) -> None:
        """The pipes are not read for now, or are again."""
        self._state.unread = unread
        self.forgive()

    def forgive(self) -> None:
        """Nobody could be heard for a while: count anew."""
        for generation in self._shared.workers.state.generations.values():
            generation.unanswered_pings = 0
