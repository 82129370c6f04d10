"""Newline framing and non-blocking writes, shared by the backend, the floor and the client.

Linear in the bytes read, and no more than that: these are the parts the floor is made of.
"""

import os

# A pipe holds 64 KiB by default, so larger reads only cost a larger allocation.
READ_BYTES_MAX = 65536
NOTHING = memoryview(b"")


class Splitter:
    """Turns chunks into whole lines (without newline), keeping the unfinished rest."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes; empty if it completes none."""
        head, newline, tail = data.rpartition(b"\n")
        if not newline:
            self._parts.append(data)
            return []
        if self._parts:
            head = b"".join([*self._parts, head])
            self._parts = []
        if tail:
            self._parts.append(tail)
        return head.split(b"\n")


def write_some(fd: int, data: bytes | memoryview) -> memoryview:
    """Write until done or the pipe is full; return what is left."""
    rest = NOTHING
    try:
        written = os.write(fd, data)
        if written == len(data):
            return NOTHING
        rest = memoryview(data)[written:]
        while rest:
            rest = rest[os.write(fd, rest) :]
    except BlockingIOError:
        return rest or memoryview(data)
    return NOTHING
