"""The raw stdio transport: the three pipe ends of a backend process. Knows lines, not JSON.

Reads into the mailbox when there is something to read, writes at the end of a loop turn, holds a
bounded number of bytes, and never blocks. It closes its own descriptors; the process belongs to the
supervisor.
"""

import mmap
import os
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from relay_supervisor.wire.custody import Unsent
from relay_supervisor.wire.framing import Buffer
from relay_supervisor.wire.ledger import Ledger
from relay_worker.backends.mailbox import Mailbox, private
from relay_worker.backends.outbox import Outbox
from relay_worker.backends.unread import unread_bytes
from relay_worker.ledger import UNREAD
from relay_worker.loop import READ, WRITE, Loop

ERR_READ_BYTES: Final = 64 << 10
"""Bytes per read of stderr."""

DRAIN_BYTES_MAX: Final = 16 << 20
"""Read at most after the process is gone: what its pipe held, but a child may still be writing."""

OUT_BYTES_MAX: Final = 64 << 20
"""Bytes that may wait for a backend to read its input; beyond one frame, which always may. Large,
as a backend under load looks like one that does not read; all of them share the supervisor's
`retained_bytes_max`.
"""

ERR_LINE_BYTES_MAX: Final = 8 << 10
"""Longer lines on stderr are cut in pieces."""


class Left(msgspec.Struct, frozen=True):
    """How a transport is left when somebody else goes on: up to where its lines were passed on, the
    frames not wholly written, of the first of which `sent` bytes are, and which of their numbers
    are errands.
    """

    parsed: int
    outbox: list[Unsent]
    sent: int
    errands: frozenset[int]


class Callbacks(msgspec.Struct, frozen=True):
    """What a transport tells. `line` gets the offset of each line of stdout and the line,
    `oversized` both ends of a line that was too long, `stderr` chunks of whole lines, `end` a
    reason, once, `errand` the number of an errand that is written or void.
    """

    line: Callable[[int, bytes], None]
    oversized: Callable[[bytes, bytes], None]
    stderr: Callable[[bytes], None]
    end: Callable[[str], None]
    errand: Callable[[int], None] = lambda _errand: None


