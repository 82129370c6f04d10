"""Named deadlines. One name, one deadline: setting it again moves it."""

from collections.abc import Iterator
from math import inf

import msgspec


class Timers(msgspec.Struct):
    """Deadlines by name, in seconds of the monotonic clock."""

    at: dict[str, float] = {}
    _earliest: float | None = None

    def set(self, name: str, when: float) -> None:
        """Set or move the deadline *name*."""
        self.at[name] = when
        self._earliest = min(self.at.values())

    def clear(self, name: str) -> None:
        """Forget the deadline *name*, if it is set."""
        if self.at.pop(name, None) is not None:
            self._earliest = min(self.at.values(), default=None)

    def earliest(self) -> float | None:
        """Return the time of the next deadline."""
        return self._earliest

    def due(self, now: float) -> Iterator[str]:
        """Take out and yield the names of all deadlines that have passed, earliest first; but none
        that an earlier one has made void.
        """
        for _, name in sorted((when, name) for name, when in self.at.items() if when <= now):
            if self.at.get(name, inf) <= now:
                self.clear(name)
                yield name

    def postpone(self, seconds: float) -> None:
        """Move all deadlines: time in which nobody could run does not count."""
        self.at = {name: when + seconds for name, when in self.at.items()}
        self._earliest = min(self.at.values(), default=None)
