"""Frames on their way to a backend's stdin; ledger and mailbox tell what has become of each.

`wire.mailbox` has the order of stores: whatever moment the worker is killed at, the record says of
the frame that was being written how much of it the backend can have got, and the ledger says of all
others whether they were written. So each frame goes out in a write of its own, and a call's may go
at once: nothing is gained by gathering them.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from relay_supervisor.wire.custody import Unsent
from relay_supervisor.wire.framing import IOV_MAX, Buffer
from relay_supervisor.wire.ledger import Ledger, Stage
from relay_supervisor.wire.mailbox import LAST_BYTES, PIPE_BUF, Word, record

# Plain numbers, as all this is on the path of every call.
_NUMBER: Final = Word.NUMBER.value
_LENGTH: Final = Word.LENGTH.value
_OFFSET: Final = Word.OFFSET.value
_BUSY: Final = Word.BUSY.value
_WRITTEN: Final = Stage.WRITTEN.value

_Frame = tuple[int, int, tuple[Buffer, ...]]
"""Number of its call or errand (0: neither), length in bytes, content."""


def _nobody(_errand: int) -> None:
    """No errands are expected."""


class Outbox:
    """What waits for a non-blocking descriptor; bounded by its caller.

    `size` is the number of bytes not yet written, `sent` how many of the first frame are. *words*
    are the mailbox's, and say what was being written by whoever had it before. *on_errand* gets the
    number of an errand that is written.
    """

    __slots__ = ("_frames", "_ledger", "_on_errand", "_torn", "_words", "errands", "sent", "size")

    def __init__(
        self, ledger: Ledger, words: memoryview, on_errand: Callable[[int], None] = _nobody
    ) -> None:
        self.size = 0
        self.sent = 0
        self._ledger = ledger
        self._words = words
        self._on_errand = on_errand
        self._frames: deque[_Frame] = deque()
        self.errands: set[int] = set()
        """Numbers of frames that are errands; whoever appends one adds it."""
        self._torn = False

    def resume(self, frames: Iterable[Unsent], sent: int, errands: Iterable[int]) -> None:
        """Go on where somebody else has stopped: with *frames*, of whose first *sent* bytes are
        written. What was left torn is ended first.

        Raises:
            ValueError: that does not fit what the mailbox says.
        """
        for unsent in frames:
            self.append(unsent.number, unsent.frame)
        self.errands.update(errands)
        words = self._words
        if sent:
            if not self._frames or (words[_LENGTH], words[_OFFSET]) != (self._frames[0][1], sent):
                raise ValueError("the mailbox does not fit what is said to be written")
            self.sent = sent
            self.size -= sent
            return
        found = record(words.cast("B"))
        if found is not None and found.torn:
            self._torn = True
            self.size += 1
        else:
            self._forget()

    def post(self, fd: int, number: int, frame: bytes) -> bool:
        """Write the frame of a call, where nothing waits and the mailbox is clear; False where that
        cannot be done at once, and nothing of it is written: `flush` finds out why.
        """
        length = len(frame)
        if length > PIPE_BUF:
            return False
        words = self._words
        words[_OFFSET] = 0
        words[_NUMBER] = number
        words[_LENGTH] = length
        words[_BUSY] = 1
        try:
            os.write(fd, frame)
        except OSError:
            words[_BUSY] = 0
            return False
        words[_OFFSET] = length
        words[_BUSY] = 0
        self._ledger.mark(number, _WRITTEN)
        words[_LENGTH] = 0
        return True

    def append(self, number: int, *frame: Buffer) -> None:
        """Queue a frame, given as the buffers it consists of, for a call or an errand."""
        self.put(number, sum(map(len, frame)), frame)

    def put(self, number: int, size: int, frame: tuple[Buffer, ...]) -> None:
        """The same, for whoever knows its *size*."""
        self._frames.append((number, size, frame))
        self.size += size

    def unsent(self) -> list[Unsent]:
        """Return what is not wholly written, for somebody else to go on with. The relay's own calls
        (negative numbers) end with this worker; to the next one they are none.
        """
        return [Unsent(max(number, 0), b"".join(frame)) for number, _, frame in self._frames]

    def clear(self) -> list[int]:
        """Forget what has not been written; return the errands among it."""
        errands = sorted(self.errands)
        self.errands.clear()
        self._frames.clear()
        self.size = self.sent = 0
        self._torn = False
        self._forget()
        return errands

    def flush(self, fd: int) -> None:
        """Write as much as *fd* takes without blocking; `size` tells what is left.

        Raises:
            OSError: the other end is gone (EPIPE), or *fd* is bad.
        """
        frames, words = self._frames, self._words
        if self._torn and not self._end_torn(fd):
            return
        while frames:
            number, length, frame = frames[0]
            if not self.sent:
                words[_OFFSET] = 0
                words[_NUMBER] = number
                words[_LENGTH] = length
            if length <= PIPE_BUF:
                data = frame[0] if len(frame) == 1 else b"".join(frame)
                words[_BUSY] = 1
                try:
                    os.write(fd, data)
                except OSError as error:
                    words[_BUSY] = 0
                    if isinstance(error, BlockingIOError):
                        return
                    raise
                words[_OFFSET] = length
                words[_BUSY] = 0
                self.size -= length
            elif not self._write_large(fd, length, frame):
                return
            if number:
                self._ledger.mark(number, _WRITTEN)
            words[_LENGTH] = 0
            frames.popleft()
            self.sent = 0
            if self.errands and number in self.errands:
                self.errands.remove(number)
                self._on_errand(number)

    def _write_large(self, fd: int, length: int, frame: tuple[Buffer, ...]) -> bool:
        """Write all but the last bytes, then those; False where the pipe is full before that."""
        words = self._words
        while self.sent < length:
            held_back = length - LAST_BYTES
            until = held_back if self.sent < held_back else length
            words[_BUSY] = 1
            try:
                written = os.writev(fd, _part(frame, self.sent, until))
            except BlockingIOError:
                written = 0
            except OSError:
                words[_BUSY] = 0
                raise
            self.sent += written
            words[_OFFSET] = self.sent
            words[_BUSY] = 0
            self.size -= written
            if self.sent < until:
                return False
        return True

    def _end_torn(self, fd: int) -> bool:
        """End the torn line, under the record as it stands: a kill in between ends it again."""
        try:
            os.write(fd, b"\n")
        except BlockingIOError:
            return False
        self._torn = False
        self.size -= 1
        self._forget()
        return True

    def _forget(self) -> None:
        self._words[_LENGTH] = 0
        self._words[_BUSY] = 0


def _part(frame: tuple[Buffer, ...], start: int, stop: int) -> list[memoryview]:
    """Return the bytes of a frame from *start* to *stop*, without a copy."""
    found: list[memoryview] = []
    for buffer in frame:
        if start < len(buffer) and stop > 0 and len(found) < IOV_MAX:
            found.append(memoryview(buffer)[max(start, 0) : stop])
        start -= len(buffer)
        stop -= len(buffer)
    return found
