"""What waits for a backend goes out whole and in order; ledger and mailbox know how far it is."""

import os
import sys
from collections.abc import Iterator

import hypothesis.strategies as st
import pytest
from hypothesis import given

from relay_supervisor.wire.custody import Unsent
from relay_supervisor.wire.ledger import LEDGER_BYTES, Ledger, Stage
from relay_supervisor.wire.mailbox import PIPE_BUF, Fate, Record, Word, record
from relay_worker.backends.outbox import Outbox
from relay_worker.ledger import UNREAD

LARGE = PIPE_BUF + 1


class Ends:
    """An outbox with its part of the mailbox, and the pipe it writes to."""

    def __init__(self) -> None:
        self.ledger = Ledger(memoryview(bytearray(LEDGER_BYTES)))
        self.words = memoryview(bytearray(len(Word) * 8)).cast("q")
        self.done: list[int] = []
        self.outbox = Outbox(self.ledger, self.words, self.done.append)
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

    def fill(self, room: int = 0) -> int:
        """Leave so much room in the pipe, a page or less of it; return how much is in it."""
        size = 0
        try:
            while True:
                size += os.write(self.fd, b"x" * 4096)
        except BlockingIOError:
            pass
        if room:
            size -= len(self.read(4096))
            size += os.write(self.fd, b"x" * (4096 - room))
        return size

    def record(self) -> Record | None:
        return record(self.words.cast("B"))

    def hand_over(self) -> "Outbox":
        """Let another outbox go on."""
        frames, sent, errands = self.outbox.unsent(), self.outbox.sent, self.outbox.errands
        self.outbox = Outbox(self.ledger, self.words, self.done.append)
        self.outbox.resume(frames, sent, errands)
        return self.outbox

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
    ends.call(3, b"y" * LARGE, b"\n")
    assert set(ends.ledger.read().values()) == {Stage.RECEIVED} and ends.outbox.size == LARGE + 16
    ends.outbox.flush(ends.fd)
    assert set(ends.ledger.read().values()) == {Stage.WRITTEN} and not ends.outbox.size
    assert ends.read() == b"one\nnotice\ntwo\n" + b"y" * LARGE + b"\n"
    assert ends.record() is None


@pytest.mark.parametrize("size", [6, LARGE])
def test_where_the_backend_takes_nothing_all_stays_received(ends: Ends, size: int) -> None:
    ends.fill()
    for call in (1, 2):
        ends.call(call, b"y" * size)
    ends.outbox.flush(ends.fd)
    assert set(ends.ledger.read().values()) == {Stage.RECEIVED}
    assert ends.outbox.size == size * 2
    assert ends.record() == Record(1, Fate.CUT, torn=False)


def test_the_record_tells_how_far_a_large_frame_is(ends: Ends) -> None:
    inside = ends.fill()
    ends.read(8192)
    frame = b"y" * 20_000
    for call in (1, 2):
        ends.call(call, frame)
    ends.outbox.flush(ends.fd)
    assert ends.outbox.sent == 8192 and ends.outbox.size == 40_000 - 8192
    assert ends.record() == Record(1, Fate.CUT, torn=True)
    assert set(ends.ledger.read().values()) == {Stage.RECEIVED}
    assert len(ends.read()) == inside
    ends.outbox.flush(ends.fd)
    assert ends.read() == frame[8192:] + frame
    assert set(ends.ledger.read().values()) == {Stage.WRITTEN}


