"""The worker's view of a mailbox: what a backend wrote is read into it, and cut into lines there.

`wire.mailbox` says what lies where, and in what order it is stored; a kill between any two stores
loses nothing, and this file must never store in another order. It knows lines, not JSON.

A backend that was adopted may have a mailbox that is too small for a frame limit which was raised
since: until it is started again, what its mailbox has room for is the limit.
"""

import contextlib
import mmap
import os
from typing import Final, TypeAlias

from relay_supervisor.wire.mailbox import (
    HEADER_BYTES,
    HINT_AT,
    HINT_BYTES,
    READ_BYTES_MAX,
    Word,
)

KEEP_BYTES: Final = 256 << 10
"""Of each half so much memory may stay; what a larger frame has used beyond it is given back."""

PIECE_BYTES: Final = 1 << 20
"""So much is looked at, or overwritten with NUL, at a time."""

ONE_BYTES_MAX: Final = 8 << 10
"""What is read is tried as one line up to here; a large one is looked through once."""

MANY_BYTES_MAX: Final = 64 << 10
"""Up to here all lines are cut out at once, for one copy more; what a pipe holds is no more."""

# Plain numbers, as a store under an enum takes twice the time.
_BASE: Final = Word.BASE.value
_HEAD: Final = Word.HEAD.value
_TAIL: Final = Word.TAIL.value
_SKIPPING: Final = Word.SKIPPING.value

_REMOVE: Final[int | None] = getattr(mmap, "MADV_REMOVE", None)
_PAGE: Final = mmap.PAGESIZE

Line: TypeAlias = tuple[int, bytes]
"""Offset of its first byte in the stream, and text without the newline."""


