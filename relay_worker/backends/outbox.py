"""Frames on their way to a backend's stdin, and the record of each write in its mailbox.

One frame goes out in one write. Whatever moment the worker is killed at, the ledger and the record
tell which frames the backend has, which not, and of which one nobody knows (`wire.mailbox`).
"""

import os
from collections import deque
from typing import Final

from relay_supervisor.wire.custody import Unsent
from relay_supervisor.wire.framing import Buffer, WriteQueue
from relay_supervisor.wire.ledger import Ledger, Stage
from relay_supervisor.wire.mailbox import LAST_BYTES, PIPE_BUF, Word, record

# Plain numbers, as they are on the path of every call.
_WRITTEN: Final = Stage.WRITTEN.value
_NUMBER, _LENGTH = int(Word.NUMBER), int(Word.LENGTH)
_OFFSET, _BUSY = int(Word.OFFSET), int(Word.BUSY)

_Frame = tuple[int, int, tuple[Buffer, ...]]
"""Number of its call or errand (0: none), length in bytes, content."""


class Outbox:
    """What waits for a non-blocking descriptor; bounded by its caller.

    `size` is the number of bytes not yet written. `errands` are the numbers that are no calls';
    `done` those of them that were written since it was last emptied.
    """

    __slots__ = ("_frames", "_large", "_ledger", "_newline", "_words", "done", "errands", "size")

    def __init__(self, ledger: Ledger, words: "memoryview[int]") -> None:
        """*words* is the header of the mailbox."""
        self.size = 0
        self.errands: set[int] = set()
        self.done: list[int] = []
        self._ledger = ledger
        self._words = words
        self._frames: deque[_Frame] = deque()
        self._large: WriteQueue | None = None  # what is left of a frame over PIPE_BUF
        self._newline = False

    def append(self, number: int, *frame: Buffer) -> None:
        """Queue a frame, given as the buffers it consists of."""
        size = len(frame[0]) if len(frame) == 1 else sum(map(len, frame))
        self._frames.append((number, size, frame))
        self.size += size

    def clear(self) -> None:
        """Forget what has not been written."""
        self._frames.clear()
        self._large = None
        self.size = 0

    def take_over(self, unsent: list[Unsent], sent: int) -> None:
        """Go on from where another worker has stopped: with *unsent* frames, *sent* bytes of the
        first of which are written. A line torn by a kill is ended first.
        """
        torn = record(memoryview(self._words).cast("B"))
        if torn is not None and not sent:
            self._newline = torn.torn
            if not torn.torn:
                self._words[_LENGTH] = 0
        for one in unsent:
            self.append(one.number, one.frame)
        if sent:
            body = memoryview(unsent[0].frame)[sent:-LAST_BYTES]
            self._large = WriteQueue()
            self._large.append(body)
            self.size -= sent

    def left(self) -> tuple[list[Unsent], int]:
        """Return the frames not wholly written, and how many bytes of the first one are."""
        unsent = [Unsent(number, b"".join(frame)) for number, _, frame in self._frames]
        return unsent, self._words[_OFFSET] if self._large is not None else 0

    def flush(self, fd: int) -> None:
        """Write as much as *fd* takes without blocking; `size` tells what is left.

        Raises:
            OSError: the other end is gone (EPIPE), or *fd* is bad.
        """
        frames, words = self._frames, self._words
        try:
            if self._newline:
                os.write(fd, b"\n")
                words[_LENGTH] = 0
                self._newline = False
            while frames:
                number, length, frame = frames[0]
                if self._large is None:
                    words[_OFFSET] = 0
                    words[_NUMBER] = number
                    words[_LENGTH] = length
                if length <= PIPE_BUF:
                    data = frame[0] if len(frame) == 1 else b"".join(frame)
                    words[_BUSY] = 1
                    os.write(fd, data)
                    words[_OFFSET] = length
                    words[_BUSY] = 0
                    self.size -= length
                elif not self._write_large(fd, length, frame):
                    return
                if number:
                    self._ledger.mark(number, _WRITTEN)
                    if number in self.errands:
                        self.errands.remove(number)
                        self.done.append(number)
                words[_LENGTH] = 0
                frames.popleft()
        except BlockingIOError:
            words[_BUSY] = 0

    def _write_large(self, fd: int, length: int, frame: tuple[Buffer, ...]) -> bool:
        """Write what *fd* takes of a frame that may not go out in one piece: all but its end, then
        its end; return whether that is done.
        """
        words = self._words
        if self._large is None:
            self._large = WriteQueue()
            self._large.append(*_without_end(frame))
        body = self._large
        if body.size:
            before = body.size
            words[_BUSY] = 1
            body.flush(fd)
            words[_OFFSET] = length - LAST_BYTES - body.size
            words[_BUSY] = 0
            self.size -= before - body.size
            if body.size:
                return False
        words[_BUSY] = 1
        os.write(fd, b"".join(frame)[-LAST_BYTES:])
        words[_OFFSET] = length
        words[_BUSY] = 0
        self.size -= LAST_BYTES
        self._large = None
        return True


def _without_end(frame: tuple[Buffer, ...]) -> list[Buffer]:
    """Return the buffers of a frame but for its last bytes."""
    kept, left = list(frame), LAST_BYTES
    while left:
        last = kept.pop()
        if len(last) > left:
            kept.append(memoryview(last)[: len(last) - left])
            return kept
        left -= len(last)
    return kept