class Transport:
    """The pipe ends of one process. *memory* is its mailbox, as it was made or left; *when_written*
    is the worker pipe's.

    `queued_bytes` counts all that was ever written here; `taken_bytes`, once the input is closed
    (`input_open`), what of it the process may have read.
    """

    def __init__(
        self,
        loop: Loop,
        fds: tuple[int, int, int],
        tell: Callbacks,
        *,
        frame_bytes_max: int,
        memory: mmap.mmap | None = None,
        parsed: int | None = None,
        when_written: Callable[[Callable[[int], None], int], None],
        ledger: Ledger = UNREAD,
    ) -> None:
        """Take the descriptors over.

        Raises:
            ValueError: the memory is not that of a mailbox that was left like this. Nothing is
                closed then.
        """
        self._loop = loop
        self._stdin, self._stdout, self._stderr = fds
        self._tell = tell
        self._when_written = when_written
        self._mailbox = Mailbox(
            memory or private(frame_bytes_max), frame_bytes_max=frame_bytes_max, parsed=parsed
        )
        self._queue = Outbox(ledger, self._mailbox.words, tell.errand)
        self._flush_due = False
        self._waiting = False
        self._paused = False
        self._clogged = False  # it is not read, as the mailbox is full
        self._open = True
        self.input_open = True
        self.queued_bytes = 0
        self.taken_bytes = 0
        self._err_rest = b""
        for fd in fds:
            os.set_blocking(fd, False)
        loop.watch(self._stdout, READ, self._readable, self._failed)
        loop.watch(self._stderr, READ, self._stderr_readable, self._failed)

    def resume(self, outbox: list[Unsent], sent: int, errands: Iterable[int]) -> dict[int, int]:
        """Go on with what somebody else had begun to write; return where in `queued_bytes` each
        call or errand begins. What was written before has no place there.

        Raises:
            ValueError: that does not fit what the mailbox says.
        """
        self._queue.resume(outbox, sent, errands)
        starts = {}
        at = -sent
        for unsent in outbox:
            starts[unsent.number] = at
            at += len(unsent.frame)
        self.queued_bytes = at
        if self._queue.size:
            self._flush_due = True
            self._loop.at_turn_end(self._flush)
        return starts

    def look(self) -> None:
        """Pass on what lies in the mailbox."""
        self._loop.alone = False  # there may be many lines
        mailbox = self._mailbox
        tell = self._tell.line
        while mailbox.unseen:
            before = mailbox.parsed
            for at, line in mailbox.cut():
                tell(at, line)
                if not self._open:
                    return
            if mailbox.oversized:
                self._report_oversized()
                if not self._open:
                    return
            if mailbox.parsed != before:
                self._when_written(self._passed, mailbox.parsed)

    def write(self, *frame: Buffer, number: int = 0, errand: bool = False) -> bool:
        """Queue a frame, with the number of its call or *errand*, for the end of the turn; False
        where too much is waiting already, or nobody will ever read it.
        """
        return self.put(frame, number, errand)

    def post(self, number: int, frame: bytes) -> bool:
        """Write the frame of a call: at once where nobody is to be served before, which leaves all
        in the order that it would have at the end of the turn.
        """
        queue = self._queue
        first = self.input_open and not queue.size and not self._loop.ends
        if first and queue.post(self._stdin, number, frame):
            self.queued_bytes += len(frame)
            return True
        return self.put((frame,), number)

    def put(
        self,
        frame: tuple[Buffer, ...],
        number: int,
        errand: bool = False,  # noqa: FBT001, FBT002
    ) -> bool:
        """The same, in less time."""
        if not self.input_open:
            return not errand  # in vain, like all that is on its way when a process ends
        queue = self._queue
        size = 0
        for buffer in frame:
            size += len(buffer)
        if queue.size and queue.size + size > OUT_BYTES_MAX:
            return False
        queue.put(number, size, frame)
        if errand:
            queue.errands.add(number)
        self.queued_bytes += size
        if not self._flush_due:
            self._flush_due = True
            self._loop.ends.append(self._flush)
        return True

    def pause(self, *, paused: bool) -> None:
        """Stop reading stdout, or go on."""
        self._paused = paused
        self._watch()

    def end_input(self) -> None:
        """Close its stdin, as a request to end; what it still says is read."""
        if self.input_open:
            self.input_open = False
            unread = self._queue.size + unread_bytes(self._stdin)
            self.taken_bytes = self.queued_bytes - unread
            void = self._queue.clear()
            self._loop.unwatch(self._stdin)
            os.close(self._stdin)
            for errand in void:
                self._tell.errand(errand)

    def drain(self) -> None:
        """Read what a process that is gone has left behind."""
        budget = DRAIN_BYTES_MAX
        while self._open and budget > 0:
            while not self._mailbox.has_room():
                # The supervisor is slow, and this cannot wait: so nothing keeps it but this worker.
                self._mailbox.advance(self._mailbox.parsed)
            try:
                size = os.readv(self._stdout, (self._mailbox.room(),))
            except OSError:
                break
            if not size:
                break
            budget -= size
            self._mailbox.count(size)
            self.look()
        if self._open:
            self._stderr_readable(0)

    def freeze(self) -> Left:
        """Let go at once, for somebody else to go on: nothing is read, written or stored here any
        more, and nothing is called.
        """
        left = Left(
            *(self._mailbox.parsed, self._queue.unsent(), self._queue.sent),
            frozenset(self._queue.errands),
        )
        self.input_open = False
        self._loop.unwatch(self._stdin)
        os.close(self._stdin)
        self._let_go()
        return left

    def close(self) -> None:
        """Let go of the descriptors. Nothing is called any more."""
        if self._open:
            self.end_input()
            self._let_go()

    def complain(self, data: bytes) -> None:
        """Take in what came on stderr."""
        data = self._err_rest + data
        end = data.rfind(b"\n") + 1
        if not end and len(data) > ERR_LINE_BYTES_MAX:
            data += b"\n"
            end = len(data)
        self._err_rest = data[end:]
        if end:
            self._tell.stderr(data[:end])

    def _let_go(self) -> None:
        self._open = False
        if self._err_rest:
            self._tell.stderr(self._err_rest + b"\n")
        for fd in (self._stdout, self._stderr):
            self._loop.unwatch(fd)
            os.close(fd)
        self._mailbox.close()

    def _watch(self) -> None:
        """Read stdout where that is wanted, and there is room for it."""
        if not self._open:
            return
        self._clogged = not self._mailbox.has_room()
        if self._paused or self._clogged:
            self._loop.unwatch(self._stdout)
        else:
            self._loop.watch(self._stdout, READ, self._readable, self._failed)

    def _readable(self, _events: int) -> None:
        mailbox = self._mailbox
        empty = mailbox.head == mailbox.tail
        try:
            size = os.readv(self._stdout, (mailbox.first if empty else mailbox.room(),))
        except BlockingIOError:
            return
        if not size:
            self._loop.unwatch(self._stdout)
            self._tell.end("it closed its output")
            return
        at = mailbox.tail
        line = mailbox.take(size)
        if line is None:
            self.look()
        else:
            self._tell.line(at, line)
            if self._open:
                self._when_written(self._passed, at + size)
        if not empty and self._open and not mailbox.has_room():  # one read always leaves room
            self._watch()

    def _passed(self, to: int) -> None:
        """All before offset *to* is in the supervisor's pipe."""
        self._mailbox.advance(to)
        if self._clogged:
            self._watch()

    def _report_oversized(self) -> None:
        found, self._mailbox.oversized = self._mailbox.oversized, []
        for head, tail in found:
            self._tell.oversized(head, tail)

    def _stderr_readable(self, _events: int) -> None:
        try:
            data = os.read(self._stderr, ERR_READ_BYTES)
        except OSError:
            return
        if data:
            self.complain(data)
        else:
            self._loop.unwatch(self._stderr)

    def _flush(self) -> None:
        self._flush_due = False
        if self._waiting or not self.input_open:
            return
        queue = self._queue
        try:
            queue.flush(self._stdin)
        except OSError as error:
            self.end_input()
            self._tell.end(f"it closed its input ({error.strerror})")
            return
        if queue.size:
            self._waiting = True
            self._loop.watch(self._stdin, WRITE, self._writable, self._failed)

    def _writable(self, _events: int) -> None:
        self._waiting = False
        self._loop.unwatch(self._stdin)
        self._flush()

    def _failed(self, error: Exception) -> None:
        self._tell.end(f"the relay failed to read it ({type(error).__name__}: {error})")
