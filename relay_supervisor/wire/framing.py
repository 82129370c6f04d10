"""Byte streams into frames and back: length-prefixed for the pipes, newline for JSON-RPC.

All readers are linear in the bytes fed to them, whatever the chunking, and bounded. They do no
I/O of their own but for `WriteQueue.flush`, which makes the one system call all writers share.
"""

import os
import struct
from typing import Final, TypeAlias

from relay_supervisor.wire.errors import FrameTooLarge

Buffer: TypeAlias = bytes | bytearray | memoryview

PREFIX: Final = struct.Struct("!II")
"""Header length and payload length in bytes, both unsigned 32 bit, network order."""

PREFIX_BYTES: Final = PREFIX.size
_pack, _unpack = PREFIX.pack, PREFIX.unpack_from

HEADER_BYTES_MAX: Final = 4 << 20
"""A header carries names, argv and an environment; Linux allows an environment of about 2 MiB."""

PAYLOAD_BYTES_MAX: Final = (1 << 30) + (1 << 20)
"""The largest `frame_bytes_max` that can be configured (1 GiB), and some room for wrapping."""

IOV_MAX: Final = 512
"""Buffers per `writev`; POSIX allows at least 16, Linux and macOS 1024."""

JOIN_BYTES_MAX: Final = 64 << 10
"""Up to here one copy and `write` is cheaper than `writev` over many small buffers."""


def prefix(header: Buffer, payload_bytes: int) -> bytes:
    """Return the length prefix of a pipe frame.

    Raises:
        FrameTooLarge: the header or the payload is over its limit; nothing has been sent.
    """
    header_bytes = len(header)
    if header_bytes > HEADER_BYTES_MAX:
        raise FrameTooLarge("pipe header", header_bytes, HEADER_BYTES_MAX)
    if payload_bytes > PAYLOAD_BYTES_MAX:
        raise FrameTooLarge("pipe payload", payload_bytes, PAYLOAD_BYTES_MAX)
    return _pack(header_bytes, payload_bytes)


