"""The pipe to the supervisor: frames in, frames out; all output of a loop turn in one write.

What cannot be written yet waits here. `send` never blocks and never refuses: whoever produces
(the backends) is told to pause while more than `OUT_BYTES_HIGH` wait. What depends on something
being in the pipe to the last byte is done then and not before, as of a frame that is torn by a kill
the supervisor has nothing: so a call leaves the ledger, and a mailbox lets go of a reply.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from relay_supervisor.wire import v1
from relay_supervisor.wire.errors import ProtocolError
from relay_supervisor.wire.framing import Buffer, FrameReader, WriteQueue, prefix
from relay_supervisor.wire.ledger import Ledger
from relay_supervisor.wire.mailbox import PIPE_BUF
from relay_worker.ledger import UNREAD
from relay_worker.loop import READ, WRITE, Loop

READ_BYTES: Final = 64 << 10
READ_BYTES_LARGE: Final = 1 << 20
"""Bytes per read; the large one while reads come back full."""

OUT_BYTES_HIGH: Final = 8 << 20
OUT_BYTES_LOW: Final = 1 << 20
"""Backends are not read from while more than the first, until less than the second, wait."""

SMALL_BYTES: Final = 4 << 10
"""Frames up to here are joined into one buffer."""

OnFrame = Callable[[bytes, bytes], None]

_ENDS: Final[dict[type[v1.Message], Callable[[Any], Iterable[int]]]] = {
    v1.Reply: lambda message: (message.call,),
    v1.Done: lambda message: (message.errand,),
    v1.Returned: lambda message: message.calls,
}
"""Messages with which calls or errands leave the ledger, and which."""


class Pipe:
    """Both directions of the worker pipe. `on_frame` gets the header and payload of each frame,
    `on_end` a reason when the supervisor has closed it or broken the contract, once.
    """

    def __init__(
        self,
        loop: Loop,
        in_fd: int,
        out_fd: int,
        *,
        on_frame: OnFrame,
        on_end: Callable[[str], None],
        on_full: Callable[[bool], None],
        ledger: Ledger = UNREAD,
    ) -> None:
        self.on_frame = on_frame
        self._on_end = on_end
        self._on_full = on_full
        self._loop = loop
        self._in = in_fd
        self._out = out_fd
        self._reader = FrameReader()
        self._read_bytes = READ_BYTES
        self._queue = WriteQueue()
        self._release = ledger.release
        self._written = 0  # bytes so far, in all
        self._marks: deque[tuple[int, Callable[[int], None], int]] = deque()
        self._flush_due = False
        self._waiting = False
        self._ended = False
        self.full = False
        os.set_blocking(in_fd, False)
        os.set_blocking(out_fd, False)
        loop.watch(in_fd, READ, self._readable, self._broken)

    def send(self, message: v1.Message, *payload: Buffer) -> None:
        """Queue *message* and its payload, given as the buffers it consists of."""
        self._put(v1.encode(message), payload)
        if ends := _ENDS.get(type(message)):
            for number in ends(message):
                self.when_written(self._release, number)

    def reply(self, call: int, outcome: int, members: bytes) -> None:
        """Send a `v1.Reply` with small members: at once, where nothing comes to be gathered."""
        frame = v1.reply_frame(call, outcome, members)
        queue, loop = self._queue, self._loop
        if loop.alone and not queue.size and not loop.ends and len(frame) <= PIPE_BUF:
            try:
                os.write(self._out, frame)  # whole, or not at all
            except OSError:
                pass  # `_flush` finds out why
            else:
                self._release(call)
                return
        queue.put(frame)
        self._marks.append((self._written + queue.size, self._release, call))
        if not self._flush_due:
            self._flush_due = True
            loop.ends.append(self._flush)

    def when_written(self, act: Callable[[int], None], number: int) -> None:
        """Do *act* with *number* once all that was sent so far is in the pipe to the last byte."""
        waiting = self._queue.size
        if waiting or self._ended:  # after the end nothing arrives any more
            self._marks.append((self._written + waiting, act, number))
        else:
            act(number)

    def send_header(self, header: bytes, *payload: Buffer) -> None:
        """Queue a frame whose header is encoded already."""
        self._put(header, payload)

    def _put(self, header: bytes, payload: tuple[Buffer, ...]) -> None:
        size = 0
        for buffer in payload:
            size += len(buffer)
        head = prefix(header, size) + header
        if size <= SMALL_BYTES:  # one small buffer costs less than several
            self._queue.put(head + b"".join(payload))
        else:
            self._queue.append(head, *payload)
        if not self._flush_due:
            self._flush_due = True
            self._loop.ends.append(self._flush)

    def flush_last(self) -> None:
        """Write what is queued before the worker exits, as far as the supervisor takes it now."""
        try:
            self._queue.flush(self._out)
        except OSError:
            pass  # nobody is there to read it

    def _readable(self, _events: int) -> None:
        limit = self._read_bytes
        try:
            data = os.read(self._in, limit)
        except BlockingIOError:
            return
        if not data:
            self._end("the supervisor closed the pipe")
            return
        if len(data) >= READ_BYTES:
            self._read_bytes = READ_BYTES_LARGE
        elif limit != READ_BYTES:
            self._read_bytes = READ_BYTES
        for header, payload in self._reader.feed(data):
            self.on_frame(header, payload)

    def _flush(self) -> None:
        self._flush_due = False
        queue, marks = self._queue, self._marks
        if not self._waiting:
            before = queue.size
            try:
                queue.flush(self._out)
            except OSError as error:
                queue.clear()
                self._end(f"the supervisor does not read any more: {error.strerror}")
            else:
                written = self._written = self._written + before - queue.size
                while marks and marks[0][0] <= written:
                    _, act, number = marks.popleft()
                    act(number)
        if queue.size or self.full:
            self._weigh()

    def _writable(self, _events: int) -> None:
        self._waiting = False
        self._loop.unwatch(self._out)
        self._flush()

    def _weigh(self) -> None:
        """Wait until more can be written, and pause or resume the backends meanwhile; after every
        turn, as the queue grows while it waits.
        """
        if self._queue.size and not self._waiting and not self._ended:
            self._waiting = True
            self._loop.watch(self._out, WRITE, self._writable, self._broken)
        limit = OUT_BYTES_LOW if self.full else OUT_BYTES_HIGH
        if self.full != (self._queue.size > limit):
            self.full = not self.full
            self._on_full(self.full)

    def _broken(self, error: Exception) -> None:
        reason = str(error) if isinstance(error, ProtocolError) else repr(error)
        self._end(f"the worker pipe is unusable: {reason}")

    def _end(self, reason: str) -> None:
        if self._ended:
            return
        self._ended = True
        self._loop.unwatch(self._in)
        self._loop.unwatch(self._out)
        self._on_end(reason)
