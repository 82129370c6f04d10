"""The way from the HTTP thread into the worker's loop: in order, and bounded.

What has been read and not yet been dealt with stays within `WAITING_BYTES_MAX`; beyond it, and
while the loop says so, the thread stops reading, and TCP keeps the servers waiting.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from relay_worker.backends.remote.thread import HttpThread
from relay_worker.loop import Loop

if TYPE_CHECKING:
    import asyncio

WAITING_BYTES_MAX: Final = 16 << 20
"""Of one backend; a single message of any size is let through when nothing else waits."""


class Inlet:
    """`hand` and `tell` are for the HTTP thread, the rest for the loop's.

    Each counter is stored by one thread only, so no lock is needed.
    """

    def __init__(self, loop: Loop, thread: HttpThread) -> None:
        self._loop = loop
        self._thread = thread
        self._handed = 0
        self._taken = 0
        self._paused = False
        self._blocked: asyncio.Event | None = None

    async def hand(self, size: int, callback: Callable[[], None]) -> None:
        """Have *callback*, which deals with *size* bytes, called in the loop; waits for room."""
        import asyncio  # noqa: PLC0415 - must not be loaded by who makes an Inlet

        while self._full(size):
            self._blocked = blocked = self._blocked or asyncio.Event()
            if self._full(size):  # else there was room before anybody knew that we wait for it
                await blocked.wait()
        self._handed += size
        self._loop.call_from_thread(lambda: self._deal(size, callback))

    def tell(self, callback: Callable[[], None]) -> None:
        """Have *callback* called in the loop, after all that was handed over before."""
        self._loop.call_from_thread(callback)

    def pause(self, *, paused: bool) -> None:
        """Hand nothing over for now, or go on."""
        self._paused = paused
        if not paused:
            self._thread.post(self._release)

    def _full(self, size: int) -> bool:
        waiting = self._handed - self._taken
        return self._paused or bool(waiting and waiting + size > WAITING_BYTES_MAX)

    def _deal(self, size: int, callback: Callable[[], None]) -> None:
        self._taken += size
        if self._blocked is not None:
            self._thread.post(self._release)
        callback()

    def _release(self) -> None:
        blocked, self._blocked = self._blocked, None
        if blocked is not None:
            blocked.set()
