"""Reads the stderr of backends that no worker has, so that none of them stops for want of a reader.

What they write is kept for the next worker, up to a limit; of more, the end.
"""

import os
from functools import partial
from typing import Final

from relay_supervisor.adapters.loop import READ, Loop

READ_BYTES: Final = 64 << 10
KEPT_BYTES_MAX: Final = 64 << 10
"""Of each backend."""


class StderrTender:
    """All backends whose stderr is read here, by pid."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._fds: dict[int, int] = {}
        self._kept: dict[int, bytes] = {}

    def begin(self, pid: int, fd: int, kept: bytes = b"") -> None:
        """Read *fd* from now on; it must not block. *kept* was read before."""
        self._fds[pid] = fd
        if kept:
            self._kept[pid] = kept
        self._loop.watch(fd, READ, partial(self._ready, pid, fd))

    def export(self) -> dict[int, bytes]:
        """Return all backends that are tended, by pid, with what is still to be told."""
        return {pid: self._kept.get(pid, b"") for pid in self._fds}

    def end(self, pid: int) -> bytes:
        """Stop; return what was read and is still to be told."""
        if (fd := self._fds.pop(pid, None)) is not None:
            self._loop.unwatch(fd)
        return self._kept.pop(pid, b"")

    def _ready(self, pid: int, fd: int, _events: int) -> None:
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return
        if data:
            self._kept[pid] = (self._kept.get(pid, b"") + data)[-KEPT_BYTES_MAX:]
        else:
            self._loop.unwatch(fd)
