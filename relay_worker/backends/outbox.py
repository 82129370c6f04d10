"""Frames on their way to a backend's stdin, and in the ledger what has become of each.

All that waits goes out in as few writes as possible. Around each write the ledger says which calls
are in it: whatever moment the worker is killed at, a call that it still calls received has not
reached the backend with a single byte.
"""

import os
from collections import deque
from typing import Final

from relay_supervisor.wire.framing import IOV_MAX, JOIN_BYTES_MAX, Buffer
from relay_supervisor.wire.ledger import Ledger, Stage

WRITE_BYTES: Final = JOIN_BYTES_MAX
"""A write takes frames in until it has so many bytes: about what a pipe has room for."""

# Plain numbers, as `Ledger.mark` is on the path of every call.
_RECEIVED: Final = Stage.RECEIVED.value
_WRITING: Final = Stage.WRITING.value
_WRITTEN: Final = Stage.WRITTEN.value

_Frame = tuple[int, int, tuple[Buffer, ...]]
"""Number of its call (0: none), length in bytes, content."""


class Outbox:
    """What waits for a non-blocking descriptor; bounded by its caller.

    `size` is the number of bytes not yet written.
    """

    __slots__ = ("_frames", "_ledger", "_sent", "size")

    def __init__(self, ledger: Ledger) -> None:
        self.size = 0
        self._ledger = ledger
        self._frames: deque[_Frame] = deque()
        self._sent = 0  # bytes of the first frame that are written already

    def append(self, call: int, *frame: Buffer) -> None:
        """Queue a frame, given as the buffers it consists of; *call* is 0 where it is no call."""
        size = len(frame[0]) if len(frame) == 1 else sum(map(len, frame))
        self._frames.append((call, size, frame))
        self.size += size

    def clear(self) -> None:
        """Forget what has not been written."""
        self._frames.clear()
        self.size = self._sent = 0

    def flush(self, fd: int) -> None:
        """Write as much as *fd* takes without blocking; `size` tells what is left.

        Raises:
            OSError: the other end is gone (EPIPE), or *fd* is bad.
        """
        if len(self._frames) == 1 and not self._sent and self._write_only(fd):
            return
        while self._frames:
            frames, buffers, size = self._next()
            try:
                if size > JOIN_BYTES_MAX:
                    written = os.writev(fd, buffers)
                else:
                    written = os.write(fd, buffers[0] if len(buffers) == 1 else b"".join(buffers))
            except BlockingIOError:
                written = 0
            self._settle(frames, written)
            if written < size:
                return

    def _write_only(self, fd: int) -> bool:
        """Write the only frame in one go, as nearly always; False where that is not to be."""
        call, size, frame = self._frames[0]
        if len(frame) > 1:
            return False
        mark = self._ledger.mark
        mark(call, _WRITING)
        try:
            written = os.write(fd, frame[0])
        except BlockingIOError:
            written = 0
        if written < size:
            self._settle(1, written)
            return True
        mark(call, _WRITTEN)
        self._frames.clear()
        self.size = 0
        return True

    def _next(self) -> tuple[int, list[Buffer], int]:
        """Return what is to go into the next write: number of frames, buffers, bytes."""
        buffers: list[Buffer] = []
        frames = size = 0
        mark = self._ledger.mark
        for call, length, frame in self._frames:
            mark(call, _WRITING)
            buffers += frame
            size += length
            frames += 1
            if size >= WRITE_BYTES or len(buffers) >= IOV_MAX:
                break
        if self._sent:
            size -= self._sent
            skip = self._sent
            while skip >= len(buffers[0]):
                skip -= len(buffers.pop(0))
            buffers[0] = memoryview(buffers[0])[skip:]
        return frames, buffers, size

    def _settle(self, frames: int, written: int) -> None:
        """Take note of what a write of so many *frames* has taken."""
        mark = self._ledger.mark
        waiting = self._frames
        self.size -= written
        end = self._sent + written
        while frames and end >= (first := waiting[0])[1]:
            end -= first[1]
            waiting.popleft()
            mark(first[0], _WRITTEN)
            frames -= 1
        self._sent = end
        # The first that is left may be in the backend's pipe in part, the others are not.
        for index in range(bool(end), frames):
            mark(waiting[index][0], _RECEIVED)
