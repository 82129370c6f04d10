"""What is queued is written in order and once, whatever the descriptor takes at a time."""

import os
import random
from collections.abc import Iterator

import pytest

from relay_supervisor.wire.framing import IOV_MAX, JOIN_BYTES_MAX, WriteQueue


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A non-blocking pipe: where to read, where to write."""
    ends = os.pipe()
    for fd in ends:
        os.set_blocking(fd, False)
    yield ends
    for fd in ends:
        os.close(fd)


def read_all(fd: int) -> bytes:
    """Everything in the pipe."""
    parts = []
    while True:
        try:
            parts.append(os.read(fd, 1 << 20))
        except BlockingIOError:
            return b"".join(parts)


def test_what_fits_is_written_at_once(pipe: tuple[int, int]) -> None:
    queue = WriteQueue()
    queue.append(b"one", b"", bytearray(b"two"))
    queue.append(memoryview(b"three"))
    assert queue.size == 11
    queue.flush(pipe[1])
    assert queue.size == 0
    assert read_all(pipe[0]) == b"onetwothree"
    queue.flush(pipe[1])
    assert read_all(pipe[0]) == b""


@pytest.mark.parametrize("size", [1, 10, 1000, JOIN_BYTES_MAX, 300_000, 2_000_000])
def test_what_does_not_fit_waits_and_nothing_is_lost_or_doubled(
    pipe: tuple[int, int], size: int
) -> None:
    rng = random.Random(size)
    queue, wanted, got = WriteQueue(), bytearray(), bytearray()
    for _ in range(max(3, 3_000_000 // size) if size > 100 else 2000):
        data = rng.randbytes(rng.randint(0, size))
        wanted += data
        queue.append(data)
    assert queue.size == len(wanted)
    while queue.size:
        before = queue.size
        queue.flush(pipe[1])
        taken = read_all(pipe[0])
        assert before - queue.size == len(taken) > 0
        got += taken
    assert got == wanted


def test_more_buffers_than_a_system_call_takes_are_written_all_the_same(
    pipe: tuple[int, int],
) -> None:
    queue = WriteQueue()
    buffers = [b"%07d" % n for n in range(5 * IOV_MAX)]
    queue.append(*buffers, b"x" * JOIN_BYTES_MAX)
    got = bytearray()
    while queue.size:
        queue.flush(pipe[1])
        got += read_all(pipe[0])
    assert got == b"".join(buffers) + b"x" * JOIN_BYTES_MAX


@pytest.mark.parametrize("size", [0, 1, 100_000, 5_000_000])
def test_what_is_written_past_the_queue_is_queued_as_far_as_it_is_not_taken(
    pipe: tuple[int, int], size: int
) -> None:
    queue, data, got = WriteQueue(), random.Random(size).randbytes(size), bytearray()
    queue.write(pipe[1], data)
    queue.append(b"behind it")
    while queue.size:
        got += read_all(pipe[0])
        queue.flush(pipe[1])
    assert got + read_all(pipe[0]) == data + b"behind it"


def test_nothing_of_it_is_lost_where_nothing_is_taken(pipe: tuple[int, int]) -> None:
    taken = os.write(pipe[1], bytes(5_000_000))
    queue = WriteQueue()
    queue.write(pipe[1], b"waits")
    assert queue.size == 5 and len(read_all(pipe[0])) == taken
    queue.flush(pipe[1])
    assert read_all(pipe[0]) == b"waits"


def test_small_buffers_go_out_in_one_system_call(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    for name in ("write", "writev"):
        right = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda fd, data, n=name, r=right: calls.append(n) or r(fd, data)
        )
    queue = WriteQueue()
    queue.append(*[b"x" * 100] * 600)
    queue.flush(pipe[1])
    assert calls == ["write"] and queue.size == 0


def test_a_reader_that_is_gone_is_an_error_and_what_is_left_can_be_forgotten() -> None:
    read, write = os.pipe()
    os.close(read)
    queue = WriteQueue()
    queue.append(b"to nobody")
    with pytest.raises(BrokenPipeError):
        queue.flush(write)
    queue.clear()
    assert queue.size == 0
    queue.flush(write)
    os.close(write)
