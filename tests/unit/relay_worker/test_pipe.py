"""The pipe to the supervisor: frames of any chunking in, one write per turn out, bounded."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import pytest

from relay_supervisor.wire import v1
from relay_supervisor.wire.framing import PREFIX, FrameReader, prefix
from relay_supervisor.wire.ledger import LEDGER_BYTES, Ledger
from relay_supervisor.wire.mailbox import PIPE_BUF
from relay_worker import pipe as pipes
from relay_worker.loop import READ, Loop
from relay_worker.pipe import Pipe


class Ends:
    """A pipe of the worker's with the supervisor's ends in our hands."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.loop = Loop(lambda where, error: self.errors.append(f"{where}: {error}"))
        self.frames: list[tuple[bytes, bytes]] = []
        self.ends: list[str] = []
        self.fullness: list[bool] = []
        worker_in, self.to_worker = os.pipe()
        self.from_worker, worker_out = os.pipe()
        os.set_blocking(self.from_worker, False)
        self.fds = {worker_in, worker_out, self.to_worker, self.from_worker}
        self.pipe = Pipe(
            self.loop,
            worker_in,
            worker_out,
            on_frame=lambda header, payload: self.frames.append((header, payload)),
            on_end=self.ends.append,
            on_full=self.fullness.append,
        )

    def close(self, fd: int) -> None:
        self.fds.discard(fd)
        os.close(fd)

    def read(self) -> bytes:
        """All the worker has written."""
        data = b""
        try:
            while chunk := os.read(self.from_worker, 1 << 20):
                data += chunk
        except BlockingIOError:
            pass
        return data


@pytest.fixture
def ends() -> Iterator[Ends]:
    one = Ends()
    yield one
    one.loop.close()
    for fd in one.fds:
        os.close(fd)


def test_frames_come_in_however_they_are_cut(ends: Ends) -> None:
    data = prefix(b"head", 3) + b"head" + b"abc" + prefix(b"h", 0) + b"h"
    for byte in data:
        os.write(ends.to_worker, bytes([byte]))
        ends.loop.turn(0)
    assert ends.frames == [(b"head", b"abc"), (b"h", b"")]


