"""Frames, descriptors and stderr between supervisor and worker; the test plays the worker."""

import os
import random
import socket
from collections.abc import Iterator

import pytest

from relay_supervisor.adapters.loop import Loop
from relay_supervisor.adapters.worker_pipe import PipeState, WorkerPipe
from relay_supervisor.core.events import AnyEvent, WorkerFrame, WorkerPipeClosed, WorkerPipeFailed
from relay_supervisor.wire.framing import PREFIX, FrameReader, prefix
from tests.unit.relay_supervisor.adapters.descriptors import (
    open_fds,
    read_now,
    read_to_end,
    written_down,
)


class Worker:
    """A WorkerPipe, and the ends a worker would have inherited."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.events: list[AnyEvent] = []
        self.complaints: list[bytes] = []
        self.pipe = WorkerPipe(3, self.loop, self.events.append, self.complaints.append)
        self.read, self.write, fds, self.life = map(os.dup, self.pipe.passed)
        self.socket = socket.socket(fileno=fds)
        self.stderr = os.dup(self.pipe.stdout)
        self.pipe.started()
        self._frames = FrameReader()

    def reexec(self) -> None:
        """Write the adapter down, and make another one of that."""
        left = written_down(self.pipe.export(), PipeState)
        if self.pipe._socket is not None:
            self.pipe._socket.detach()  # at a real one nothing is closed behind it
        self.loop._poller.close()
        self.loop = Loop()
        self.pipe = WorkerPipe(3, self.loop, self.events.append, self.complaints.append, left)
        self.pipe.flush()

    def says(self, *frames: tuple[bytes, bytes]) -> list[AnyEvent]:
        """The worker sends frames; returns what has happened then."""
        os.write(self.write, b"".join(prefix(h, len(p)) + h + p for h, p in frames))
        return self.turn()

    def turn(self) -> list[AnyEvent]:
        """One turn of the loop, without waiting."""
        self.loop.turn(0)
        events, self.events[:] = list(self.events), []
        return events

    def hears(self) -> list[tuple[bytes, bytes]]:
        """The frames the worker can read now."""
        return self._frames.feed(read_now(self.read))

    def dies(self) -> None:
        """The kernel closes all that a process has."""
        for fd in (self.read, self.write, self.life, self.stderr):
            os.close(fd)
        self.socket.close()


@pytest.fixture
def worker() -> Iterator[Worker]:
    before = open_fds()
    worker = Worker()
    poller = worker.loop._poller.fileno() if hasattr(worker.loop._poller, "fileno") else -1
    yield worker
    worker.pipe.close()
    if worker.socket.fileno() >= 0:
        worker.dies()
    worker.loop.turn(0)
    assert open_fds() - before <= {poller}, "descriptors are left open"


def test_frames_reach_the_worker_whole_and_in_order(worker: Worker) -> None:
    worker.pipe.send(b"one", b"payload")
    worker.pipe.send(b"two", b"")
    worker.pipe.send(b"three", memoryview(b"view"))
    assert worker.hears() == []
    worker.pipe.flush()
    assert worker.hears() == [(b"one", b"payload"), (b"two", b""), (b"three", b"view")]


def test_a_frame_that_comes_alone_is_answered_at_once_and_several_at_the_end(
    worker: Worker,
) -> None:
    def answer(event: AnyEvent) -> None:
        assert isinstance(event, WorkerFrame)
        worker.pipe.send(event.header, event.payload)

    worker.pipe._on_event = answer
    os.write(worker.write, prefix(b"one", 1) + b"one1")
    worker.loop.turn(0)
    assert worker.hears() == [(b"one", b"1")]
    worker.pipe.send(b"by itself", b"")
    assert worker.hears() == [], "it is no answer"
    worker.loop.end_turn()
    assert worker.hears() == [(b"by itself", b"")]
    os.write(worker.write, (prefix(b"two", 1) + b"two2") * 2)
    worker.loop.turn(0)
    assert worker.hears() == []
    worker.loop.end_turn()
    assert worker.hears() == [(b"two", b"2")] * 2


def test_an_answer_at_once_to_one_who_does_not_read_waits(worker: Worker) -> None:
    worker.pipe._on_event = lambda event: worker.pipe.send(b"answer", b"")
    left = os.write(worker.pipe._out, bytes(8 << 20))  # what the pipe holds
    os.write(worker.write, prefix(b"one", 1) + b"one1")
    worker.loop.turn(0)
    assert worker.pipe.export().unsent, "it waits"
    assert len(read_now(worker.read)) == left
    worker.loop.turn(0)
    assert worker.hears() == [(b"answer", b"")]


def test_a_frame_larger_than_the_pipe_goes_out_as_the_worker_reads(worker: Worker) -> None:
    payload = random.Random(1).randbytes(5_000_000)
    worker.pipe.send(b"large", payload)
    worker.pipe.send(b"after", b"")
    worker.pipe.flush()
    got = []
    while len(got) < 2:
        got += worker.hears()
        worker.loop.turn(0)
    assert got == [(b"large", payload), (b"after", b"")]


def test_frames_of_the_worker_become_events(worker: Worker) -> None:
    assert worker.says((b"one", b"payload"), (b"", b"")) == [
        WorkerFrame(3, b"one", b"payload"),
        WorkerFrame(3, b"", b""),
    ]


def test_a_frame_in_pieces_is_one_event(worker: Worker) -> None:
    stream = prefix(b"head", 7) + b"headpayload"
    for byte in stream[:-1]:
        os.write(worker.write, bytes([byte]))
        assert worker.turn() == []
    os.write(worker.write, stream[-1:])
    assert worker.turn() == [WorkerFrame(3, b"head", b"payload")]


def test_a_worker_that_closes_its_pipe_has_failed_once(worker: Worker) -> None:
    os.write(worker.write, prefix(b"last", 0) + b"last" + b"\0\0")
    os.close(worker.write)
    worker.write = os.open(os.devnull, os.O_WRONLY)
    assert worker.turn() == [WorkerFrame(3, b"last", b"")]
    assert worker.turn() == [WorkerPipeClosed(3)]
    assert worker.turn() == []


def test_nothing_is_read_any_more_after_the_end_was_seen(worker: Worker) -> None:
    """A pipe at its end is always ready: read on, it would keep the loop from ever resting."""
    os.close(worker.write)
    worker.write = os.open(os.devnull, os.O_WRONLY)
    assert len(worker.turn()) == 1
    worker.pipe.pause(paused=True)
    worker.pipe.pause(paused=False)
    assert worker.turn() == []


def test_a_frame_over_the_limit_fails_the_pipe_and_nothing_after_it_counts(
    worker: Worker,
) -> None:
    os.write(worker.write, prefix(b"good", 0) + b"good")
    os.write(worker.write, PREFIX.pack(2**32 - 1, 0) + b"rubbish")
    events = worker.turn()
    assert len(events) == 1 and isinstance(events[0], WorkerPipeFailed)
    assert "over the limit" in events[0].reason
    assert worker.says((b"more", b"")) == []


def test_while_paused_the_worker_waits_and_then_nothing_is_lost(worker: Worker) -> None:
    worker.pipe.pause(paused=True)
    assert worker.says((b"one", b"")) == []
    assert worker.says((b"two", b"")) == []
    worker.pipe.pause(paused=False)
    assert worker.turn() == [WorkerFrame(3, b"one", b""), WorkerFrame(3, b"two", b"")]


def test_descriptors_come_over_the_socketpair_with_their_token(worker: Worker) -> None:
    read, write = os.pipe()
    worker.pipe.send_fds(0x0102030405060708, [read, write])
    token, fds, flags, _ = socket.recv_fds(worker.socket, 100, 10)
    assert token == bytes(range(1, 9)) and len(fds) == 2 and not flags & socket.MSG_CTRUNC
    os.write(fds[1], b"through")
    assert os.read(read, 100) == b"through"
    for fd in (read, write, *fds):
        os.close(fd)


def test_a_worker_that_takes_no_descriptors_does_not_block_us(worker: Worker) -> None:
    def send_without_end() -> None:
        for token in range(100_000):
            worker.pipe.send_fds(token, [worker.read])

    with pytest.raises(OSError, match=r"."):
        send_without_end()


def test_what_the_worker_prints_is_passed_on_also_after_its_pipe_is_closed(
    worker: Worker,
) -> None:
    os.write(worker.stderr, b"first\n")
    worker.turn()
    worker.pipe.close()
    os.write(worker.stderr, b"Traceback\n")
    worker.turn()
    assert worker.complaints == [b"first\n", b"Traceback\n"]


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (
            b"2026-11-23T21:01:07.956Z info    worker 2: backend is ready backend=fix tools=40",
            "why",
        ),
        (b"2026-11-23T21:01:07.956Z warning worker 2: odd", "why"),
        (b'{"time":"2026","level":"info","generation":2,"message":"backend is ready"}', "why"),
        (b"", "why"),
        (b"2026-11-23T21:01:07.956Z error   worker 2: no", "2026-11-23T21:01:07.956Z error   w"),
        (b'{"time":"2026","level":"error","generation":2,"message":"no"}', '{"time":"2026","lev'),
        (b"there is no info worker here", "there is no info worker here"),
        (b"ImportError", "ImportError"),
    ],
)
def test_the_last_words_are_no_ordinary_line_of_the_log(
    worker: Worker, last: bytes, words: str
) -> None:
    os.write(worker.stderr, b"why\n" + last + b"\n")
    worker.turn()
    assert worker.pipe.last_words().startswith(words)


def test_a_dead_worker_is_found_by_its_silence_and_not_by_writing(worker: Worker) -> None:
    worker.dies()
    worker.pipe.send(b"to nobody", b"x" * 3_000_000)
    worker.pipe.flush()
    worker.pipe.send(b"again", b"")
    worker.pipe.flush()
    assert [type(event) for event in worker.turn()] == [WorkerPipeClosed]


def test_a_worker_that_dies_while_much_is_unwritten_does_not_keep_the_loop_busy(
    worker: Worker,
) -> None:
    worker.pipe.send(b"large", b"x" * 5_000_000)
    worker.pipe.flush()
    worker.dies()
    worker.turn()
    worker.turn()
    assert worker.turn() == []
    assert worker.loop._poll(0.0) == [], "nothing is ready any more"


def test_the_worker_sees_the_end_of_its_input_and_of_its_life_line(worker: Worker) -> None:
    worker.pipe.close()
    assert read_to_end(worker.read) == b""
    assert read_to_end(worker.life) == b""
    worker.pipe.close()
    worker.pipe.send(b"ignored", b"")
    worker.pipe.pause(paused=False)
    assert worker.turn() == []


def test_a_worker_that_is_given_up_is_not_told_that_we_are_dead(worker: Worker) -> None:
    """It would kill the backends of the others, too."""
    worker.pipe.hang_up()
    assert read_to_end(worker.read) == b""
    os.set_blocking(worker.life, False)
    with pytest.raises(BlockingIOError):
        os.read(worker.life, 1)


def test_no_end_is_inherited_by_a_child_that_is_not_given_it(worker: Worker) -> None:
    other = WorkerPipe(4, worker.loop, print, print)
    ours = (other._in, other._out, other._life, other._err, other._socket.fileno())
    assert not any(os.get_inheritable(fd) for fd in (*ours, *other.passed, other.stdout))
    other.not_started()


def test_a_worker_that_could_not_be_started_leaves_no_descriptor_open() -> None:
    loop = Loop()
    before = open_fds()
    WorkerPipe(3, loop, print, print).not_started()
    assert open_fds() == before
