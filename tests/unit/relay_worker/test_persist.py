"""The writer thread writes what it is given, or says that it did not; it never gets in the way."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_worker import persist
from relay_worker.persist import CACHE_FILES_MAX, Writer

SECONDS_MAX = 10.0


class Reports(list):
    """What was reported; `arrived` is set when there is something."""

    def __init__(self) -> None:
        self.arrived = threading.Event()

    def __call__(self, text: str) -> None:
        self.append(text)
        self.arrived.set()


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def writer(state_dir: Path, reports: Reports) -> Iterator[Writer]:
    writer = Writer(state_dir, log_bytes_max=1000, log_files_max=3, report=reports)
    yield writer
    assert writer.close(SECONDS_MAX)


def finish(writer: Writer) -> None:
    writer.start()
    assert writer.close(SECONDS_MAX)


def test_everything_queued_is_written_before_close_returns(
    writer: Writer, state_dir: Path, reports: Reports
) -> None:
    writer.start()
    for number in range(100):
        assert writer.log_relay(b"%d\n" % number)
    assert writer.log_backend("files", b"hello\n")
    assert writer.replace(state_dir / "cache" / "key", b"content")
    assert writer.close(SECONDS_MAX)
    lines = (state_dir / "logs" / "relay.log").read_bytes().splitlines()
    assert lines == [b"%d" % number for number in range(100)]
    assert (state_dir / "logs" / "backends" / "files.log").read_bytes() == b"hello\n"
    assert (state_dir / "cache" / "key").read_bytes() == b"content"
    assert writer.dropped == 0 and reports == []


def test_logs_rotate(writer: Writer, state_dir: Path) -> None:
    for _ in range(10):
        writer.log_relay(b"x" * 499 + b"\n")
    finish(writer)
    found = sorted(path.name for path in (state_dir / "logs").iterdir())
    assert found == ["relay.log", "relay.log.1", "relay.log.2"]


def test_of_several_contents_for_a_file_the_last_counts(writer: Writer, state_dir: Path) -> None:
    for number in range(persist.QUEUE_JOBS_MAX + 10):
        assert writer.replace(state_dir / "cache" / "key", b"%d" % number)
    finish(writer)
    found = (state_dir / "cache" / "key").read_bytes()
    assert found == b"%d" % (persist.QUEUE_JOBS_MAX + 9)


def test_cache_files_are_bounded_and_no_other_directory_is_touched(
    writer: Writer, state_dir: Path
) -> None:
    for number in range(CACHE_FILES_MAX + 5):
        writer.replace(state_dir / "cache" / f"c{number}", b"")
        writer.replace(state_dir / "other" / f"o{number}", b"")
    finish(writer)
    assert len(list((state_dir / "cache").iterdir())) == CACHE_FILES_MAX
    assert len(list((state_dir / "other").iterdir())) == CACHE_FILES_MAX + 5


@pytest.mark.parametrize("name", ["../../etc/x", "a b", "ü", "a/b", ".", "..", "\0"])
def test_backend_logs_stay_in_their_directory(writer: Writer, state_dir: Path, name: str) -> None:
    path = writer.backend_log(name)
    assert path.parent == state_dir / "logs" / "backends"
    assert path != writer.backend_log(name + "_")
    assert path.name.removesuffix(".log").replace("_", "").replace("-", "").isalnum()


def test_beyond_its_count_the_queue_drops(writer: Writer) -> None:
    taken = [writer.log_relay(b"x\n") for _ in range(persist.QUEUE_JOBS_MAX + 3)]
    assert taken == [True] * persist.QUEUE_JOBS_MAX + [False] * 3
    assert writer.dropped == 3


def test_beyond_its_bytes_the_queue_drops(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persist, "QUEUE_BYTES_MAX", 100)
    assert writer.log_relay(b"x" * 200), "a single job of any size is taken"
    assert not writer.log_relay(b"x")
    assert writer.dropped == 1


def test_there_is_room_again_when_jobs_are_written(writer: Writer, state_dir: Path) -> None:
    while writer.log_relay(b"x\n"):
        pass
    writer.start()
    # Closed only after it took another: so the first ones must have been written.
    waited = threading.Event()
    for _ in range(1000):
        if writer.log_relay(b"last\n"):
            break
        waited.wait(0.01)
    else:
        pytest.fail("there is no room after 10 s")
    assert writer.close(SECONDS_MAX)
    assert (state_dir / "logs" / "relay.log").read_bytes().endswith(b"last\n")


def test_a_failure_is_reported_once_and_recovery_is_noticed(
    writer: Writer, state_dir: Path, reports: Reports
) -> None:
    state_dir.mkdir()
    logs = state_dir / "logs"
    logs.write_bytes(b"in the way")
    writer.start()
    for _ in range(20):
        writer.log_relay(b"lost\n")
    assert reports.arrived.wait(SECONDS_MAX)
    writer.replace(state_dir / "cache" / "key", b"content")
    assert writer.close(SECONDS_MAX)
    assert len(reports) == 1 and "relay.log" in reports[0]
    assert writer.dropped == 20
    assert (state_dir / "cache" / "key").read_bytes() == b"content"


def test_a_report_may_log(state_dir: Path) -> None:
    """As the worker's does: that must neither lock up nor go round for ever."""
    state_dir.mkdir()
    (state_dir / "logs").write_bytes(b"in the way")
    reports = Reports()
    writer = Writer(
        state_dir,
        log_bytes_max=1000,
        log_files_max=3,
        report=lambda text: (reports(text), writer.log_relay(text.encode()))[0],
    )
    writer.log_relay(b"x\n")
    finish(writer)
    assert len(reports) == 1


