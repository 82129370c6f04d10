"""The client's stdio: claimed at the start, so that nobody else's print ever reaches the client.

Descriptors 0 and 1 afterwards are /dev/null and a copy of stderr. Reading stops only while the
client leaves more than `WAITING_BYTES_MAX` of our answers unread: a stdin nobody reads would hide
its cancellations.
"""

import os
from collections.abc import Callable
from typing import Final

import msgspec

from relay_supervisor.adapters.loop import READ, WRITE, Loop
from relay_supervisor.core.events import (
    AnyEvent,
    ClientClosed,
    ClientGone,
    ClientLine,
    ClientLineTooLong,
)
from relay_supervisor.wire.framing import LineReader, WriteQueue

READ_BYTES: Final = 64 << 10
READ_BYTES_MAX: Final = 1 << 20
"""After a read that filled its buffer the next one may take this much."""

FULL_BYTES: Final = 8 << 20
"""With more than this unread by the client, workers are not read: their backends wait."""

WAITING_BYTES_MAX: Final = 64 << 20
"""With more than this unread by the client, it is not read either."""

NEWLINE: Final = b"\n"
LINE_FEED: Final = NEWLINE[0]
"""As a number, as that is found in a fifth of the time."""


class ClientState(msgspec.Struct):
    """What is left of it when the code is replaced, with what is half read or unsent."""

    stdin: int
    stdout: int
    blocking: dict[int, bool]
    """How the descriptors were found."""
    line: bytes = b""
    skipping: bool = False
    unsent: bytes = b""
    ended: bool = False
    gone: bool = False


class ClientStdio:
    """Lines from the client, lines to the client."""

    def __init__(
        self,
        loop: Loop,
        on_event: Callable[[AnyEvent], None],
        line_bytes_max: int,
        left: ClientState | None = None,
    ) -> None:
        """Claim the client's stdio, or go on with what is *left*."""
        left = left or _claimed()
        self._loop = loop
        self._on_event = on_event
        self._lines = LineReader(line_bytes_max, left.line, skipping=left.skipping)
        self._queue = WriteQueue()
        self._queue.append(left.unsent)
        self._oversized = 0
        self._read_bytes = READ_BYTES
        self._in, self._out = left.stdin, left.stdout
        self._blocking = left.blocking
        self._ended = left.ended  # stdin is at its end
        self._reading = False
        self._writing = False
        self._gone = left.gone
        self.full = self._queue.size > FULL_BYTES
        """The client has so much to read that no more should be made."""
        self._heed()
        if self._queue.size:
            loop.at_turn_end(self.flush)

    def export(self) -> ClientState:
        """Return what another one can go on from."""
        return ClientState(
            self._in,
            self._out,
            self._blocking,
            self._lines.rest,
            self._lines.skipping,
            self._queue.rest,
            self._ended,
            self._gone,
        )

    @property
    def waiting(self) -> int:
        """Return how many bytes the client has yet to take."""
        return self._queue.size

    def set_line_bytes_max(self, limit: int) -> None:
        """Use the limit of the configuration from now on."""
        self._lines.line_bytes_max = limit

    def send(self, buffers: tuple[bytes, ...]) -> None:
        """Queue one line. A newline inside can only be white space between JSON tokens, which a
        backend over HTTP may send; the framing needs it gone.
        """
        if self._gone:
            return
        one, last = len(buffers) == 1, buffers[-1]
        if last.find(NEWLINE) != len(last) - 1 or (not one and any(map(_breaks, buffers[:-1]))):
            buffers, one = (_without_newlines(b"".join(buffers)),), True
        if not self._queue.size:
            if one and self._loop.alone:
                self._write(buffers[0])
                return
            self._loop.at_turn_end(self.flush)
        self._queue.append(*buffers)
        if self._writing:  # no flush of ours looks at it before the client reads
            self._wait()

    def _write(self, line: bytes) -> None:
        try:
            self._queue.write(self._out, line)
        except OSError:
            self._lost()
        if self._queue.size:
            self._wait()

    def flush(self) -> None:
        """Write what the client takes now."""
        if not self._queue.size:
            return
        try:
            self._queue.flush(self._out)
        except OSError:
            self._lost()
        if self._queue.size or self._writing:
            self._wait()

    def _lost(self) -> None:
        self._queue.clear()
        self._gone = True
        self._on_event(ClientGone())

    def _wait(self) -> None:
        """The client has something left to take, or had before."""
        waiting = self._queue.size
        self.full = waiting > FULL_BYTES
        if bool(waiting) != self._writing:
            self._writing = not self._writing
            if self._writing:
                self._loop.watch(self._out, WRITE, lambda _events: self.flush())
            else:
                self._loop.unwatch(self._out)
        self._heed()

    def close(self) -> None:
        """Leave the descriptors as they were found: a terminal outlives us."""
        for fd, blocking in self._blocking.items():
            os.set_blocking(fd, blocking)

    def _read_ready(self, _events: int) -> None:
        """Read what is there, and hand on the lines."""
        try:
            data = os.read(self._in, self._read_bytes)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._ended = True
            self._heed()
            for line in self._lines.feed(NEWLINE):  # the last line may lack its own
                if line:
                    self._on_event(ClientLine(line))
            self._on_event(ClientClosed())
            return
        self._read_bytes = READ_BYTES_MAX if len(data) == self._read_bytes else READ_BYTES
        lines, on_event, loop = self._lines.feed(data), self._on_event, self._loop
        loop.alone = len(lines) == 1
        for line in lines:
            on_event(ClientLine(line))
        loop.alone = False
        if self._lines.oversized != self._oversized:
            self._report_oversized()

    def _report_oversized(self) -> None:
        lines = self._lines
        for _ in range(lines.oversized - self._oversized):
            self._on_event(ClientLineTooLong(lines.line_bytes_max))
        self._oversized = lines.oversized

    def _heed(self) -> None:
        """Read on, or pause while the client leaves too much unread."""
        wanted = not self._ended and self._queue.size <= WAITING_BYTES_MAX
        if wanted != self._reading:
            self._reading = wanted
            if wanted:
                self._loop.watch(self._in, READ, self._read_ready)
            else:
                self._loop.unwatch(self._in)


def _breaks(buffer: bytes) -> bool:
    return LINE_FEED in buffer


def _without_newlines(line: bytes) -> bytes:
    """Return *line* with no newline but the one at its end."""
    return line[:-1].replace(NEWLINE, b" ") + NEWLINE


def occupy() -> None:
    """Put /dev/null where we were started without a standard descriptor. Call it first of all: the
    next file opened would get that number, and be taken for the client.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one


def _claimed() -> ClientState:
    stdin, stdout = _claim()
    blocking = {fd: os.get_blocking(fd) for fd in (stdin, stdout)}
    for fd in blocking:
        os.set_blocking(fd, False)
    return ClientState(stdin, stdout, blocking)


def _claim() -> tuple[int, int]:
    """Move the client's pipes to private descriptors."""
    private = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    return private
