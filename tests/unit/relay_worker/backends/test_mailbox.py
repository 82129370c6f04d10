"""The mailbox: whatever comes, however it is cut, and whenever the worker that reads it is killed,
every line is there for the next one, and none is passed on half.
"""

import mmap
import os
from collections.abc import Iterator

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from relay_supervisor.wire.mailbox import HEADER_BYTES, Word
from relay_worker.backends import mailbox as module
from relay_worker.backends.mailbox import Mailbox, bytes_for

LINE_BYTES_MAX = 3000
READ = 512
"""Bytes of one read here, so that halves are used up within a test."""


class Killed(BaseException):
    """SIGKILL."""


class Words:
    """The header, which lets so many stores happen; the next one does not."""

    def __init__(self, words: "memoryview[int]", stores: int) -> None:
        self._words = words
        self.stores = stores

    def __getitem__(self, index: int) -> int:
        return self._words[index]

    def __setitem__(self, index: int, value: int) -> None:
        if not self.stores:
            raise Killed
        self.stores -= 1
        self._words[index] = value

    def release(self) -> None:
        self._words.release()


@pytest.fixture(autouse=True)
def small_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_BYTES", READ)
    monkeypatch.setattr(module, "READ_BYTES_LARGE", 2 * READ)
    monkeypatch.setattr(module, "RETURNED_BYTES", mmap.PAGESIZE)


@pytest.fixture
def ends() -> Iterator[tuple[int, int, int]]:
    """The memory, and both ends of a backend's stdout."""
    memory = os.memfd_create("test") if hasattr(os, "memfd_create") else -1
    if memory >= 0:
        os.ftruncate(memory, bytes_for(LINE_BYTES_MAX))
    out, stdout = os.pipe()
    os.set_blocking(out, False)
    yield memory, out, stdout
    for fd in (memory, out, stdout):
        if fd >= 0:
            os.close(fd)


def read_all(mailbox: Mailbox, out: int) -> None:
    """Read until nothing is there."""
    try:
        while mailbox.read(out):
            pass
    except BlockingIOError:
        pass


def test_lines_with_their_offsets(ends: tuple[int, int, int]) -> None:
    memory, out, stdout = ends
    mailbox = Mailbox(LINE_BYTES_MAX, memory)
    os.write(stdout, b"one\n\ntwo\nth")
    mailbox.read(out)
    assert mailbox.lines() == [(0, b"one"), (5, b"two")]
    assert mailbox.parsed == 9
    os.write(stdout, b"ree\n")
    mailbox.read(out)
    assert mailbox.lines() == [(9, b"three")]
    mailbox.close()


def test_what_was_not_passed_on_comes_again_to_the_next_one(ends: tuple[int, int, int]) -> None:
    memory, out, stdout = ends
    first = Mailbox(LINE_BYTES_MAX, memory)
    os.write(stdout, b"one\ntwo\nthr")
    first.read(out)
    first.lines()
    first.passed_on(4)
    first.close()
    second = Mailbox(LINE_BYTES_MAX, memory)
    assert second.lines() == [(4, b"two")]
    second.close()
    third = Mailbox(LINE_BYTES_MAX, memory, parsed=8)
    assert third.lines() == []
    os.write(stdout, b"ee\n")
    third.read(out)
    assert third.lines() == [(8, b"three")]
    third.close()


def test_a_line_over_the_limit_is_dropped_and_both_its_ends_are_told(
    ends: tuple[int, int, int],
) -> None:
    memory, out, stdout = ends
    mailbox = Mailbox(LINE_BYTES_MAX, memory)
    found = []
    for part in (b"head" + b"x" * 2000, b"y" * 3000, b"y" * 2000 + b"tail\nnext\n"):
        os.write(stdout, part)
        for _ in range(8):
            try:
                mailbox.read(out)
            except BlockingIOError:
                break
            found += mailbox.lines()
            mailbox.passed_on(mailbox.parsed)
    ((head, tail),) = mailbox.oversized
    assert head.startswith(b"head") and tail.endswith(b"tail")
    assert [line for _, line in found] == [b"next"]
    mailbox.close()


def test_the_memory_of_a_large_line_is_given_back(ends: tuple[int, int, int]) -> None:
    memory, out, stdout = ends
    if memory < 0 or not hasattr(mmap, "MADV_REMOVE"):
        pytest.skip("this system has no MADV_REMOVE: memory is zeroed and kept")
    os.ftruncate(memory, bytes_for(1 << 20))
    mailbox = Mailbox(1 << 20, memory)
    line = b"x" * 60_000
    for _ in range(10):
        os.write(stdout, line)
        read_all(mailbox, out)
    os.write(stdout, b"\n")
    mailbox.read(out)
    assert len(mailbox.lines()) == 1
    used = os.fstat(memory).st_blocks
    mailbox.passed_on(mailbox.parsed)
    assert os.fstat(memory).st_blocks < used / 10
    mailbox.close()


LINES = st.lists(st.integers(0, 2500).map(lambda n: n), max_size=12)


@settings(max_examples=60)
@given(LINES, st.lists(st.integers(1, 900), min_size=1, max_size=6), st.integers(0, 80), st.data())
def test_killed_at_any_store(
    sizes: list[int], cuts: list[int], stores: int, data: st.DataObject
) -> None:
    """One after another reads on and is killed after so many stores; lines may come twice, with the
    same offset, as the supervisor drops what it has seen.
    """
    memory = os.memfd_create("test") if hasattr(os, "memfd_create") else -1
    if memory < 0:
        pytest.skip("this system has no memfd")
    os.ftruncate(memory, bytes_for(LINE_BYTES_MAX))
    out, stdout = os.pipe()
    os.set_blocking(out, False)
    stream = b"".join(bytes([97 + i % 26]) * size + b"\n" for i, size in enumerate(sizes))
    got: dict[int, bytes] = {}
    written = 0
    mailbox = Mailbox(LINE_BYTES_MAX, memory)
    mailbox.words = Words(mailbox.words, stores)  # type: ignore[assignment]
    rounds = 0
    while written < len(stream) or mailbox.parsed < len(stream):
        size = cuts[rounds % len(cuts)]
        rounds += 1
        written += os.write(stdout, stream[written : written + size])
        try:
            mailbox.read(out)
        except BlockingIOError:
            pass
        except Killed:
            mailbox = revived(mailbox, memory, data)
        try:
            found = mailbox.lines()
            for offset, line in found:
                assert got.setdefault(offset, line) == line
            if data.draw(st.booleans()):
                mailbox.passed_on(mailbox.parsed)
        except Killed:
            mailbox = revived(mailbox, memory, data)
            for offset, line in mailbox.lines():
                assert got.setdefault(offset, line) == line
        assert rounds < 10_000
    mailbox.close()
    for fd in (memory, out, stdout):
        os.close(fd)
    assert mailbox.oversized == []
    assert [line for _, line in sorted(got.items())] == [s for s in stream.split(b"\n") if s]


def revived(dead: Mailbox, memory: int, data: st.DataObject) -> Mailbox:
    """The mailbox as the next worker maps it, which is killed in its turn."""
    dead.close()
    mailbox = Mailbox(LINE_BYTES_MAX, memory)
    stores = data.draw(st.integers(0, 60))
    mailbox.words = Words(mailbox.words, stores)  # type: ignore[assignment]
    return mailbox


def test_its_size_has_room_for_two_of_the_longest_lines() -> None:
    assert bytes_for(LINE_BYTES_MAX) >= HEADER_BYTES + 2 * LINE_BYTES_MAX
    assert len(Word) * 8 <= HEADER_BYTES
