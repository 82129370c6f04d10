"""The pipes of one worker: frames both ways, a socketpair for descriptors, its stderr, its life.

Two pipes and not one socket: writing to a dead worker must not lose what it had already said.
"""

import contextlib
import fcntl
import mmap
import os
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from relay_supervisor import memory_file
from relay_supervisor.adapters.loop import READ, WRITE, Loop
from relay_supervisor.core.events import AnyEvent, WorkerFrame, WorkerPipeClosed, WorkerPipeFailed
from relay_supervisor.errors import FrameTooLarge
from relay_supervisor.wire.framing import PREFIX, Buffer, FrameReader, WriteQueue, prefix
from relay_supervisor.wire.ledger import LEDGER_BYTES, Ledger

READ_BYTES: Final = 64 << 10
READ_BYTES_MAX: Final = 1 << 20
WORDS_BYTES_MAX: Final = 400
ORDINARY: Final = (b"debug", b"info", b"warning")
"""Levels of log lines that give no reason for a death."""
SMALL_BYTES: Final = 4 << 10
"""Payloads up to here are copied behind their header."""
PIPE_BYTES: Final = 1 << 20
"""Asked of the kernel for large frames; less is fine."""


_pack = PREFIX.pack


class PipeState(msgspec.Struct):
    """What is left of it when the code is replaced. A descriptor of -1 is closed."""

    generation: int
    frames_in: int
    frames_out: int
    socket: int
    life: int
    stderr: int
    ledger: int
    frame: bytes = b""
    """What has come of a frame that is not complete."""
    unsent: bytes = b""
    talking: bool = True
    reading: bool = True
    paused: bool = False
    words: bytes = b""

    def descriptors(self) -> list[int]:
        """Return those that are open."""
        ends = (self.frames_in, self.frames_out, self.socket, self.life, self.stderr, self.ledger)
        return [fd for fd in ends if fd >= 0]


