"""The pipes of one worker: frames both ways, a socketpair for descriptors, its stderr, its life.

Two pipes and not one socket: writing to a dead worker must not lose what it had already said.
"""

import contextlib
import fcntl
import mmap
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Final

from relay_supervisor.adapters.loop import READ, WRITE, Loop
from relay_supervisor.core.events import AnyEvent, WorkerFrame, WorkerPipeClosed, WorkerPipeFailed
from relay_supervisor.errors import FrameTooLarge
from relay_supervisor.wire.framing import Buffer, FrameReader, WriteQueue, prefix
from relay_supervisor.wire.ledger import LEDGER_BYTES, Ledger

READ_BYTES: Final = 64 << 10
READ_BYTES_MAX: Final = 1 << 20
WORDS_BYTES_MAX: Final = 400
PIPE_BYTES: Final = 1 << 20
"""Asked of the kernel for large frames; less is fine."""


class WorkerPipe:
    """The supervisor's ends of everything that connects it to one worker."""

    def __init__(
        self,
        generation: int,
        loop: Loop,
        on_event: Callable[[AnyEvent], None],
        on_stderr: Callable[[bytes], None],
    ) -> None:
        self.generation = generation
        self._loop = loop
        self._on_event = on_event
        self._on_stderr = on_stderr
        self._frames = FrameReader()
        self._queue = WriteQueue()
        self._read_bytes = READ_BYTES
        # All or none: where the descriptors run out half way, those made so far must not be lost.
        with contextlib.ExitStack() as made:
            worker_in, self._out = _kept(made, _pipe())
            self._in, worker_out = _kept(made, _pipe())
            worker_socket, socket_fd = _kept(made, _socketpair())
            worker_life, self._life = _kept(made, os.pipe())
            self._err, self.stdout = _kept(made, os.pipe())
            self.ledger = _shared_memory(LEDGER_BYTES)
            """Descriptor of the ledger's memory, to be inherited as well."""
            made.pop_all()
        self._socket = socket.socket(fileno=socket_fd)
        for fd in (self._in, self._out, self._err, socket_fd):
            os.set_blocking(fd, False)
        self.passed = (worker_in, worker_out, worker_socket, worker_life)
        """The worker's ends, to be inherited: frames in, frames out, descriptors, life."""
        self._talking = True  # it may still be written to
        self._words = b""
        self._reading = True  # there may still be something to read
        self._writing = False
        self.paused = False
        """Frames are not read, as the client has too much to read already."""

    def started(self) -> None:
        """The worker has its ends: close ours of them and listen."""
        for fd in (*self.passed, self.stdout):
            os.close(fd)
        self._loop.watch(self._in, READ, self._read_ready)
        self._loop.watch(self._err, READ, self._stderr_ready)

    def not_started(self) -> None:
        """The worker could not be started: close everything."""
        for fd in (*self.passed, self.stdout, self._err):
            os.close(fd)
        self.hang_up()
        self.close()

    def pause(self, *, paused: bool) -> None:
        """Stop or go on reading frames."""
        self.paused = paused
        if not self._reading:
            return
        if paused:
            self._loop.unwatch(self._in)
        else:
            self._loop.watch(self._in, READ, self._read_ready)

    def send(self, header: bytes, payload: Buffer) -> None:
        """Queue one frame."""
        if self._talking:
            self._queue.append(prefix(header, len(payload)) + header, payload)

    def send_fds(self, token: int, fds: list[int]) -> None:
        """Send descriptors over the socketpair.

        Raises:
            OSError: the worker has not taken earlier ones, or is gone.
        """
        socket.send_fds(self._socket, [token.to_bytes(8, "big")], fds)

    def flush(self) -> None:
        """Write what the worker takes now; a dead one is found by its silence, not here."""
        if not self._queue.size:
            return
        try:
            self._queue.flush(self._out)
        except OSError:
            self._queue.clear()
        if bool(self._queue.size) is not self._writing:
            self._writing = not self._writing
            if self._writing:
                self._loop.watch(self._out, WRITE, lambda _events: self.flush())
            else:
                self._loop.unwatch(self._out)

    def hang_up(self) -> None:
        """Say nothing more to the worker, and cut its life line. What it has said is still read."""
        if not self._talking:
            return
        self._talking = False
        self._queue.clear()
        self._loop.unwatch(self._out)
        os.close(self._out)
        self._socket.close()
        os.close(self._life)

    def drain(self) -> None:
        """The worker is dead: read all that it has left in the pipe."""
        while self._reading:
            self._read_ready(READ)

    def last_words(self) -> str:
        """Return the last line a dead worker wrote to its stderr."""
        if self._err >= 0 and self._loop.watches(self._err):
            self._stderr_ready(READ)
        return self._words[:WORDS_BYTES_MAX].decode(errors="replace").strip()

    def stages(self) -> Mapping[int, int] | None:
        """Return what the ledger of a dead worker says of each call; None: it does not know all."""
        with mmap.mmap(self.ledger, LEDGER_BYTES) as memory, memoryview(memory) as view:
            ledger = Ledger(view)
            stages = dict(ledger.read()) if ledger.complete else None
            ledger.close()
        return stages

    def close(self) -> None:
        """The worker is dead and all is read; its stderr is read on to its end."""
        self.hang_up()
        self._stop_reading()
        if self._in >= 0:
            os.close(self._in)
            os.close(self.ledger)
            self._in = self.ledger = -1

    def _stop_reading(self) -> None:
        self._reading = False
        self._loop.unwatch(self._in)

    def _read_ready(self, _events: int) -> None:
        try:
            data = os.read(self._in, self._read_bytes)
        except BlockingIOError:
            return
        self._read_bytes = READ_BYTES_MAX if len(data) == self._read_bytes else READ_BYTES
        if not data:
            self._stop_reading()
            self._on_event(WorkerPipeClosed(self.generation))
            return
        try:
            frames = self._frames.feed(data)
        except FrameTooLarge as error:
            self._stop_reading()
            self._on_event(WorkerPipeFailed(self.generation, str(error)))
            return
        for header, payload in frames:
            self._on_event(WorkerFrame(self.generation, header, payload))

    def _stderr_ready(self, _events: int) -> None:
        try:
            data = os.read(self._err, READ_BYTES)
        except BlockingIOError:
            return
        if data:
            self._on_stderr(data)
            lines = data.split(b"\n")
            self._words = next((line for line in reversed(lines) if line.strip()), self._words)
            return
        self._loop.unwatch(self._err)
        os.close(self._err)


def _pipe() -> tuple[int, int]:
    ends = os.pipe()
    if sys.platform == "linux":
        # Refused where the user's share of pipe memory is used up; smaller pipes will do.
        with contextlib.suppress(OSError):
            fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return ends


def _kept(made: contextlib.ExitStack, ends: tuple[int, int]) -> tuple[int, int]:
    """Have both descriptors closed if *made* is left without `pop_all`."""
    for fd in ends:
        made.callback(os.close, fd)
    return ends


def _socketpair() -> tuple[int, int]:
    one, other = socket.socketpair()
    return one.detach(), other.detach()


def _shared_memory(size: int) -> int:
    """Return a descriptor of zeroed memory that two processes can map."""
    if sys.platform == "linux":
        fd = os.memfd_create("mcp-relay-ledger")
    else:
        fd, path = tempfile.mkstemp(prefix="mcp-relay-ledger-")
        os.unlink(path)
    os.ftruncate(fd, size)
    return fd
