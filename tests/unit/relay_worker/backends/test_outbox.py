"""What waits for a backend goes out whole and in order; the ledger knows how far it has come."""

import os
from collections.abc import Iterator

import hypothesis.strategies as st
import pytest
from hypothesis import given

from relay_supervisor.wire.framing import JOIN_BYTES_MAX
from relay_supervisor.wire.ledger import LEDGER_BYTES, Ledger, Stage
from relay_worker.backends.outbox import Outbox
from relay_worker.ledger import UNREAD


class Ends:
    """An outbox and the pipe it writes to."""

    def __init__(self) -> None:
        self.ledger = Ledger(memoryview(bytearray(LEDGER_BYTES)))
        self.outbox = Outbox(self.ledger)
        self.stdin, self.fd = os.pipe()
        os.set_blocking(self.stdin, False)
        os.set_blocking(self.fd, False)

    def call(self, number: int, *frame: bytes) -> None:
        self.ledger.take(number)
        self.outbox.append(number, *frame)

    def read(self, size: int = 1 << 20) -> bytes:
        try:
            return os.read(self.stdin, size)
        except BlockingIOError:
            return b""

    def fill(self) -> int:
        """Leave no room in the pipe; return how much is in it."""
        size = 0
        try:
            while True:
                size += os.write(self.fd, b"x" * 4096)
        except BlockingIOError:
            return size

    def close(self) -> None:
        os.close(self.stdin)
        os.close(self.fd)


@pytest.fixture
def ends() -> Iterator[Ends]:
    one = Ends()
    yield one
    one.close()


def test_calls_are_written_when_their_frames_are(ends: Ends) -> None:
    ends.call(1, b"one\n")
    ends.outbox.append(0, b"notice\n")
    ends.call(2, b"t", b"wo", b"\n")
    assert set(ends.ledger.read().values()) == {Stage.RECEIVED} and ends.outbox.size == 15
    ends.outbox.flush(ends.fd)
    assert ends.ledger.read() == {1: Stage.WRITTEN, 2: Stage.WRITTEN} and not ends.outbox.size
    assert ends.read() == b"one\nnotice\ntwo\n"


@pytest.mark.parametrize("frames", [1, 2])
def test_where_the_backend_takes_nothing_all_stays_received(ends: Ends, frames: int) -> None:
    ends.fill()
    for call in range(1, frames + 1):
        ends.call(call, b"frame\n")
    ends.outbox.flush(ends.fd)
    assert set(ends.ledger.read().values()) == {Stage.RECEIVED}
    assert ends.outbox.size == frames * 6


@pytest.mark.parametrize("pieces", [1, 3])
def test_only_the_call_that_is_in_the_pipe_in_part_is_in_doubt(ends: Ends, pieces: int) -> None:
    size = ends.fill() // 3 * 2
    ends.read()
    frame = (b"y" * (size // pieces),) * pieces
    for call in (1, 2, 3):
        ends.call(call, *frame)
    ends.outbox.flush(ends.fd)
    assert ends.ledger.read() == {1: Stage.WRITTEN, 2: Stage.WRITING, 3: Stage.RECEIVED}
    ends.outbox.flush(ends.fd)
    assert ends.ledger.read() == {1: Stage.WRITTEN, 2: Stage.WRITING, 3: Stage.RECEIVED}
    while ends.outbox.size:
        ends.read()
        ends.outbox.flush(ends.fd)
    assert set(ends.ledger.read().values()) == {Stage.WRITTEN}


def test_what_is_cleared_is_forgotten(ends: Ends) -> None:
    ends.fill()
    ends.outbox.append(1, b"gone\n")
    ends.outbox.flush(ends.fd)
    ends.outbox.clear()
    ends.read()
    ends.outbox.append(2, b"kept\n")
    ends.outbox.flush(ends.fd)
    assert ends.read() == b"kept\n" and not ends.outbox.size


@pytest.mark.parametrize("frames", [1, 2])
def test_a_backend_that_is_gone_is_an_error(ends: Ends, frames: int) -> None:
    gone, fd = os.pipe()
    os.close(gone)
    for call in range(1, frames + 1):
        ends.call(call, b"x")
    with pytest.raises(BrokenPipeError):
        ends.outbox.flush(fd)
    os.close(fd)


def test_many_small_frames_go_out_in_few_writes(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = []
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: writes.append(data) or real_write(fd, data))
    for call in range(1, 257):
        ends.call(call, b"a frame\n")
    ends.outbox.flush(ends.fd)
    assert len(writes) == 1 and ends.read() == b"a frame\n" * 256


@given(
    st.lists(
        st.lists(
            st.one_of(st.integers(0, 50), st.sampled_from([5000, 70_000, JOIN_BYTES_MAX])),
            min_size=1,
            max_size=3,
        ),
        max_size=20,
    ),
    st.lists(st.integers(1, 100_000), min_size=1, max_size=10),
)
def test_nothing_is_lost_or_changed(frames: list[list[int]], reads: list[int]) -> None:
    ends = Ends()
    outbox = Outbox(UNREAD)
    sent, received = b"", b""
    for index, sizes in enumerate(frames):
        frame = [bytes([65 + index]) * size for size in sizes]
        outbox.append(index, *frame)
        sent += b"".join(frame)
        if index % 3 == 0:
            outbox.flush(ends.fd)
            received += ends.read(reads[index % len(reads)])
    while outbox.size:
        outbox.flush(ends.fd)
        received += ends.read()
    outbox.flush(ends.fd)
    received += ends.read()
    ends.close()
    assert received == sent
