"""The pipes of one worker: frames both ways, a socketpair for descriptors, its stderr, its life.

Two pipes and not one socket: writing to a dead worker must not lose what it had already said.
"""

import contextlib
import fcntl
import os
import socket
import sys
from collections.abc import Callable
from typing import Final

from relay_supervisor.adapters.loop import READ, WRITE, Loop
from relay_supervisor.core.events import AnyEvent, WorkerFrame, WorkerPipeFailed
from relay_supervisor.errors import FrameTooLarge
from relay_supervisor.wire.framing import Buffer, FrameReader, WriteQueue, prefix

READ_BYTES: Final = 64 << 10
READ_BYTES_MAX: Final = 1 << 20
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
        worker_in, self._out = _pipe()
        self._in, worker_out = _pipe()
        self._socket, worker_socket = socket.socketpair()
        worker_life, self._life = os.pipe()
        self._err, worker_err = os.pipe()
        self._socket.setblocking(False)
        for fd in (self._in, self._out, self._err):
            os.set_blocking(fd, False)
        self.stdout = worker_err
        self.passed = (worker_in, worker_out, worker_socket.detach(), worker_life)
        """The worker's ends, to be inherited: frames in, frames out, descriptors, life."""
        self._open = True
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
        self._err = -1
        self.close()

    def pause(self, *, paused: bool) -> None:
        """Stop or go on reading frames."""
        self.paused = paused
        if not self._open:
            return
        if paused:
            self._loop.unwatch(self._in)
        else:
            self._loop.watch(self._in, READ, self._read_ready)

    def send(self, header: bytes, payload: Buffer) -> None:
        """Queue one frame."""
        if self._open:
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
        if bool(self._queue.size) != self._writing:
            self._writing = not self._writing
            if self._writing:
                self._loop.watch(self._out, WRITE, lambda _events: self.flush())
            else:
                self._loop.unwatch(self._out)

    def close(self) -> None:
        """Close the pipes and the life line; stderr is read on to its end."""
        if not self._open:
            return
        self._open = False
        for fd in (self._in, self._out):
            self._loop.unwatch(fd)
            os.close(fd)
        self._socket.close()
        os.close(self._life)

    def _read_ready(self, _events: int) -> None:
        try:
            data = os.read(self._in, self._read_bytes)
        except BlockingIOError:
            return
        self._read_bytes = READ_BYTES_MAX if len(data) == self._read_bytes else READ_BYTES
        if not data:
            self._loop.unwatch(self._in)
            self._on_event(WorkerPipeFailed(self.generation, "it closed its pipe"))
            return
        try:
            frames = self._frames.feed(data)
        except FrameTooLarge as error:
            self._loop.unwatch(self._in)
            self._on_event(WorkerPipeFailed(self.generation, str(error)))
            return
        for header, payload in frames:
            self._on_event(WorkerFrame(self.generation, header, payload))

    def _stderr_ready(self, _events: int) -> None:
        data = os.read(self._err, READ_BYTES)
        if data:
            self._on_stderr(data)
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