class FrameReader:
    """Splits the byte stream of a pipe into `(header, payload)` pairs."""

    __slots__ = ("_need", "_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._need = PREFIX.size  # bytes wanted before another look is worth while

    @property
    def rest(self) -> bytes:
        """Return what there is of a frame that is not complete."""
        return b"".join(self._parts)

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """Take *data* in and return the frames it completes, in order.

        Raises:
            FrameTooLarge: the peer announced a frame over the limits; the stream is unusable.
        """
        if self._parts:
            self._parts.append(data)
            self._size += len(data)
            if self._size < self._need:
                return []
            data = b"".join(self._parts)
            self._parts.clear()
        end = len(data)
        if PREFIX_BYTES <= end <= HEADER_BYTES_MAX:
            header_bytes, payload_bytes = _unpack(data)
            middle = PREFIX_BYTES + header_bytes
            if middle + payload_bytes == end:  # one whole frame, as mostly: within all limits
                return [(data[PREFIX_BYTES:middle], data[middle:])]
        return self._several(data, end)

    def _several(self, data: bytes, end: int) -> list[tuple[bytes, bytes]]:
        frames: list[tuple[bytes, bytes]] = []
        start, need, begin = 0, PREFIX_BYTES, PREFIX_BYTES
        while begin <= end:
            header_bytes, payload_bytes = _unpack(data, start)
            middle = begin + header_bytes
            stop = middle + payload_bytes
            if header_bytes > HEADER_BYTES_MAX or payload_bytes > PAYLOAD_BYTES_MAX:
                raise FrameTooLarge("pipe frame", header_bytes + payload_bytes, PAYLOAD_BYTES_MAX)
            if stop > end:
                need = stop - start
                break
            frames.append((data[begin:middle], data[middle:stop]))
            start = stop
            begin = stop + PREFIX_BYTES
        if start < end:
            self._parts.append(data[start:])
            self._size = end - start
            self._need = need
        return frames


class LineReader:
    """Splits a byte stream at newlines; an over-long line is dropped whole and counted.

    `oversized` counts the lines that were dropped so far; the caller compares it before and
    after `feed` where an answer is due for them.
    """

    __slots__ = ("_parts", "_size", "_skipping", "line_bytes_max", "oversized")

    def __init__(self, line_bytes_max: int, rest: bytes = b"", *, skipping: bool = False) -> None:
        """*rest* and *skipping* are of the reader to go on from."""
        self.line_bytes_max = line_bytes_max
        self.oversized = 0
        self._parts = [rest] if rest else []
        self._size = len(rest)
        self._skipping = skipping

    @property
    def rest(self) -> bytes:
        """Return what there is of a line that is not complete."""
        return b"".join(self._parts)

    @property
    def skipping(self) -> bool:
        """Tell whether the line that is not complete is over the limit, and will be dropped."""
        return self._skipping

    def feed(self, data: bytes) -> list[bytes]:
        """Take *data* in and return the lines it completes, without their newline."""
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and (self._parts or self._skipping):
            self._complete(lines)
        if rest:
            self._hold(rest)
        longest = self.line_bytes_max
        if len(data) > longest:
            kept = [line for line in lines if len(line) <= longest]
            self.oversized += len(lines) - len(kept)
            return kept
        return lines

    def _complete(self, lines: list[bytes]) -> None:
        """Put what is held in front of the first line."""
        self._hold(lines[0])
        if self._skipping:
            self._skipping = False
            del lines[0]
        else:
            lines[0] = b"".join(self._parts)
            self._parts.clear()
        self._size = 0

    def _hold(self, data: bytes) -> None:
        if self._skipping:
            return
        self._size += len(data)
        if self._size > self.line_bytes_max:
            self._skipping = True
            self.oversized += 1
            self._parts.clear()
        else:
            self._parts.append(data)


class WriteQueue:
    """Bytes on their way to a non-blocking descriptor: bounded by its caller, never copied twice.

    `size` is the number of bytes not yet written.
    """

    __slots__ = ("_buffers", "size")

    def __init__(self) -> None:
        self._buffers: list[Buffer] = []
        self.size = 0

    def put(self, buffer: Buffer) -> None:
        """Queue one buffer."""
        self._buffers.append(buffer)
        self.size += len(buffer)

    def write(self, fd: int, data: bytes) -> None:
        """With nothing queued: write *data* now, and queue what *fd* does not take.

        Raises:
            OSError: as in `flush`.
        """
        try:
            written = os.write(fd, data)
        except BlockingIOError:
            written = 0
        if written != len(data):
            self.put(memoryview(data)[written:])

    def append(self, *buffers: Buffer) -> None:
        """Queue *buffers*, one after another."""
        self._buffers += buffers
        size = self.size
        for buffer in buffers:
            size += len(buffer)
        self.size = size

    @property
    def rest(self) -> bytes:
        """Return what has not been written."""
        return b"".join(self._buffers)

    def clear(self) -> None:
        """Forget what has not been written."""
        self._buffers.clear()
        self.size = 0

    def flush(self, fd: int) -> None:
        """Write as much as *fd* takes without blocking; `size` tells what is left.

        Raises:
            OSError: the other end is gone (EPIPE), or *fd* is bad.
        """
        buffers, size = self._buffers, self.size
        while size:
            try:
                if len(buffers) == 1:
                    written = os.write(fd, buffers[0])
                elif size <= JOIN_BYTES_MAX:
                    written = os.write(fd, b"".join(buffers))
                else:
                    written = os.writev(fd, buffers[:IOV_MAX])
            except BlockingIOError:
                return
            if written == size:
                buffers.clear()
                self.size = 0
                return
            self._drop(written)
            size = self.size

    def _drop(self, written: int) -> None:
        self.size -= written
        done = 0
        for buffer in self._buffers:
            if written < len(buffer):
                break
            written -= len(buffer)
            done += 1
        del self._buffers[:done]
        if written:
            self._buffers[0] = memoryview(self._buffers[0])[written:]
