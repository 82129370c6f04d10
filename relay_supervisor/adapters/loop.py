"""The one loop: which descriptors are ready, and whose they are. Nothing here may block.

epoll where there is one, as poll's cost grows with the number of watched descriptors.
"""

import select
import sys
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

READ: Final = 1  # POLLIN and EPOLLIN
WRITE: Final = 4  # POLLOUT and EPOLLOUT
CLOSED: Final = 8 | 16 | 32  # POLLERR, POLLHUP, POLLNVAL: always reported, cannot be asked for

EVENTS_PER_TURN_MAX: Final = 64
"""Ready descriptors served before the timers are looked at again."""

OnReady: TypeAlias = Callable[[int], None]
"""Called with the events (READ, WRITE, CLOSED bits) a descriptor is ready for."""


class Loop:
    """Descriptors and their owners. One thread only."""

    def __init__(self) -> None:
        self._owners: dict[int, OnReady] = {}
        self._masks: dict[int, int] = {}
        self._files: dict[int, int] = {}  # descriptors that are always ready, with their mask
        self._last: list[Callable[[], None]] = []
        self.alone = False
        """What is being served is the only message that was read: nothing else can come of it that
        would go out in the same system call, so it is written at once.
        """
        self._poller, self._poll = _poller()

    def watch(self, fd: int, mask: int, on_ready: OnReady) -> None:
        """Call *on_ready* whenever *fd* is ready for *mask*; replaces an earlier watch."""
        self._owners[fd] = on_ready
        if self._masks.get(fd) == mask:
            return
        try:
            if fd in self._masks:
                self._poller.modify(fd, mask)
            else:
                self._poller.register(fd, mask)
        except PermissionError:
            # epoll refuses regular files and /dev/null, which never make anybody wait.
            self._files[fd] = mask
        self._masks[fd] = mask

    def watches(self, fd: int) -> bool:
        """Tell whether *fd* is being watched."""
        return fd in self._owners

    def unwatch(self, fd: int) -> None:
        """Forget *fd*; to be called before it is closed. Unknown ones are fine."""
        if self._owners.pop(fd, None) is None:
            return
        del self._masks[fd]
        if self._files.pop(fd, None) is None:
            self._poller.unregister(fd)

    def at_turn_end(self, do: Callable[[], None]) -> None:
        """Have this done at the end of the turn: what is written then goes out in one piece."""
        self._last.append(do)

    def end_turn(self) -> None:
        """Do what was kept for the end of the turn."""
        if self._last:
            for do in self._last:
                do()
            self._last = []

    def turn(self, seconds: float | None) -> None:
        """Wait at most *seconds* (None: for ever), and serve whoever is ready."""
        self.serve(self.wait(seconds))

    def wait(self, seconds: float | None) -> list[tuple[int, int]]:
        """Wait at most *seconds* (None: for ever); return who is ready, for `serve`."""
        if not self._files:
            return self._poll(seconds)
        return [*self._poll(0.0), *self._files.items()]

    def serve(self, ready: list[tuple[int, int]]) -> None:
        """Serve those that `wait` found ready."""
        for fd, events in ready:
            owner = self._owners.get(fd)  # an owner served before may have closed this one
            if owner is not None:
                owner(events)


_Poll: TypeAlias = Callable[[float | None], list[tuple[int, int]]]

if sys.platform == "linux":

    def _poller() -> tuple[select.epoll, _Poll]:
        epoll = select.epoll(sizehint=EVENTS_PER_TURN_MAX)
        return epoll, partial(epoll.poll, maxevents=EVENTS_PER_TURN_MAX)

else:

    def _poller() -> tuple[select.poll, _Poll]:
        poll = select.poll()
        # Rounded up: a turn that ends before its deadline would only have to be made again.
        return poll, lambda seconds: poll.poll(
            None if seconds is None else int(max(0.0, seconds) * 1000) + 1
        )
