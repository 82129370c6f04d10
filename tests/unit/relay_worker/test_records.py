"""The journal and the refusals stay whole and bounded, whatever is in the way."""

import fcntl
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from relay_worker import files, records
from relay_worker.records import JOURNAL, JOURNAL_BEFORE, REFUSED, append_journal, refuse


def entries(state_dir: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads((state_dir / REFUSED).read_bytes())
    return found


def lines(state_dir: Path) -> list[dict[str, int]]:
    """All of the journal, oldest first; every line has to be whole."""
    paths = [state_dir / JOURNAL_BEFORE, state_dir / JOURNAL]
    content = b"".join(path.read_bytes() for path in paths if path.exists())
    return [json.loads(line) for line in content.splitlines()]


def line(**fields: int | str) -> bytes:
    return json.dumps(fields).encode() + b"\n"


# ---- the journal --------------------------------------------------------------------------------


def test_the_journal_grows_at_its_end(tmp_path: Path) -> None:
    state_dir = tmp_path / "new" / "state"
    append_journal(state_dir, [line(n=1), line(n=2) + line(n=3)])
    append_journal(state_dir, [line(n=4)])
    assert [entry["n"] for entry in lines(state_dir)] == [1, 2, 3, 4]
    assert (state_dir / JOURNAL).stat().st_mode & 0o777 == 0o600
    assert state_dir.stat().st_mode & 0o777 == 0o700


def test_a_batch_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = []
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: writes.append(data) or real_write(fd, data))
    append_journal(tmp_path, [line(n=1), line(n=2)])
    assert writes == [line(n=1) + line(n=2)]


def test_the_journal_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "JOURNAL_BYTES_MAX", 100)
    for number in range(50):
        append_journal(tmp_path, [line(n=number)])
    sizes = [(tmp_path / name).stat().st_size for name in (JOURNAL, JOURNAL_BEFORE)]
    assert all(0 < size <= 100 for size in sizes)
    numbers = [entry["n"] for entry in lines(tmp_path)]
    assert numbers == list(range(50 - len(numbers), 50)) and len(numbers) > 10
    append_journal(tmp_path, [line(n=50, text="x" * 200)])
    assert lines(tmp_path)[-1]["n"] == 50
    assert sorted(path.name for path in tmp_path.iterdir()) == [JOURNAL_BEFORE, JOURNAL]


def test_a_torn_line_is_ended_before_the_next(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_bytes(line(n=1) + b'{"n":2, "torn')
    append_journal(tmp_path, [line(n=3)])
    first, torn, third = (tmp_path / JOURNAL).read_bytes().splitlines()
    assert json.loads(first) == {"n": 1} and json.loads(third) == {"n": 3}
    assert torn == b'{"n":2, "torn'


def test_what_a_full_disk_did_not_take_whole_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_journal(tmp_path, [line(n=1)])
    real_write = os.write
    taken: list[int] = []

    def nearly_full(fd: int, data: bytes) -> int:
        if taken:
            raise OSError(28, "No space left on device")
        taken.append(real_write(fd, data[:5]))
        return taken[0]

    monkeypatch.setattr(os, "write", nearly_full)
    with pytest.raises(OSError, match="No space"):
        append_journal(tmp_path, [line(n=2)])
    assert (tmp_path / JOURNAL).read_bytes() == line(n=1)


def test_events_are_kept_though_a_stopped_process_holds_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "LOCK_SECONDS_MAX", 0.02)
    monkeypatch.setattr(records, "JOURNAL_BYTES_MAX", 20)
    append_journal(tmp_path, [line(n=1)])
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    try:
        for number in (2, 3, 4):
            append_journal(tmp_path, [line(n=number)])
        assert not (tmp_path / JOURNAL_BEFORE).exists(), "nobody rotates without the lock"
        with pytest.raises(BlockingIOError):
            refuse(tmp_path, {"b c": "x"})
    finally:
        os.close(holder)
    assert [entry["n"] for entry in lines(tmp_path)] == [1, 2, 3, 4]


def test_several_relays_append_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads with descriptors of their own stand for processes: flock tells those apart."""
    monkeypatch.setattr(records, "JOURNAL_BYTES_MAX", 1 << 20)

    def write(writer: int) -> None:
        for number in range(100):
            append_journal(tmp_path, [line(writer=writer, n=number, text="." * (number % 40))])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    found = sorted((entry["writer"], entry["n"]) for entry in lines(tmp_path))
    assert found == [(writer, number) for writer in range(4) for number in range(100)]


# ---- refusals -----------------------------------------------------------------------------------


def test_a_refusal_says_why_and_since_when(tmp_path: Path) -> None:
    assert refuse(tmp_path / "new", {"1.0+abc 0123": "it crashed"}) is None
    (entry,) = entries(tmp_path / "new").values()
    assert entry["reason"] == "it crashed" and entry["at"].endswith("Z")
    assert [path.name for path in (tmp_path / "new").iterdir()] == [REFUSED]


def test_refusals_gather_and_the_newest_comes_last(tmp_path: Path) -> None:
    refuse(tmp_path, {"a 1": "first", "b 2": "second"})
    refuse(tmp_path, {"a 1": "again"})
    assert [(pair, entry["reason"]) for pair, entry in entries(tmp_path).items()] == [
        ("b 2", "second"),
        ("a 1", "again"),
    ]


def test_refusals_are_bounded(tmp_path: Path) -> None:
    for number in range(records.REFUSED_MAX + 5):
        refuse(tmp_path, {f"build{number} x": "y" * 5000})
    found = entries(tmp_path)
    assert len(found) == records.REFUSED_MAX and next(iter(found)) == "build5 x"
    assert len(found["build5 x"]["reason"]) == records.REASON_CHARS_MAX


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"a 1": 5}', b"\xff", b"[" * 100_000, b" " * (2 << 20)], ids=len
)
def test_a_corrupt_file_begins_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / REFUSED).write_bytes(content)
    assert refuse(tmp_path, {"a 1": "x"})
    assert list(entries(tmp_path)) == ["a 1"]
    assert refuse(tmp_path, {"b 1": "x"}) is None


def test_what_a_newer_relay_adds_to_an_entry_is_no_harm(tmp_path: Path) -> None:
    (tmp_path / REFUSED).write_bytes(
        b'{"a 1": {"reason": "x", "at": "y", "more": 1}, "b 2": {"reason": "z"}}'
    )
    assert refuse(tmp_path, {"c 3": "x"}) is None
    assert list(entries(tmp_path)) == ["a 1", "b 2", "c 3"]


def test_a_full_disk_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(tmp_path, {"a 1": "x"})
    before = (tmp_path / REFUSED).read_bytes()

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        refuse(tmp_path, {"b 2": "x"})
    assert (tmp_path / REFUSED).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [REFUSED]