class WorkerPipe:
    """The supervisor's ends of everything that connects it to one worker."""

    def __init__(
        self,
        generation: int,
        loop: Loop,
        on_event: Callable[[AnyEvent], None],
        on_stderr: Callable[[bytes], None],
        left: PipeState | None = None,
    ) -> None:
        """Make the pipes for a worker that is to be started, or go on with what is *left*."""
        self.generation = generation
        self._loop = loop
        self._on_event = on_event
        self._on_stderr = on_stderr
        self.passed: tuple[int, ...] = ()
        """The worker's ends, to be inherited: frames in, frames out, descriptors, life."""
        self.stdout = -1
        """Where its stdout and stderr go, to be inherited too."""
        known = left or self._made()
        self._in, self._out, self._err = known.frames_in, known.frames_out, known.stderr
        self._life, self.ledger = known.life, known.ledger
        self._socket = socket.socket(fileno=known.socket) if known.talking else None
        self._frames = FrameReader()
        self._frames.feed(known.frame)
        self._queue = WriteQueue()
        self._queue.append(known.unsent)
        self._read_bytes = READ_BYTES
        self._talking = known.talking  # it may still be written to
        self._words = known.words
        self._reading = known.reading  # there may still be something to read
        self._writing = False
        self.paused = known.paused
        """Frames are not read, as the client has too much to read already."""
        if left is not None:
            self._listen()
        if self._queue.size:
            loop.at_turn_end(self.flush)

    def _made(self) -> PipeState:
        # All or none: where the descriptors run out half way, those made so far must not be lost.
        with contextlib.ExitStack() as made:
            worker_in, out = _kept(made, _pipe())
            in_, worker_out = _kept(made, _pipe())
            worker_socket, socket_fd = _kept(made, _socketpair())
            worker_life, life = _kept(made, os.pipe())
            err, self.stdout = _kept(made, os.pipe())
            ledger = memory_file.make("ledger", LEDGER_BYTES)
            made.pop_all()
        for fd in (in_, out, err, socket_fd):
            os.set_blocking(fd, False)
        self.passed = (worker_in, worker_out, worker_socket, worker_life)
        return PipeState(self.generation, in_, out, socket_fd, life, err, ledger)

    def export(self) -> PipeState:
        """Return what another one can go on from."""
        return PipeState(
            self.generation,
            self._in,
            self._out,
            self._socket.fileno() if self._socket is not None else -1,
            self._life,
            self._err,
            self.ledger,
            self._frames.rest if self._reading else b"",
            self._queue.rest,
            self._talking,
            self._reading,
            self.paused,
            self._words,
        )

    @property
    def complains(self) -> bool:
        """Tell whether something may still come on its stderr."""
        return self._err >= 0

    def started(self) -> None:
        """The worker has its ends: close ours of them and listen."""
        for fd in (*self.passed, self.stdout):
            os.close(fd)
        self._listen()

    def _listen(self) -> None:
        if self._reading and not self.paused:
            self._loop.watch(self._in, READ, self._read_ready)
        if self.complains:
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
        if not self._talking:
            return None
        queue, size = self._queue, len(payload)
        if len(header) + size <= SMALL_BYTES:  # one small buffer costs less than two
            frame = _pack(len(header), size) + header + payload
            if not queue.size:
                if self._loop.alone:
                    return self._write(frame)
                self._loop.at_turn_end(self.flush)
            return queue.put(frame)
        if not queue.size:
            self._loop.at_turn_end(self.flush)
        return queue.append(prefix(header, size) + header, payload)

    def _write(self, frame: bytes) -> None:
        try:
            self._queue.write(self._out, frame)
        except OSError:
            return  # a dead worker is found by its silence
        if self._queue.size:
            self._wait()

    def send_fds(self, token: int, fds: list[int]) -> None:
        """Send descriptors over the socketpair.

        Raises:
            OSError: the worker has not taken earlier ones, or is gone.
        """
        if self._socket is None:
            raise BrokenPipeError("it was hung up on")
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
            self._wait()

    def _wait(self) -> None:
        """There is something left for the worker to take, or there is nothing any more."""
        if bool(self._queue.size) is not self._writing:
            self._writing = not self._writing
            if self._writing:
                self._loop.watch(self._out, WRITE, lambda _events: self.flush())
            else:
                self._loop.unwatch(self._out)

    def hang_up(self) -> None:
        """Say nothing more to the worker. What it has said is still read, and its life line stays:
        the end of that means that we are dead, and it would kill all backends, of all workers.
        """
        if not self._talking:
            return
        self._talking = False
        self._queue.clear()
        self._loop.unwatch(self._out)
        os.close(self._out)
        if self._socket is not None:
            self._socket.close()
        self._out, self._socket = -1, None

    def drain(self) -> None:
        """The worker is dead: read all that it has left in the pipe."""
        while self._reading:
            self._read_ready(READ)

    def last_words(self) -> str:
        """Return the last line a dead worker wrote to stderr that is no ordinary one of its log."""
        if self.complains:
            self._stderr_ready(READ)
        return self._words[:WORDS_BYTES_MAX].decode(errors="replace").strip()

    def stages(self) -> Mapping[int, int] | None:
        """Return what the ledger of a dead worker says of each call; None: it does not know all."""
        with mmap.mmap(self.ledger, 0) as memory, memoryview(memory) as view:
            ledger = Ledger(view)
            stages = dict(ledger.read()) if ledger.complete else None
            ledger.close()
        return stages

    def close(self) -> None:
        """The worker is dead and all is read; its stderr is read on to its end."""
        self.hang_up()
        self._stop_reading()
        if self._in >= 0:
            for fd in (self._in, self._life, self.ledger):
                os.close(fd)
            self._in = self._life = self.ledger = -1

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
        generation, on_event, loop = self.generation, self._on_event, self._loop
        loop.alone = len(frames) == 1
        for header, payload in frames:
            on_event(WorkerFrame(generation, header, payload))
        loop.alone = False

    def _stderr_ready(self, _events: int) -> None:
        try:
            data = os.read(self._err, READ_BYTES)
        except BlockingIOError:
            return
        if data:
            self._on_stderr(data)
            lines = data.split(b"\n")
            self._words = next(filter(_may_say_why, reversed(lines)), self._words)
            return
        self._loop.unwatch(self._err)
        os.close(self._err)
        self._err = -1


def _may_say_why(line: bytes) -> bool:
    """Tell whether a line of stderr is more than an ordinary one of a log, in either format."""
    words = line.split(None, 3)
    if len(words) > 3 and words[1] in ORDINARY and words[2] == b"worker":
        return False
    json = line.startswith(b'{"time":')
    return bool(words) and not (json and any(b'"level":"%b"' % one in line for one in ORDINARY))


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
