"""A backend's stdout as this worker reads it: straight into memory that outlives it, cut in lines.

Layout and order of the stores are in `relay_supervisor.wire.mailbox`; nothing here may store in
another order. Knows lines, not JSON.
"""

import mmap
import os
from typing import Final

from relay_supervisor.wire.mailbox import HEADER_BYTES, Word

READ_BYTES: Final = 64 << 10
READ_BYTES_LARGE: Final = 1 << 20
"""Bytes per read; the large one while reads come back full."""

RETURNED_BYTES: Final = 256 << 10
"""Used memory of this size is given back to the system; less is zeroed, and used again."""

HINT_BYTES: Final = 256
"""Kept of each end of an oversized line, to find out whose reply it was."""

# Plain numbers, as they are on the path of every message.
_BASE, _HEAD, _TAIL = int(Word.BASE), int(Word.HEAD), int(Word.TAIL)
_SKIPPING = int(Word.SKIPPING)


def bytes_for(line_bytes_max: int) -> int:
    """Return how large a mailbox for lines of this length is. What is not used takes no memory."""
    half = line_bytes_max + 2 * READ_BYTES_LARGE
    return HEADER_BYTES + 2 * -(-half // mmap.PAGESIZE) * mmap.PAGESIZE


class Mailbox:
    """The mapped memory. `words` are its header, in which the outbox stores as well.

    `parsed` is the stream offset up to which lines were cut. `oversized` has both ends of each line
    dropped for its length, empty where they are not known; whoever looks at it empties it.
    """

    def __init__(self, line_bytes_max: int, fd: int = -1, parsed: int | None = None) -> None:
        """Map the memory behind *fd*, or memory of our own, and take up what is in it. Lines are as
        long at most as the mailbox was made for. All up to *parsed* was passed on, whatever the
        mailbox says of that.

        Raises:
            OSError, ValueError: it cannot be mapped.
        """
        size = bytes_for(line_bytes_max) if fd < 0 else os.fstat(fd).st_size
        self._map = mmap.mmap(fd, size)
        self._view = memoryview(self._map)
        self.words = self._view[: len(Word) * 8].cast("q")
        self._half = (size - HEADER_BYTES) // 2
        self._line_bytes_max = min(line_bytes_max, self._half - 2 * READ_BYTES_LARGE)
        self._read_bytes = READ_BYTES
        self.oversized: list[tuple[bytes, bytes]] = []
        self._skipped_head = b""
        self._recover()
        if parsed is not None and parsed > self.words[_HEAD]:
            self.passed_on(parsed)
        self.parsed = self._searched = self.words[_HEAD]

    def close(self) -> None:
        """Let go of the memory; what is in it stays for the next one."""
        self.words.release()
        self._view.release()
        self._map.close()

    # ---- reading ------------------------------------------------------------------------------

    def read(self, fd: int) -> int:
        """Read from *fd* what is there, up to a limit; return the number of bytes, 0 at the end.

        Raises:
            BlockingIOError: there is nothing now.
            OSError: *fd* cannot be read.
        """
        words, wanted = self.words, self._read_bytes
        tail = words[_TAIL]
        start = HEADER_BYTES + tail - words[_BASE]
        if start + wanted > self._end():
            self._turn_over()
            start = HEADER_BYTES + tail - words[_BASE]
        got = os.readv(fd, [self._view[start : start + wanted]])
        words[_TAIL] = tail + got
        self._read_bytes = READ_BYTES_LARGE if got >= READ_BYTES else READ_BYTES
        return got

    def lines(self) -> list[tuple[int, bytes]]:
        """Return the lines completed since the last time, without their newlines, each with the
        stream offset of its first byte.
        """
        if self.words[_SKIPPING] and not self._skip_to_end():
            return []
        base = self.words[_BASE] - HEADER_BYTES
        tail = self.words[_TAIL]
        end = self._map.rfind(b"\n", max(self._searched, self.parsed) - base, tail - base)
        self._searched = tail
        found: list[tuple[int, bytes]] = []
        if end >= 0:
            offset = self.parsed
            for line in self._map[offset - base : end].split(b"\n"):
                if len(line) > self._line_bytes_max:
                    self.oversized.append((line[:HINT_BYTES], line[-HINT_BYTES:]))
                elif line:
                    found.append((offset, line))
                offset += len(line) + 1
            self.parsed = offset
        if tail - self.parsed > self._line_bytes_max:
            start = self.parsed - base
            self._skipped_head = self._map[start : start + HINT_BYTES]
            self.words[_SKIPPING] = 1
            self.parsed = tail
        return found

    def passed_on(self, offset: int) -> None:
        """All that was made of the stream up to *offset* is in the supervisor's pipe."""
        words = self.words
        words[_HEAD] = offset
        if offset == words[_TAIL]:
            base = words[_BASE]
            beginning = HEADER_BYTES if offset - base < self._half else HEADER_BYTES + self._half
            self._clear(beginning, HEADER_BYTES + offset - base)
            words[_BASE] = offset + HEADER_BYTES - beginning

    def _skip_to_end(self) -> bool:
        """Drop what has come of an over-long line; return whether its end was among it."""
        base = self.words[_BASE] - HEADER_BYTES
        tail = self.words[_TAIL]
        end = self._map.find(b"\n", self.parsed - base, tail - base)
        if end < 0:
            self.parsed = tail
            return False
        last = self._map[max(self.parsed - base, end - HINT_BYTES) : end]
        self.oversized.append((self._skipped_head, last if self._skipped_head else b""))
        self._skipped_head = b""
        self.parsed = end + 1 + base
        self.words[_SKIPPING] = 0
        return True

    # ---- the memory ---------------------------------------------------------------------------

    def _end(self) -> int:
        """Return the position behind the half in use."""
        second = self.words[_HEAD] - self.words[_BASE] >= self._half
        return HEADER_BYTES + self._half * (2 if second else 1)

    def _turn_over(self) -> None:
        """Go on in the other half, which is all zero: take along what is not passed on yet."""
        words = self.words
        head, base = words[_HEAD], words[_BASE]
        old, length = HEADER_BYTES + head - base, words[_TAIL] - head
        second = head - base >= self._half
        new = HEADER_BYTES + (0 if second else self._half)
        self._map[new : new + length] = self._map[old : old + length]
        words[_BASE] = head + HEADER_BYTES - new
        beginning = HEADER_BYTES + (self._half if second else 0)
        self._clear(beginning, old + length)

    def _clear(self, start: int, end: int) -> None:
        size = end - start
        if size >= RETURNED_BYTES and _REMOVE is not None:
            first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
            last = end // mmap.PAGESIZE * mmap.PAGESIZE
            self._map.madvise(_REMOVE, first, last - first)
            self._map[start:first] = bytes(first - start)
            self._map[last:end] = bytes(end - last)
        else:
            self._map[start:end] = bytes(size)

    def _recover(self) -> None:
        """Count what was read and not counted, and clean the half that is not in use."""
        words = self.words
        second = words[_HEAD] - words[_BASE] >= self._half
        unused = HEADER_BYTES + (0 if second else self._half)
        self._clear(unused, unused + self._half)
        start, end = HEADER_BYTES + words[_TAIL] - words[_BASE], self._end()
        if start < end and self._map[start]:
            nul = self._map.find(b"\0", start, end)
            words[_TAIL] += (end if nul < 0 else nul) - start


_REMOVE: Final[int | None] = getattr(mmap, "MADV_REMOVE", None)
"""Gives shared memory back, and zeroes it; there is none on macOS."""
