"""A limit on how long something may be waited for, again and again. In the loop's thread."""

from collections.abc import Callable

from relay_worker.loop import Loop, Timer


class Patience:
    """Calls *ended* when it has been waited for *seconds* without a break."""

    def __init__(self, loop: Loop, seconds: float, ended: Callable[[], None]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._ended = ended
        self._timer: Timer | None = None

    def see(self, *, waiting: bool) -> None:
        """Something is waited for, or not (any more)."""
        if waiting and self._timer is None:
            self._timer = self._loop.after(self._seconds, self._over)
        elif not waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _over(self) -> None:
        self._timer = None
        self._ended()
