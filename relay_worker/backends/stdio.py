"""The raw stdio transport: the three pipe ends of a backend process. Knows lines, not JSON.

Reads when there is something to read, writes at the end of a loop turn, holds a bounded number of
bytes, and never blocks. It closes its own descriptors; the process belongs to the supervisor.
"""

import fcntl
import os
import select
import struct
import termios
from collections.abc import Callable
from typing import Final

from relay_supervisor.wire.framing import Buffer, LineReader
from relay_supervisor.wire.ledger import Ledger
from relay_worker.backends.outbox import Outbox
from relay_worker.ledger import UNREAD
from relay_worker.loop import READ, WRITE, Loop

READ_BYTES: Final = 64 << 10
READ_BYTES_LARGE: Final = 1 << 20
"""Bytes per read; the large one while reads come back full."""

DRAIN_BYTES_MAX: Final = 16 << 20
"""Read at most after the process is gone: what its pipe held, but a child may still be writing."""

OUT_BYTES_MAX: Final = 64 << 20
"""Bytes that may wait for a backend to read its input; beyond one frame, which always may. Large,
as a backend under load looks like one that does not read; all of them share the supervisor's
`retained_bytes_max`.
"""

ERR_LINE_BYTES_MAX: Final = 8 << 10
"""Longer lines on stderr are cut in pieces."""

NEWLINE: Final = ord("\n")

HINT_BYTES: Final = 256
"""Kept of each end of an oversized line, to find out whose reply it was."""


_INT: Final = struct.Struct("i")


