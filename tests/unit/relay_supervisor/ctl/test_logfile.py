"""Reading logs that the worker writes and rotates with its own code."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_supervisor.ctl import logfile
from relay_supervisor.ctl.logfile import LogFile
from relay_worker.files import append_rotating

FILE_BYTES_MAX = 64


def write(path: Path, *lines: bytes, files_max: int = 50) -> None:
    append_rotating(path, lines, file_bytes_max=FILE_BYTES_MAX, files_max=files_max)


def numbered(first: int, last: int) -> list[bytes]:
    return [b"line %03d with some text\n" % number for number in range(first, last)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "relay.log"


@pytest.fixture
def log(path: Path) -> Iterator[LogFile]:
    log = LogFile(str(path))
    yield log
    log.close()


@pytest.mark.parametrize("lines", [0, 1, 2, 3, 7, 19, 20, 21, 1000])
def test_the_last_lines_are_found_over_all_rotated_files(
    path: Path, log: LogFile, lines: int
) -> None:
    written = numbered(0, 20)
    write(path, *written)
    assert path.with_name("relay.log.5").exists()
    assert log.last(lines) == b"".join(written[len(written) - min(lines, 20) :])


@pytest.mark.parametrize("lines", [1, 2, 3, 100])
def test_lines_longer_than_a_block_are_whole(
    path: Path, log: LogFile, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfile, "BLOCK_BYTES", 7)
    path.parent.mkdir()
    written = [b"a" * 20 + b"\n", b"\n", b"b" * 7 + b"\n", b"c" * 6 + b"\n"]
    path.write_bytes(b"".join(written))
    assert log.last(lines) == b"".join(written[-lines:])


def test_a_last_line_without_its_end_is_shown_and_gone_on_with(path: Path, log: LogFile) -> None:
    path.parent.mkdir()
    path.write_bytes(b"one\ntw")
    assert log.last(5) == b"one\ntw"
    with path.open("ab") as file:
        file.write(b"o\n")
    assert log.new() == b"o\n"


def test_nothing_there_yet(path: Path, log: LogFile) -> None:
    assert log.last(10) == b"" and log.new() == b""
    write(path, b"first\n")
    assert log.new() == b"first\n"
    assert log.new() == b""


def test_an_empty_file(path: Path, log: LogFile) -> None:
    path.parent.mkdir()
    path.touch()
    assert log.last(10) == b"" and log.new() == b""


def test_only_what_is_new_follows_the_last_lines(path: Path, log: LogFile) -> None:
    write(path, b"old\n", b"older\n")
    assert log.last(0) == b""
    write(path, b"new\n")
    assert log.new() == b"new\n"


def test_what_several_rotations_moved_on_is_still_read_in_order(path: Path, log: LogFile) -> None:
    write(path, *numbered(0, 3))
    log.last(1)
    write(path, *numbered(3, 30))
    assert log.new() == b"".join(numbered(3, 30))
    assert log.new() == b""


def test_when_the_open_file_was_removed_reading_goes_on_with_those_there_are(
    path: Path, log: LogFile
) -> None:
    write(path, *numbered(0, 2), files_max=2)
    log.last(1)
    write(path, *numbered(2, 40), files_max=2)
    assert log.new() == path.with_name("relay.log.1").read_bytes() + path.read_bytes()
    write(path, b"more\n", files_max=2)
    assert log.new() == b"more\n"


def test_the_moment_between_two_renames_is_survived(path: Path, log: LogFile) -> None:
    write(path, *numbered(0, 2))
    log.last(1)
    path.rename(path.with_name("relay.log.1"))
    assert log.new() == b""
    assert log.last(1) == numbered(1, 2)[0]
    path.write_bytes(b"after\n")
    assert log.new() == b"after\n"


@settings(max_examples=60, deadline=None)
@given(batches=st.lists(st.integers(min_value=0, max_value=12), max_size=8))
def test_nothing_is_lost_or_shown_twice(
    tmp_path_factory: pytest.TempPathFactory, batches: list[int]
) -> None:
    path = tmp_path_factory.mktemp("logs") / "relay.log"
    log = LogFile(str(path))
    count, seen = 0, log.last(10)
    for size in batches:
        write(path, *numbered(count, count + size))
        count += size
        seen += log.new()
    log.close()
    assert seen == b"".join(numbered(0, count))
