"""Looks whether somebody has logged in, while that is all a backend lacks. In the loop's thread.

It never reads the file of the login, only whether that is another one by now.
"""

from collections.abc import Callable
from typing import Final

from relay_worker.loop import Loop, Timer

POLL_SECONDS: Final = 2.0

LookAt = Callable[[str, Callable[[object], None]], None]
"""Finds out, off the loop, what is at a path, and tells it in the loop: something that compares
unequal once the file was replaced.
"""


class LoginWatch:
    """Calls *on_login* when the file that is watched was replaced, and watches no longer."""

    def __init__(self, loop: Loop, look_at: LookAt, on_login: Callable[[], None]) -> None:
        self._loop = loop
        self._look_at = look_at
        self._on_login = on_login
        self._path = ""
        self._seen: object = None
        self._timer: Timer | None = None

    def watch(self, path: str) -> None:
        """Watch the file at *path* from now on."""
        self._path = path
        self._seen = None
        self._look()

    def stop(self) -> None:
        """Watch no longer."""
        self._path = ""
        self._set_timer(None)

    def _look(self) -> None:
        self._look_at(self._path, self._looked)

    def _looked(self, found: object) -> None:
        if not self._path:
            return
        if self._seen is not None and found != self._seen:
            self.stop()
            self._on_login()
            return
        self._seen = found
        self._set_timer(self._loop.after(POLL_SECONDS, self._look))

    def _set_timer(self, timer: Timer | None) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = timer