def test_the_last_two_bytes_go_alone(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []
    real = os.writev

    def writev(fd: int, parts: list[memoryview]) -> int:
        writes.append(b"".join(parts))
        return real(fd, parts)

    monkeypatch.setattr(os, "writev", writev)
    ends.outbox.append(1, b"x" * LARGE, b"ab", b"}\n")
    ends.outbox.append(2, b"y" * LARGE + b"cd")
    ends.outbox.flush(ends.fd)
    assert [one[-2:] for one in writes] == [b"ab", b"}\n", b"yy", b"cd"]
    assert [len(one) for one in writes] == [LARGE + 2, 2, LARGE, 2]


def test_errands_are_told_of_when_they_are_written(ends: Ends) -> None:
    ends.fill()
    ends.outbox.append(7, b"cancel\n")
    ends.outbox.errands.add(7)
    ends.outbox.append(8, b"answer\n")
    ends.outbox.errands.add(8)
    ends.outbox.flush(ends.fd)
    assert ends.done == [] and ends.outbox.errands == {7, 8}
    ends.read()
    ends.hand_over().flush(ends.fd)
    assert ends.done == [7, 8] and not ends.outbox.errands


def test_what_is_cleared_is_forgotten(ends: Ends) -> None:
    ends.fill()
    ends.outbox.append(1, b"gone\n")
    ends.outbox.append(9, b"gone too\n")
    ends.outbox.errands.add(9)
    ends.outbox.flush(ends.fd)
    assert ends.outbox.clear() == [9] and ends.record() is None and not ends.outbox.size
    ends.read()
    ends.outbox.append(2, b"kept\n")
    ends.outbox.flush(ends.fd)
    assert ends.read() == b"kept\n" and not ends.outbox.size


@pytest.mark.parametrize("frame", [b"x", b"x" * LARGE])
def test_a_backend_that_is_gone_is_an_error(ends: Ends, frame: bytes) -> None:
    gone, fd = os.pipe()
    os.close(gone)
    ends.call(1, frame)
    with pytest.raises(BrokenPipeError):
        ends.outbox.flush(fd)
    assert ends.record() == Record(1, Fate.CUT, torn=False), "nothing of it is there"
    os.close(fd)


@pytest.mark.parametrize("pages", [1, 2])
def test_a_frame_is_gone_on_with_at_any_byte(pages: int) -> None:
    """The pipe has room for more and more of it; then another one takes over."""
    cuts = set()
    for room in [*range(70), 2000, 4094, 4095]:
        # Of a write a pipe takes what is beyond whole pages, if its last page has room for that.
        frame = bytes(97 + index % 25 for index in range(pages * 4096 + room + 1)) + b"\n"
        ends = Ends()
        inside = ends.fill(room)
        ends.call(1, frame)
        ends.outbox.append(0, b"next\n")
        ends.outbox.flush(ends.fd)
        cuts.add(ends.outbox.sent)
        received = b""
        while ends.hand_over().size:
            ends.outbox.flush(ends.fd)
            received += ends.read(4096)
            cuts.add(len(frame) - ends.outbox.sent)
        assert (received + ends.read())[inside:] == frame + b"next\n"
        assert ends.ledger.read() == {1: Stage.WRITTEN} and ends.record() is None
        ends.close()
    assert cuts >= set(range(70)) or sys.platform != "linux"


def test_what_does_not_fit_the_mailbox_is_refused(ends: Ends) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        ends.outbox.resume([Unsent(1, b"x" * LARGE)], 5, ())


@pytest.mark.parametrize(
    ("offset", "busy", "torn"), [(0, 0, False), (0, 1, True), (100, 0, True), (LARGE - 2, 1, True)]
)
def test_a_torn_line_is_ended_before_anything_else(
    ends: Ends, offset: int, busy: int, torn: bool
) -> None:
    """And as long as that newline is not written, the record says that it is due."""
    for word, value in ((Word.LENGTH, LARGE), (Word.OFFSET, offset), (Word.BUSY, busy)):
        ends.words[word] = value
    inside = ends.fill()
    ends.outbox.resume([], 0, ())
    ends.outbox.append(2, b"next\n")
    ends.outbox.flush(ends.fd)
    left = ends.record()
    assert left is not None and (left.torn if torn else left.number == 2)
    ends.hand_over().flush(ends.fd)
    ends.read()
    ends.hand_over().flush(ends.fd)
    assert ends.read() == (b"\nnext\n" if torn else b"next\n")
    assert ends.record() is None and inside


@given(
    st.lists(
        st.lists(
            st.one_of(st.integers(0, 50), st.sampled_from([5000, 70_000])), min_size=1, max_size=3
        ),
        max_size=20,
    ),
    st.lists(st.integers(1, 100_000), min_size=1, max_size=10),
    st.booleans(),
)
def test_nothing_is_lost_or_changed(frames: list[list[int]], reads: list[int], hand: bool) -> None:
    ends = Ends()
    ends.ledger = UNREAD
    sent, received = b"", b""
    for index, sizes in enumerate(frames):
        frame = [bytes([65 + index]) * size for size in (*sizes, 1)]
        ends.outbox.append(index, *frame)
        sent += b"".join(frame)
        if index % 3 == 0:
            ends.outbox.flush(ends.fd)
            received += ends.read(reads[index % len(reads)])
        if hand:
            ends.hand_over()
    while ends.outbox.size:
        ends.outbox.flush(ends.fd)
        received += ends.read()
    received += ends.read()
    ends.close()
    assert received == sent
