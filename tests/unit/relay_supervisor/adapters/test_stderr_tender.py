"""A backend that no worker has can write to its stderr without end, and does not stop for it."""

import os
from collections.abc import Iterator

import pytest

from relay_supervisor.adapters.loop import Loop
from relay_supervisor.adapters.stderr_tender import KEPT_BYTES_MAX, READ_BYTES, StderrTender

PID, OTHER = 61, 62


class Backend:
    """One end of a pipe is the stderr of a backend, the other one ours."""

    def __init__(self) -> None:
        self.ours, self._theirs = os.pipe()
        os.set_blocking(self.ours, False)
        os.set_blocking(self._theirs, False)

    def write(self, data: bytes) -> int:
        """Write what fits."""
        return os.write(self._theirs, data)

    def close(self) -> None:
        """The process is gone."""
        if self._theirs >= 0:
            os.close(self._theirs)
            self._theirs = -1

    def release(self) -> None:
        self.close()
        os.close(self.ours)


@pytest.fixture
def backend() -> Iterator[Backend]:
    made = Backend()
    yield made
    made.release()


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def tender(loop: Loop) -> StderrTender:
    return StderrTender(loop)


def test_what_was_written_meanwhile_is_told_at_the_end(
    backend: Backend, loop: Loop, tender: StderrTender
) -> None:
    tender.begin(PID, backend.ours)
    backend.write(b"one\n")
    loop.turn(5.0)
    backend.write(b"two\n")
    loop.turn(5.0)
    assert tender.end(PID) == b"one\ntwo\n"
    assert tender.end(PID) == b"", "once"


def test_it_never_has_to_wait_and_of_too_much_the_end_is_kept(
    backend: Backend, loop: Loop, tender: StderrTender
) -> None:
    tender.begin(PID, backend.ours)
    written, lines = 0, 0
    while written < 4 * KEPT_BYTES_MAX:
        line = b"%07d\n" % lines
        written, lines = written + backend.write(line), lines + 1
        if not lines % 1000:  # less than a pipe takes
            loop.turn(5.0)
    loop.turn(5.0)
    kept = tender.end(PID)
    assert len(kept) == KEPT_BYTES_MAX and kept.endswith(b"%07d\n" % (lines - 1))


def test_afterwards_it_is_the_workers_again(
    backend: Backend, loop: Loop, tender: StderrTender
) -> None:
    tender.begin(PID, backend.ours)
    tender.end(PID)
    backend.write(b"for the worker\n")
    loop.turn(0)
    assert not loop.watches(backend.ours)
    assert os.read(backend.ours, READ_BYTES) == b"for the worker\n"


def test_one_that_is_gone_is_not_looked_at_again_and_its_last_words_are_kept(
    backend: Backend, loop: Loop, tender: StderrTender
) -> None:
    tender.begin(PID, backend.ours)
    backend.write(b"Segmentation fault\n")
    loop.turn(5.0)
    backend.close()
    loop.turn(5.0)
    assert not loop.watches(backend.ours), "or the loop would turn for ever"
    assert tender.end(PID) == b"Segmentation fault\n"


def test_whoever_else_reads_it_first_takes_nothing_away(
    backend: Backend, loop: Loop, tender: StderrTender
) -> None:
    """Ready a moment ago, and empty now."""
    tender.begin(PID, backend.ours)
    tender._ready(PID, backend.ours, 0)
    assert loop.watches(backend.ours) and tender.end(PID) == b""


def test_each_has_its_own(backend: Backend, loop: Loop, tender: StderrTender) -> None:
    other = Backend()
    tender.begin(PID, backend.ours)
    tender.begin(OTHER, other.ours)
    backend.write(b"one\n")
    other.write(b"other\n")
    loop.turn(5.0)
    loop.turn(0)
    assert (tender.end(OTHER), tender.end(PID)) == (b"other\n", b"one\n")
    other.release()


def test_of_one_that_was_never_begun_nothing_is_told(tender: StderrTender) -> None:
    assert tender.end(PID) == b""
