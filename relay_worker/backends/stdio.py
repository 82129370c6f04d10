"""The raw stdio transport: the three pipe ends of a backend process. Knows lines, not JSON.

Reads into the mailbox when there is something to read, writes at the end of a loop turn, holds a
bounded number of bytes, and never blocks. It closes its own descriptors; the process belongs to
the supervisor.
"""

import fcntl
import os
import select
import struct
import termios
from collections.abc import Callable, Iterable
from typing import Final

from relay_supervisor.wire.custody import Unsent
from relay_supervisor.wire.framing import Buffer
from relay_supervisor.wire.ledger import Ledger
from relay_worker.backends.mailbox import Mailbox
from relay_worker.backends.outbox import Outbox
from relay_worker.ledger import UNREAD
from relay_worker.loop import READ, WRITE, Loop

READ_BYTES: Final = 64 << 10
"""Bytes of stderr per read."""

DRAIN_BYTES_MAX: Final = 16 << 20
"""Read at most after the process is gone: what its pipe held, but a child may still be writing."""

OUT_BYTES_MAX: Final = 64 << 20
"""Bytes that may wait for a backend to read its input; beyond one frame, which always may. Large,
as a backend under load looks like one that does not read; all of them share the supervisor's
`retained_bytes_max`.
"""

ERR_LINE_BYTES_MAX: Final = 8 << 10
"""Longer lines on stderr are cut in pieces."""

_INT: Final = struct.Struct("i")


def at_once(done: Callable[[int], None], argument: int) -> None:
    """Stand for `Pipe.when_written` where there is no supervisor to wait for."""
    done(argument)


class Transport:
    """The pipe ends of one process. `on_line` gets each line of stdout with its offset in the
    stream, `on_oversized` both ends of a line that was too long, `on_stderr` chunks of whole lines,
    `on_done` the number of an errand that is written, `on_end` a reason, once.

    `queued_bytes` counts all that was ever written here; `taken_bytes`, once the input is closed,
    what of it the process may have read.
    """

    def __init__(
        self,
        loop: Loop,
        fds: tuple[int, int, int],
        *,
        mailbox: Mailbox,
        on_line: Callable[[bytes, int], None],
        on_oversized: Callable[[bytes, bytes], None],
        on_stderr: Callable[[bytes], None],
        on_end: Callable[[str], None],
        on_done: Callable[[int], None] = lambda _errand: None,
        when_written: Callable[[Callable[[int], None], int], None] = at_once,
        ledger: Ledger = UNREAD,
    ) -> None:
        self._loop = loop
        self._stdin, self._stdout, self._stderr = fds
        self._on_line = on_line
        self._on_oversized = on_oversized
        self._on_stderr = on_stderr
        self._on_end = on_end
        self._on_done = on_done
        self._when_written = when_written
        self._mailbox = mailbox
        self._queue = Outbox(ledger, mailbox.words)
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

    def take_over(self, unsent: list[Unsent], sent: int, *, calls: Iterable[int]) -> None:
        """Go on where another worker has stopped: first with what it has not written, and what it
        has read and not passed on. Of what is numbered all but the *calls* are errands.
        """
        self._queue.take_over(unsent, sent)
        self._queue.errands |= {one.number for one in unsent if one.number} - set(calls)
        self.queued_bytes = self._queue.size
        self._flush_soon()
        self._loop.at_turn_end(self._take_up)

    def write(self, *frame: Buffer, call: int = 0, errand: int = 0) -> bool:
        """Queue a frame, that of a call or errand by its number, for the end of the turn; False
        where too much is waiting already.
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
        queue.append(call or errand, *frame)
        if errand:
            queue.errands.add(errand)
        self.queued_bytes += queue.size - before
        self._flush_soon()
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
                got = self._mailbox.read(self._stdout)
            except OSError:
                break
            if not got:
                break
            budget -= got
            self._deliver()
        if self._open:
            self._stderr_readable(0)

    def freeze(self) -> tuple[list[Unsent], int, int]:
        """Stop at once, and let go of everything. Return the frames not wholly written, how many
        bytes of the first are, and the offset up to which stdout was passed on.
        """
        unsent, sent = self._queue.left()
        parsed = self._mailbox.parsed
        self._input_open = False
        self._loop.unwatch(self._stdin)
        os.close(self._stdin)
        self.close()
        return unsent, sent, parsed

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
        self._mailbox.close()

    def stderr(self, data: bytes) -> None:
        """Take in what was read of stderr."""
        data = self._err_rest + data
        end = data.rfind(b"\n") + 1
        if not end and len(data) > ERR_LINE_BYTES_MAX:
            data += b"\n"
            end = len(data)
        self._err_rest = data[end:]
        if end:
            self._on_stderr(data[:end])

    def _readable(self, _events: int) -> None:
        try:
            got = self._mailbox.read(self._stdout)
        except BlockingIOError:
            return
        if not got:
            self._loop.unwatch(self._stdout)
            self._on_end("it closed its output")
            return
        self._deliver()

    def _take_up(self) -> None:
        if self._open:
            self._deliver()

    def _deliver(self) -> None:
        """Report the lines that are complete; they are passed on when all that comes of them is."""
        mailbox = self._mailbox
        for offset, line in mailbox.lines():
            self._on_line(line, offset)
            if not self._open:
                return
        while mailbox.oversized:
            self._on_oversized(*mailbox.oversized.pop(0))
            if not self._open:
                return
        self._when_written(self._passed_on, mailbox.parsed)

    def _passed_on(self, offset: int) -> None:
        if self._open:
            self._mailbox.passed_on(offset)

    def _stderr_readable(self, _events: int) -> None:
        try:
            data = os.read(self._stderr, READ_BYTES)
        except OSError:
            return
        if data:
            self.stderr(data)
        else:
            self._loop.unwatch(self._stderr)

    def _flush_soon(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._loop.at_turn_end(self._flush)

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
        while self._queue.done:
            self._on_done(self._queue.done.pop(0))
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
