"""What the record says of a write that was cut off is true, wherever it was cut off.

The stores of a write are played one by one, as the contract orders them; the kill comes after any
of them. What is in the pipe then is known here, and the record may say less, but nothing false.
"""

import mmap
import os
import tempfile
from collections.abc import Iterator

import pytest

from relay_supervisor.wire.mailbox import (
    LAST_BYTES,
    PIPE_BUF,
    Fate,
    Record,
    Word,
    read,
    record,
)

SMALL, LONG = PIPE_BUF, PIPE_BUF + 1
"""The longest frame that goes out whole or not at all, and the shortest that may be cut."""


class Write:
    """A frame on its way into a pipe that takes *portions* of it, one for each system call."""

    def __init__(self, length: int, portions: list[int], number: int = 7) -> None:
        self.header = bytearray(len(Word) * 8)
        self.words = memoryview(self.header).cast("q")
        self.words[Word.NUMBER], self.words[Word.OFFSET] = 4711, 999  # of a frame long written
        self.length, self.number, self._portions = length, number, portions
        self.in_pipe = 0

    def stores(self) -> Iterator[None]:
        """Go on by one store or system call."""
        words, sent = self.words, 0
        for word, value in (
            (Word.OFFSET, 0),
            (Word.NUMBER, self.number),
            (Word.LENGTH, self.length),
        ):
            words[word] = value
            yield
        for portion in self._portions:
            words[Word.BUSY] = 1
            yield
            self.in_pipe += portion
            yield
            sent += portion
            words[Word.OFFSET] = sent
            yield
            words[Word.BUSY] = 0
            yield
        if sent == self.length:
            words[Word.LENGTH] = 0
            yield

    def record(self) -> Record | None:
        return record(memoryview(self.header))


def portions(length: int) -> list[list[int]]:
    """Ways in which a pipe may take a frame."""
    if length <= PIPE_BUF:
        return [[length], [0, length], [0]]
    first = length - LAST_BYTES
    return [
        [first, LAST_BYTES],
        [1, first - 1, LAST_BYTES],
        [0, 1, 0, first - 1, 0, LAST_BYTES],
        [first, 0],
        [first - 1],
        [1],
    ]


CUTS = [
    pytest.param(length, way, steps, id=f"{length}-{way}-{steps}")
    for length in (1, SMALL, LONG, 3 * PIPE_BUF)
    for way in portions(length)
    for steps in range(len(list(Write(length, way).stores())) + 1)
]


def cut_off(length: int, way: list[int], steps: int) -> Write:
    """A write that was cut off after so many stores and system calls."""
    write = Write(length, way)
    stores = write.stores()
    for _ in range(steps):
        next(stores)
    return write


@pytest.mark.parametrize(("length", "way", "steps"), CUTS)
def test_it_says_nothing_false(length: int, way: list[int], steps: int) -> None:
    write = cut_off(length, way, steps)
    found, whole = write.record(), write.in_pipe == length
    if found is None:
        assert write.in_pipe in (0, length), "not begun, or written and noted"
        return
    assert found.number == write.number
    if found.fate is Fate.WHOLE:
        assert whole
    if found.fate is Fate.CUT:
        assert not whole, "it would be sent again"
    if 0 < write.in_pipe < length:
        assert found.torn, "the next frame would be glued to it"
    if found.torn:
        assert length > PIPE_BUF, "a small one is whole or not there"


@pytest.mark.parametrize(("length", "way", "steps"), CUTS)
def test_it_is_in_doubt_only_in_the_system_call_that_may_end_it(
    length: int, way: list[int], steps: int
) -> None:
    write = cut_off(length, way, steps)
    found, limit = write.record(), length if length <= PIPE_BUF else LAST_BYTES
    if found is not None and found.fate is Fate.UNSURE:
        assert write.words[Word.BUSY] == 1
        assert length - write.words[Word.OFFSET] <= limit


def test_nothing_is_being_written_to_a_mailbox_that_is_new() -> None:
    assert record(memoryview(bytes(len(Word) * 8))) is None


def test_a_number_counts_only_with_its_length() -> None:
    """It is stored before it; what it said of the frame before is over."""
    write = cut_off(SMALL, [SMALL], 2)
    assert write.words[Word.NUMBER] == write.number and write.record() is None


def test_a_cut_line_is_never_a_whole_text() -> None:
    """Of a frame over PIPE_BUF not even its last but one byte, the closing brace, is there."""
    assert len(b"}\n") <= LAST_BYTES
    write = cut_off(LONG, [LONG - LAST_BYTES, LAST_BYTES], 7)
    assert write.in_pipe == LONG - LAST_BYTES
    assert write.record() == Record(7, Fate.CUT, torn=True)


def test_a_newline_under_the_record_leaves_it_torn_until_it_is_cleared() -> None:
    """A second kill amid that costs an empty line, and never the next frame."""
    write = cut_off(LONG, [100], 6)
    assert write.record() == Record(7, Fate.CUT, torn=True)
    write.in_pipe += 1  # the newline
    assert write.record() == Record(7, Fate.CUT, torn=True)
    write.words[Word.LENGTH] = 0
    assert write.record() is None
    write.words[Word.BUSY] = 0
    assert write.record() is None


def test_it_is_read_from_the_memory_itself() -> None:
    with tempfile.TemporaryFile() as file:
        file.truncate(mmap.PAGESIZE)
        os.pwrite(file.fileno(), bytes(cut_off(LONG, [100], 6).header), 0)
        assert read(file.fileno()) == Record(7, Fate.CUT, torn=True)
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 0, "others read it, too"
