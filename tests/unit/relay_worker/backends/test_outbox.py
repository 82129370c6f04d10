"""What waits for a backend goes out whole and in order; the ledger knows how far it has come."""

import os
from collections.abc import Iterator

import hypothesis.strategies as st
import pytest
from hypothesis import given

from relay_supervisor.wire.framing import JOIN_BYTES_MAX
from relay_supervisor.wire.ledger import LEDGER_BYTES, Ledger, Stage
from relay_supervisor.wire.mailbox import HEADER_BYTES, PIPE_BUF, Fate, Record, Word, record
from relay_worker.backends.outbox import Outbox


class Ends:
    """An outbox and the pipe it writes to."""

    def __init__(self) -> None:
        self.ledger = Ledger(memoryview(bytearray(LEDGER_BYTES)))
        self.header = bytearray(HEADER_BYTES)
        self.outbox = Outbox(self.ledger, memoryview(self.header)[: len(Word) * 8].cast("q"))
        self.stdin, self.fd = os.pipe()
        os.set_blocking(self.stdin, False)
        os.set_blocking(self.fd, False)

    def call(self, number: int, *frame: bytes) -> None:
        self.ledger.take(number)
        self.outbox.append(number, *frame)

    @property
    def record(self) -> Record | None:
        return record(memoryview(self.header))

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


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What each write was given."""
    given: list[bytes] = []
    real_write = os.write

    def write(fd: int, data: bytes) -> int:
        given.append(bytes(data))
        return real_write(fd, data)

    monkeypatch.setattr(os, "write", write)
    return given


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
def test_only_the_call_that_is_in_the_pipe_in_part_is_not_certain(ends: Ends, pieces: int) -> None:
    size = ends.fill() // 3 * 2
    ends.read()
    frame = (b"y" * (size // pieces),) * pieces
    for call in (1, 2, 3):
        ends.call(call, *frame)
    for _ in range(2):
        ends.outbox.flush(ends.fd)
        assert ends.ledger.read() == {1: Stage.WRITTEN, 2: Stage.RECEIVED, 3: Stage.RECEIVED}
        assert ends.record == Record(2, Fate.CUT, torn=True)
    while ends.outbox.size:
        ends.read()
        ends.outbox.flush(ends.fd)
    assert set(ends.ledger.read().values()) == {Stage.WRITTEN} and ends.record is None


def test_the_end_of_a_large_frame_goes_out_alone(ends: Ends, writes: list[bytes]) -> None:
    ends.call(1, b"x" * PIPE_BUF, b"}", b"\n")
    ends.outbox.flush(ends.fd)
    assert writes[-1] == b"}\n" and ends.read() == b"x" * PIPE_BUF + b"}\n"


def test_a_frame_that_fits_goes_out_in_one_write_of_its_own(
    ends: Ends, writes: list[bytes]
) -> None:
    ends.call(1, b"x" * (PIPE_BUF - 1), b"\n")
    ends.call(2, b"two\n")
    ends.outbox.flush(ends.fd)
    assert writes == [b"x" * (PIPE_BUF - 1) + b"\n", b"two\n"]


def test_errands_are_told_when_they_are_written(ends: Ends) -> None:
    ends.call(7, b"errand\n")
    ends.outbox.errands.add(7)
    ends.call(8, b"call\n")
    ends.outbox.flush(ends.fd)
    assert ends.outbox.done == [7] and not ends.outbox.errands


@given(st.lists(st.sampled_from([1, 50, PIPE_BUF, PIPE_BUF + 1, 70_000, 200_000]), max_size=8))
def test_another_one_goes_on_where_it_stopped(sizes: list[int]) -> None:
    """Again and again: every frame arrives whole, once and in order."""
    ends = Ends()
    sent, received = b"", b""
    for index, size in enumerate(sizes):
        frame = bytes([97 + index]) * (size - 1) + b"\n"
        ends.call(index + 1, frame)
        sent += frame
    while ends.outbox.size:
        ends.outbox.flush(ends.fd)
        unsent, written = ends.outbox.left()
        ends.outbox = Outbox(ends.ledger, ends.outbox._words)
        ends.outbox.take_over(unsent, written)
        received += ends.read(30_000)
    while more := ends.read():
        received += more
    ends.close()
    assert received == sent


def test_a_line_torn_by_a_kill_is_ended_before_anything_else(ends: Ends) -> None:
    """The newline is written under the record of the torn line: a kill now changes nothing."""
    ends.fill()
    ends.read(60_000)
    ends.call(1, b"x" * 70_000 + b"\n")
    ends.outbox.flush(ends.fd)
    torn = ends.record
    assert torn is not None and torn.torn
    after = Outbox(ends.ledger, ends.outbox._words)
    after.take_over([], 0)
    after.append(2, b"next\n")
    after.flush(ends.fd)
    assert ends.record == torn, "there was no room for the newline yet"
    while ends.read(1 << 20):
        pass
    after.flush(ends.fd)
    assert ends.read() == b"\nnext\n" and ends.record is None


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
    outbox = ends.outbox
    sent, received = b"", b""
    for index, sizes in enumerate(frames):
        frame = [bytes([65 + index]) * size for size in sizes]
        outbox.append(0, *frame)
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
