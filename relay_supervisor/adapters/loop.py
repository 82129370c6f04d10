"""The one loop: which descriptors are ready, and whose they are. Nothing here may block.

epoll where there is one, as poll's cost grows with the number of watched descriptors.
"""

import select
import sys
from collections.abc import Callable
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
        if sys.platform == "linux":
            epoll = select.epoll(sizehint=EVENTS_PER_TURN_MAX)
            self._poller: select.epoll | select.poll = epoll
            self._poll = lambda seconds: epoll.poll(seconds, EVENTS_PER_TURN_MAX)
        else:
            poll = select.poll()
            self._poller = poll
            self._poll = lambda seconds: poll.poll(
                None if seconds is None else max(0, int(seconds * 1000) + 1)
            )

    def watch(self, fd: int, mask: int, on_ready: OnReady) -> None:
        """Call *on_ready* whenever *fd* is ready for *mask*; replaces an earlier watch."""
        if fd in self._owners:
            if self._masks[fd] != mask:
                self._poller.modify(fd, mask)
        else:
            self._poller.register(fd, mask)
        self._owners[fd] = on_ready
        self._masks[fd] = mask

    def unwatch(self, fd: int) -> None:
        """Forget *fd*; to be called before it is closed. Unknown ones are fine."""
        if self._owners.pop(fd, None) is not None:
            del self._masks[fd]
            self._poller.unregister(fd)

    def turn(self, seconds: float | None) -> None:
        """Wait at most *seconds* (None: for ever), and serve whoever is ready."""
        for fd, events in self._poll(seconds):
            owner = self._owners.get(fd)  # an owner served before may have closed this one
            if owner is not None:
                owner(events)