def test_all_of_a_turn_goes_out_in_one_write(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []
    real_write = os.write
    monkeypatch.setattr(
        pipes.os, "write", lambda fd, data: writes.append(bytes(data)) or real_write(fd, data)
    )
    ends.pipe.send(v1.Pong(1))
    ends.pipe.send(v1.Reply(2, 0), b'"result":', memoryview(b"{}"), b"}")
    ends.loop.turn(0)
    assert len(writes) == 1
    (first, _), (second, payload) = FrameReader().feed(writes[0])
    assert v1.decode_to_supervisor(first) == v1.Pong(1)
    assert v1.decode_to_supervisor(second) == v1.Reply(2, 0)
    assert payload == b'"result":{}}'


@pytest.mark.parametrize("size", [0, pipes.SMALL_BYTES, pipes.SMALL_BYTES + 1, 300_000])
def test_payloads_of_any_size_arrive_whole(ends: Ends, size: int) -> None:
    ends.pipe.send(v1.Reply(2, 0), b"x" * size, b"y")
    reader, frames, data = FrameReader(), [], b""
    for _ in range(100):
        ends.loop.turn(0)
        data = ends.read()
        if data:
            frames += reader.feed(data)
    assert [payload for _, payload in frames] == [b"x" * size + b"y"]


def test_it_says_when_too_much_waits_and_when_there_is_room_again(ends: Ends) -> None:
    for _ in range(10):
        ends.pipe.send(v1.Reply(1, 0), b"x" * (1 << 20))
    ends.loop.turn(0)
    assert ends.fullness == [True] and ends.pipe.full
    received = 0
    while received < 10 << 20:
        received += len(ends.read())
        ends.loop.turn(0)
    assert ends.fullness == [True, False] and not ends.pipe.full


def test_what_comes_while_the_pipe_waits_counts_too(ends: Ends) -> None:
    for turn in range(12):
        assert ends.pipe.full == (turn > 8)
        ends.pipe.send(v1.Reply(1, 0), b"x" * (1 << 20))
        ends.loop.turn(0)
    assert ends.fullness == [True]


def test_the_end_is_told_once(ends: Ends) -> None:
    ends.close(ends.to_worker)
    ends.loop.turn(0)
    ends.close(ends.from_worker)
    ends.pipe.send(v1.Pong(1))
    ends.loop.turn(0)
    assert ends.ends == ["the supervisor closed the pipe"]


def test_a_supervisor_that_stops_reading_for_good_is_an_end(ends: Ends) -> None:
    ends.close(ends.from_worker)
    ends.pipe.send(v1.Pong(1))
    ends.loop.turn(0)
    assert len(ends.ends) == 1 and "does not read" in ends.ends[0]


def test_a_broken_prefix_is_an_end(ends: Ends) -> None:
    os.write(ends.to_worker, PREFIX.pack(2**32 - 1, 0))
    ends.loop.turn(0)
    assert len(ends.ends) == 1 and "limit" in ends.ends[0]


def test_what_is_queued_is_written_before_an_exit(ends: Ends) -> None:
    ends.pipe.send(v1.Pong(7))
    ends.pipe.flush_last()
    header: Any = FrameReader().feed(ends.read())[0][0]
    assert v1.decode_to_supervisor(header) == v1.Pong(7)
    ends.close(ends.from_worker)
    ends.pipe.send(v1.Pong(8))
    ends.pipe.flush_last()


def test_a_call_leaves_the_ledger_when_its_reply_is_wholly_in_the_pipe(ends: Ends) -> None:
    ledger = Ledger(memoryview(bytearray(LEDGER_BYTES)))
    ends.pipe._release = ledger.release
    for call in (1, 2, 3):
        ledger.take(call)
    ends.pipe.send(v1.Reply(1, 0), b"{}")
    ends.pipe.send(v1.Reply(2, 0), b"x" * (1 << 20))
    assert set(ledger.read()) == {1, 2, 3}
    ends.loop.turn(0)
    assert set(ledger.read()) == {2, 3}, "the second is torn"
    received = 0
    while received < 1 << 20:
        received += len(ends.read())
        ends.loop.turn(0)
    assert set(ledger.read()) == {3}


def test_what_depends_on_a_frame_is_done_when_it_is_wholly_in_the_pipe(ends: Ends) -> None:
    ledger = Ledger(memoryview(bytearray(LEDGER_BYTES)))
    ends.pipe._release = ledger.release
    for number in range(1, 6):
        ledger.take(number)
    done: list[int] = []
    ends.pipe.when_written(done.append, 1)
    assert done == [1], "nothing is on its way"
    ends.pipe.send(v1.Done(1))
    ends.pipe.send(v1.Returned([2, 3]))
    ends.pipe.when_written(done.append, 2)
    ends.pipe.send(v1.Frozen("fix", 0), b"x" * (1 << 20))
    ends.pipe.when_written(done.append, 3)
    assert done == [1] and set(ledger.read()) == {1, 2, 3, 4, 5}
    ends.loop.turn(0)
    assert done == [1, 2] and set(ledger.read()) == {4, 5}
    received = 0
    while received < 1 << 20:
        received += len(ends.read())
        ends.loop.turn(0)
    assert done == [1, 2, 3]
    ends.close(ends.from_worker)
    ends.pipe.send(v1.Done(4))
    ends.loop.turn(0)
    ends.pipe.when_written(done.append, 4)
    ends.loop.turn(0)
    assert done == [1, 2, 3] and set(ledger.read()) == {4, 5}, "nobody has got anything"


class Answering:
    """A call that is answered in a turn of its own, alone or not."""

    def __init__(self, ends: Ends) -> None:
        self.ends = ends
        self.ledger = Ledger(memoryview(bytearray(LEDGER_BYTES)))
        ends.pipe._release = self.ledger.release
        self.members = b'"result":{}}'
        self.at_once = b""
        self.event, self.wake = os.pipe()
        ends.fds |= {self.event, self.wake}
        os.write(self.wake, b"x")

    @property
    def frame(self) -> bytes:
        return v1.reply_frame(7, v1.OUTCOME_RESULT, self.members)

    def answer(self) -> None:
        self.ledger.take(7)
        self.ends.loop.watch(self.event, READ, self._ready)
        self.ends.loop.turn(0)
        self.ends.loop.unwatch(self.event)

    def _ready(self, _events: int) -> None:
        self.ends.pipe.reply(7, v1.OUTCOME_RESULT, self.members)
        self.at_once = self.ends.read()
        assert set(self.ledger.read()) == (set() if self.at_once else {7})


def test_an_answer_that_is_alone_is_written_at_once(ends: Ends) -> None:
    one = Answering(ends)
    one.answer()
    assert one.at_once == one.frame and ends.read() == b"" and ends.errors == []


@pytest.mark.parametrize("why", ["another event", "sent before", "large"])
def test_an_answer_that_is_not_alone_comes_with_the_others(ends: Ends, why: str) -> None:
    one = Answering(ends)
    before = b""
    if why == "another event":
        os.write(ends.to_worker, PREFIX.pack(1, 0) + b"h")
    elif why == "sent before":
        ends.pipe.send(v1.Pong(1))
        header = v1.encode(v1.Pong(1))
        before = prefix(header, 0) + header
    else:
        one.members = b"x" * PIPE_BUF
    one.answer()
    assert one.at_once == b"" and ends.read() == before + one.frame
    assert one.ledger.read() == {} and ends.errors == []


def test_an_answer_that_the_pipe_has_no_room_for_waits(ends: Ends) -> None:
    one = Answering(ends)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(ends.pipe._out, b"x" * 4096)
    one.ledger.take(7)
    ends.loop.alone = True
    ends.pipe.reply(7, v1.OUTCOME_RESULT, one.members)
    ends.loop.turn(0)
    assert set(one.ledger.read()) == {7} and ends.read().strip(b"x") == b""
    ends.loop.turn(0)
    assert ends.read() == one.frame and one.ledger.read() == {}


def test_the_last_flush_waits_for_nobody(ends: Ends) -> None:
    ends.pipe.send(v1.Reply(1, 0), b"x" * (1 << 20))
    ends.pipe.flush_last()
    assert 0 < len(ends.read()) < 1 << 20