class Transport:
    """The pipe ends of one process. `on_line` gets each line of stdout, `on_oversized` both ends
    of a line that was too long, `on_stderr` chunks of whole lines, `on_end` a reason, once.

    `queued_bytes` counts all that was ever written here; `taken_bytes`, once the input is closed,
    what of it the process may have read.
    """

    def __init__(
        self,
        loop: Loop,
        fds: tuple[int, int, int],
        *,
        frame_bytes_max: int,
        on_line: Callable[[bytes], None],
        on_oversized: Callable[[bytes, bytes], None],
        on_stderr: Callable[[bytes], None],
        on_end: Callable[[str], None],
        ledger: Ledger = UNREAD,
    ) -> None:
        self._loop = loop
        self._stdin, self._stdout, self._stderr = fds
        self._on_line = on_line
        self._on_oversized = on_oversized
        self._on_stderr = on_stderr
        self._on_end = on_end
        self._reader = LineReader(frame_bytes_max)
        self._oversized = 0
        self._head = b""
        self._skipped_head = b""
        self._read_bytes = READ_BYTES
        self._queue = Outbox(ledger)
        self._flush_due = False
        self._waiting = False
        self._open = True
        self._input_open = True
        self.queued_bytes = 0
        self.taken_bytes = 0
        self._err_rest = b""
        for fd in fds:
            os.set_blocking(fd, False)
        loop.watch(self._stdout, READ, self._readable, self._failed)
        loop.watch(self._stderr, READ, self._stderr_readable, self._failed)

    def write(self, *frame: Buffer, call: int = 0) -> bool:
        """Queue a frame, that of a call by its number, for the end of the turn; False where too
        much is waiting already.
        """
        if not self._input_open:
            return True  # in vain, like all that is on its way when a process ends
        queue = self._queue
        if queue.size:
            size = 0
            for buffer in frame:
                size += len(buffer)
            if queue.size + size > OUT_BYTES_MAX:
                return False
        before = queue.size
        queue.append(call, *frame)
        self.queued_bytes += queue.size - before
        if not self._flush_due:
            self._flush_due = True
            self._loop.at_turn_end(self._flush)
        return True

    def pause(self, *, paused: bool) -> None:
        """Stop reading stdout, or go on."""
        if not self._open:
            return
        if paused:
            self._loop.unwatch(self._stdout)
        else:
            self._loop.watch(self._stdout, READ, self._readable, self._failed)

    def end_input(self) -> None:
        """Close its stdin, as a request to end; what it still says is read."""
        if self._input_open:
            self._input_open = False
            unread = self._queue.size + unread_bytes(self._stdin)
            self.taken_bytes = self.queued_bytes - unread
            self._queue.clear()
            self._loop.unwatch(self._stdin)
            os.close(self._stdin)

    def drain(self) -> None:
        """Read what a process that is gone has left behind."""
        budget = DRAIN_BYTES_MAX
        while self._open and budget > 0:
            try:
                data = os.read(self._stdout, READ_BYTES_LARGE)
            except OSError:
                break
            if not data:
                break
            budget -= len(data)
            self._feed(data)
        if self._open:
            self._stderr_readable(0)

    def close(self) -> None:
        """Let go of the descriptors. Nothing is called any more."""
        if not self._open:
            return
        self._open = False
        self.end_input()
        if self._err_rest:
            self._on_stderr(self._err_rest + b"\n")
        for fd in (self._stdout, self._stderr):
            self._loop.unwatch(fd)
            os.close(fd)

    def _readable(self, _events: int) -> None:
        try:
            data = os.read(self._stdout, self._read_bytes)
        except BlockingIOError:
            return
        if not data:
            self._loop.unwatch(self._stdout)
            self._on_end("it closed its output")
            return
        self._read_bytes = READ_BYTES_LARGE if len(data) >= READ_BYTES else READ_BYTES
        self._feed(data)

    def _feed(self, data: bytes) -> None:
        reader = self._reader
        head = self._head
        lines = reader.feed(data)
        if reader.oversized != self._oversized or self._skipped_head:
            self._skip(head, data)
        if data[-1] == NEWLINE:
            self._head = b""
        elif lines or not head:
            start = data.rfind(b"\n") + 1
            self._head = data[start : start + HINT_BYTES]
        for line in lines:
            if line:
                self._on_line(line)
            if not self._open:
                return

    def _skip(self, head: bytes, data: bytes) -> None:
        """Report an oversized line once its end has come: some servers write the id last."""
        if self._reader.oversized != self._oversized:
            self._oversized = self._reader.oversized
            # With no head the line began in this chunk, maybe behind others: better not to guess.
            self._skipped_head = head
            if not head:
                self._on_oversized(b"", b"")
        end = data.find(b"\n")
        if end >= 0 and self._skipped_head:
            self._on_oversized(self._skipped_head, data[max(0, end - HINT_BYTES) : end])
            self._skipped_head = b""

    def _stderr_readable(self, _events: int) -> None:
        try:
            data = os.read(self._stderr, READ_BYTES)
        except OSError:
            return
        if not data:
            self._loop.unwatch(self._stderr)
            return
        data = self._err_rest + data
        end = data.rfind(b"\n") + 1
        if not end and len(data) > ERR_LINE_BYTES_MAX:
            data += b"\n"
            end = len(data)
        self._err_rest = data[end:]
        if end:
            self._on_stderr(data[:end])

    def _flush(self) -> None:
        self._flush_due = False
        if self._input_open and not self._waiting:
            self._write()

    def _writable(self, _events: int) -> None:
        self._waiting = False
        self._loop.unwatch(self._stdin)
        self._write()

    def _write(self) -> None:
        try:
            self._queue.flush(self._stdin)
        except OSError as error:
            self.end_input()
            self._on_end(f"it closed its input ({error.strerror})")
            return
        if self._queue.size:
            self._waiting = True
            self._loop.watch(self._stdin, WRITE, self._writable, self._failed)

    def _failed(self, error: Exception) -> None:
        self._on_end(f"the relay failed to read it ({type(error).__name__}: {error})")


def unread_bytes(fd: int) -> int:
    """Return how much of what was written to a pipe nobody will ever read: 0 as long as anybody
    may, such as a child that inherited the other end.
    """
    poll = select.poll()
    poll.register(fd, 0)
    if not any(events & select.POLLERR for _, events in poll.poll(0)):
        return 0
    answer = fcntl.ioctl(fd, termios.FIONREAD, bytes(_INT.size))
    return int(_INT.unpack(answer)[0])