def bytes_for(frame_bytes_max: int) -> int:
    """Return the size of a mailbox for lines of up to so many bytes. Little of it is ever used."""
    half = -(-(frame_bytes_max + READ_BYTES_MAX) // HEADER_BYTES) * HEADER_BYTES
    return HEADER_BYTES + 2 * half


def shared(fd: int) -> mmap.mmap:
    """Return the memory behind *fd*, which is closed.

    Raises:
        OSError, ValueError: it is nothing that can be mapped.
    """
    try:
        return mmap.mmap(fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)


def private(frame_bytes_max: int) -> mmap.mmap:
    """Return memory for a mailbox that nobody else sees."""
    return mmap.mmap(-1, bytes_for(frame_bytes_max))


class Mailbox:
    """What was read of one process and is not wholly passed on.

    `words` are the header's; `tail` counts all that was read, `head` what is passed on, and
    `parsed` is where the first line begins that has no end yet. `first` is where a read goes while
    head and tail are the same. `oversized` has both ends of lines that were dropped, for the caller
    to take out.
    """

    def __init__(
        self, memory: mmap.mmap, *, frame_bytes_max: int, parsed: int | None = None
    ) -> None:
        """Use *memory*, new or left behind; up to *parsed*, where given, all was passed on.

        Raises:
            ValueError: this cannot be a mailbox, or not one that was passed on so far.
        """
        half = (len(memory) - HEADER_BYTES) // 2
        if half <= READ_BYTES_MAX:
            raise ValueError(f"a mailbox of {len(memory)} bytes is too small")
        self.words = memoryview(memory)[: len(Word) * 8].cast("q")
        self.oversized: list[tuple[bytes, bytes]] = []
        self._memory = memory
        self._view = memoryview(memory)
        self.first = self._view[:0]
        self._half = half
        self._line_bytes_max = min(frame_bytes_max, half - READ_BYTES_MAX)
        self._one_bytes_max = min(ONE_BYTES_MAX, self._line_bytes_max)
        self._many_bytes_max = min(MANY_BYTES_MAX, self._line_bytes_max)
        self._hint = self._last = b""
        self._open = True
        try:
            self._attach(parsed)
        except ValueError:
            self.close()
            raise

    def _attach(self, parsed: int | None) -> None:
        words = self.words
        base, self.head, self.tail = words[_BASE], words[_HEAD], words[_TAIL]
        start, stop = self.head - base, self.tail - base
        half = self._half
        first = half if start >= half else 0
        if not first <= start <= stop <= first + half:
            raise ValueError("the mailbox is damaged")
        self._zero = HEADER_BYTES - base  # where offset 0 lies, or would
        self._use(HEADER_BYTES + first)
        self._clear(HEADER_BYTES + (half - first), HEADER_BYTES + (half - first) + half)
        # What was read and not counted: the system call had ended, the store had not.
        behind = self._zero + self.tail
        until = min(behind + READ_BYTES_MAX, self._end)
        if found := len(self._memory[behind:until].rstrip(b"\0")):
            words[_TAIL] = self.tail = self.tail + found
        self._clear(behind + found, until)
        self.parsed = self.head if parsed is None else parsed
        if not self.head <= self.parsed <= self.tail:
            raise ValueError("the mailbox does not fit what is said to be passed on")
        self._scanned = max(self.parsed, words[_SKIPPING] - 1)
        if self._scanned > self.tail:
            raise ValueError("the mailbox is damaged")
        self._skipping = words[_SKIPPING] > self.parsed
        if self._skipping:
            self._hint = self._memory[HINT_AT : HINT_AT + HINT_BYTES].rstrip(b"\0")
        if self.head == self.tail:
            self._rewind()
        else:
            self.advance(self.parsed)
            if self._skipping:  # a kill before this store must not leave a half that stays full
                self._drop(self._scanned)

    def _use(self, start: int) -> None:
        """Read into the half that begins there."""
        self._start = start
        self._end = start + self._half
        self.first.release()
        self.first = self._view[start : start + READ_BYTES_MAX]

    @property
    def unseen(self) -> bool:
        """Return whether there is more that `cut` has not looked at."""
        return self._scanned < self.tail

    def has_room(self) -> bool:
        """Return whether anything can be read before more is passed on."""
        if self._zero + self.tail < self._end:
            return True
        if self.head < self.parsed:
            return False
        # A line that fits the limit leaves room for a read at least.
        self._move()
        return True

    def room(self) -> memoryview:
        """Return where the next read may go; `count` what came."""
        begin = self._zero + self.tail
        stop = begin + READ_BYTES_MAX
        if stop > self._end:  # noqa: PLR1730 - here and below: `min` costs more than all the rest
            stop = self._end
        return self._view[begin:stop]

    def count(self, size: int) -> None:
        """So many bytes were read."""
        self.words[_TAIL] = self.tail = self.tail + size

    def take(self, size: int) -> bytes | None:
        """The same; returns the line that they are, where they are a small one and no more: then
        `cut` has nothing to look for.
        """
        begin = self.tail
        self.words[_TAIL] = self.tail = tail = begin + size
        if self.parsed != begin or self._skipping or not 1 < size <= self._one_bytes_max:
            return None
        place = self._zero + begin
        last = place + size - 1
        if self._memory.find(b"\n", place, last + 1) != last:
            return None
        self.parsed = self._scanned = tail
        return self._memory[place:last]

    def cut(self) -> list[Line]:
        """Return the lines that end in what was read since, or in a part of it: see `unseen`."""
        zero, memory = self._zero, self._memory
        begin, scanned = self.parsed, self._scanned
        until = self.tail
        if until - scanned > READ_BYTES_MAX:
            until = scanned + READ_BYTES_MAX
        self._scanned = until
        if self._skipping:
            behind = self._skip(scanned, until)
            if behind is None:
                return []
            begin = scanned = behind
        if until - begin <= self._many_bytes_max:
            return self._split(begin, scanned, until)
        lines: list[Line] = []
        longest, stop = self._line_bytes_max, zero + until
        find = memory.find
        while (end := find(b"\n", zero + scanned, stop)) >= 0:
            place = zero + begin
            if end - place > longest:
                head = memory[place : min(place + HINT_BYTES, end)]
                self.oversized.append((head, memory[max(place, end - HINT_BYTES) : end]))
            elif end > place:
                lines.append((begin, memory[place:end]))
            begin = scanned = end - zero + 1
            if begin == until:  # as nearly always: spares another look
                break
        self.parsed = begin
        if until - begin > longest and begin == self.head:
            self._start_skipping()
        return lines

    def _split(self, begin: int, scanned: int, until: int) -> list[Line]:
        """Cut all lines out at once, where all between the two offsets is small."""
        zero, memory = self._zero, self._memory
        lines: list[Line] = []
        last = memory.rfind(b"\n", zero + scanned, zero + until)
        if last >= 0:
            for text in memory[zero + begin : last].split(b"\n"):
                if text:
                    lines.append((begin, text))
                begin += len(text) + 1
        self.parsed = begin
        return lines

    def advance(self, to: int) -> None:
        """All that lies before offset *to* has reached the supervisor."""
        if not self._open or to <= self.head:
            return
        self.words[_HEAD] = self.head = to
        if to == self.tail:
            self._rewind()
        elif self._zero + to - self._start >= max(KEEP_BYTES, self.tail - to):
            self._move()  # and copy less than was passed on since the last time

    def close(self) -> None:
        """Let go of the memory. Nothing is stored in it any more."""
        if self._open:
            self._open = False
            self.words.release()
            self.first.release()
            self._view.release()
            self._memory.close()

    def _rewind(self) -> None:
        """Nothing is left: begin at the beginning of the half again."""
        start, tail = self._start, self.tail
        stop = self._zero + tail
        if stop - start > KEEP_BYTES:
            self._clear(start + KEEP_BYTES, stop)
            stop = start + KEEP_BYTES
        self._memory[start:stop] = bytes(stop - start)
        self._zero = zero = start - tail
        self.words[_BASE] = HEADER_BYTES - zero

    def _move(self) -> None:
        """Go on in the other half, taking along what is not passed on yet."""
        old, place, size = self._start, self._zero + self.head, self.tail - self.head
        start = HEADER_BYTES + (self._half if old == HEADER_BYTES else 0)
        self._use(start)
        for done in range(0, size, PIECE_BYTES):
            piece = self._memory[place + done : min(place + done + PIECE_BYTES, place + size)]
            self._memory[start + done : start + done + len(piece)] = piece
        self._zero = start - self.head
        self.words[_BASE] = HEADER_BYTES - self._zero
        self._clear(old, place + size)

    def _start_skipping(self) -> None:
        """The line at the head is too long: drop what there is of it."""
        place, stop = self._zero + self.head, self._zero + self._scanned
        self._hint = self._memory[place : min(place + HINT_BYTES, stop)]
        self._memory[HINT_AT : HINT_AT + HINT_BYTES] = self._hint.ljust(HINT_BYTES, b"\0")
        self._skipping = True
        self._drop(self._scanned)

    def _skip(self, begin: int, until: int) -> int | None:
        """Look for the end of the line that is being dropped; return the offset behind it."""
        zero = self._zero
        end = self._memory.find(b"\n", zero + begin, zero + until)
        if end < 0:
            self._drop(until)
            return None
        last = self._last + self._memory[max(zero + begin, end - HINT_BYTES) : end]
        self.oversized.append((self._hint, last[-HINT_BYTES:]))
        self._skipping = False
        return end - zero + 1

    def _drop(self, until: int) -> None:
        """What lies before offset *until* belongs to the line that is being dropped."""
        stop = self._zero + until
        self._last = self._memory[max(self._zero + self.head, stop - HINT_BYTES) : stop]
        self.words[_SKIPPING] = until + 1
        self.parsed = until
        self.advance(until)

    def _clear(self, start: int, stop: int) -> None:
        """Make a stretch of the memory NUL, and give it back where that can be."""
        first, last = -(-start // _PAGE) * _PAGE, stop // _PAGE * _PAGE
        if _REMOVE is not None and first < last:
            with contextlib.suppress(OSError):
                self._memory.madvise(_REMOVE, first, last - first)
                self._blank(start, first)
                self._blank(last, stop)
                return
        self._blank(start, stop)

    def _blank(self, start: int, stop: int) -> None:
        for begin in range(start, stop, PIECE_BYTES):
            end = min(begin + PIECE_BYTES, stop)
            nothing = bytes(end - begin)
            if self._memory[begin:end] != nothing:  # memory that was never used stays unused
                self._memory[begin:end] = nothing
