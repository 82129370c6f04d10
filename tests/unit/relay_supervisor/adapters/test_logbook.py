"""What is logged goes to stderr if it takes it at once, and to the file if there is a worker."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_supervisor.adapters import logbook
from relay_supervisor.adapters.logbook import KEPT_BYTES_MAX, LEVELS, Logbook, LogbookState
from tests.unit.relay_supervisor.adapters.descriptors import read_now, written_down

REPOSITORY = Path(__file__).parents[4]


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Where what goes to stderr can be read."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    monkeypatch.setattr(logbook, "_private_stderr", lambda: write)
    yield read
    os.close(read)
    os.close(write)


def test_a_line_has_its_time_its_level_and_its_source(stderr: int) -> None:
    Logbook("info", "text").write("warning", "something is wrong")
    line = read_now(stderr).decode()
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(rf"{stamp} warning +supervisor: something is wrong\n", line), line


def test_as_json_a_line_is_an_object(stderr: int) -> None:
    Logbook("info", "json").write("error", 'two\nlines and "quotes"')
    line = read_now(stderr)
    assert line.count(b"\n") == 1
    event = json.loads(line)
    assert event["message"] == 'two\nlines and "quotes"'
    assert (event["level"], event["source"]) == ("error", "supervisor")
    assert event["time"].endswith("Z")


def test_as_text_an_event_is_one_line_too(stderr: int) -> None:
    """A line of its own making in the log would look like one of ours."""
    Logbook("info", "text").write("error", "two\nlines")
    assert read_now(stderr).count(b"\n") == 1


@pytest.mark.parametrize("least", LEVELS)
def test_what_is_below_the_level_is_not_logged_at_all(stderr: int, least: str) -> None:
    log = Logbook(least, "text")
    for level in LEVELS:
        log.write(level, f"a line of {level}")
    wanted = LEVELS[LEVELS.index(least) :]
    lines, dropped = log.take_for_file()
    assert dropped == 0
    for text in (read_now(stderr).decode(), lines.decode()):
        assert [line.rsplit(" ", 1)[1] for line in text.splitlines()] == list(wanted)


@pytest.mark.parametrize("style", ["text", "json"])
def test_text_that_is_no_text_is_logged_all_the_same(stderr: int, style: str) -> None:
    log = Logbook("info", style)
    log.write("error", "half an emoji: \ud83d")
    assert b"half an emoji" in read_now(stderr)


def test_what_stderr_does_not_take_is_dropped_and_counted_and_kept_for_the_file(
    stderr: int,
) -> None:
    told: list[int] = []
    log = Logbook("info", "text", None, told.append)
    while not log.dropped:
        log.write("info", "x" * 1000)
        log.take_for_file()
    assert not log.waiting
    log.write("info", "y" * 1000)
    assert log.dropped == 2 and told == [1, 2] and log.waiting
    assert b"y" * 1000 in log.take_for_file()[0]
    read_now(stderr)
    before = log.dropped
    log.write("info", "heard again")
    assert b"heard again" in read_now(stderr) and log.dropped == before


def test_without_a_worker_so_many_lines_are_kept_and_the_rest_counted(stderr: int) -> None:
    log = Logbook("info", "text")
    assert not log.waiting
    for number in range(1000):
        log.write("info", f"{number:04} " + "x" * 1000)
        read_now(stderr)
    assert log.waiting
    lines, dropped = log.take_for_file()
    assert len(lines) <= KEPT_BYTES_MAX and lines.count(b"\n") + dropped == 1000
    assert b" 0000 " in lines and dropped > 0
    assert not log.waiting and log.take_for_file() == (b"", 0)


def test_bytes_of_a_worker_are_passed_on_as_they_are_and_not_to_the_file(stderr: int) -> None:
    log = Logbook("error", "json")
    log.pass_on(b"Traceback \xff\n")
    assert read_now(stderr) == b"Traceback \xff\n"
    assert not log.waiting


CHILD = """
from relay_supervisor.adapters.logbook import Logbook
log = Logbook("info", "text")
for _ in range(10_000):
    log.write("info", "x" * 1000)
print(log.dropped)
"""


def run_with_stderr(fd: int) -> int:
    """Log 10 MB in a process with this stderr; returns how many lines were dropped."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=fd,
        timeout=30,
        check=True,
    )
    return int(done.stdout)


def test_an_unread_stderr_stops_nobody_and_the_clients_own_end_stays_as_it_was() -> None:
    read, write = os.pipe()
    assert run_with_stderr(write) > 9000
    if sys.platform == "linux":
        assert os.get_blocking(write), "O_NONBLOCK belongs to everybody who has this pipe"
    os.close(read)
    os.close(write)


def test_a_stderr_nobody_has_any_more_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    assert run_with_stderr(write) == 10_000
    os.close(write)


def test_a_file_gets_every_line(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        assert run_with_stderr(file.fileno()) == 0
    assert (tmp_path / "log").read_bytes().count(b"\n") == 10_000


def test_another_one_goes_on_with_its_lines_and_counts(stderr: int) -> None:
    first = Logbook("info", "text")
    first.write("info", "one")
    first.dropped, first.file_dropped = 3, 4
    left = written_down(first.export(), LogbookState)
    second = Logbook("info", "text", left)
    second.write("info", "two")
    assert read_now(stderr).count(b"\n") == 2, "to the same descriptor"
    lines, dropped = second.take_for_file()
    assert lines.count(b"\n") == 2 and (second.dropped, dropped) == (3, 4)


def test_the_limit_counts_what_was_kept_before(stderr: int) -> None:
    left = LogbookState(Logbook("info", "text").export().fd, [bytes(KEPT_BYTES_MAX - 10)], 0, 0)
    second = Logbook("info", "text", left)
    second.write("info", "two")
    assert second.take_for_file()[1] == 1