def test_after_close_jobs_are_dropped(writer: Writer, state_dir: Path) -> None:
    finish(writer)
    assert not writer.log_relay(b"x\n")
    assert not writer.replace(state_dir / "cache" / "key", b"")
    assert writer.dropped == 2 and not state_dir.exists()


def test_close_does_not_wait_for_ever(
    writer: Writer, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def stuck(*_: object, **__: object) -> None:
        entered.set()
        go_on.wait(SECONDS_MAX)

    monkeypatch.setattr(persist.files, "append_rotating", stuck)
    writer.start()
    writer.log_relay(b"x\n")
    assert entered.wait(SECONDS_MAX)
    assert not writer.close(0.01)
    go_on.set()


def test_the_journal_and_refusals_are_written_too(
    writer: Writer, state_dir: Path, reports: Reports
) -> None:
    assert writer.journal(b'{"n":1}\n') and writer.journal(b'{"n":2}\n')
    for reason in ("first", "last"):
        assert writer.refuse("1.0+abc", "0123", reason)
    assert writer.refuse("1.0+def", "0123", "x")
    finish(writer)
    assert (state_dir / "journal.jsonl").read_bytes() == b'{"n":1}\n{"n":2}\n'
    refused = json.loads((state_dir / "refused.json").read_bytes())
    assert {pair: entry["reason"] for pair, entry in refused.items()} == {
        "1.0+abc 0123": "last",
        "1.0+def 0123": "x",
    }
    assert writer.dropped == 0 and reports == []


def test_the_journal_does_not_rotate_like_a_log(writer: Writer, state_dir: Path) -> None:
    for _ in range(10):
        writer.journal(b"x" * 499 + b"\n")
    finish(writer)
    assert [path.name for path in state_dir.iterdir()] == ["journal.jsonl"]


def test_a_corrupt_file_of_refusals_is_reported(
    writer: Writer, state_dir: Path, reports: Reports
) -> None:
    state_dir.mkdir()
    (state_dir / "refused.json").write_bytes(b"{")
    writer.refuse("b", "c", "x")
    finish(writer)
    assert len(reports) == 1 and "refused.json was unusable" in reports[0]
    assert list(json.loads((state_dir / "refused.json").read_bytes())) == ["b c"]


def test_refusals_are_dropped_beyond_the_queue_too(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(persist, "QUEUE_BYTES_MAX", 100)
    assert writer.refuse("b", "c", "x" * 200)
    assert not writer.refuse("b", "d", "x") and writer.dropped == 1
