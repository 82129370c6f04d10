"""Logs rotate and files are replaced without loss, whoever else is at it."""

import fcntl
import os
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from relay_worker import files
from relay_worker.files import (
    ORPHAN_SECONDS,
    append_rotating,
    make_private_dirs,
    prune,
    replace_file,
)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_directories_and_files_are_private(tmp_path: Path) -> None:
    log = tmp_path / "state" / "logs" / "relay.log"
    append_rotating(log, [b"x\n"], file_bytes_max=100, files_max=2)
    replace_file(tmp_path / "state" / "cache" / "c", b"y")
    assert mode(log) == mode(tmp_path / "state" / "cache" / "c") == 0o600
    for name in ("state", "state/logs", "state/cache"):
        assert mode(tmp_path / name) == 0o700
    make_private_dirs(tmp_path / "state" / "logs")


def test_rotation_keeps_the_newest_files(tmp_path: Path) -> None:
    log = tmp_path / "relay.log"
    for number in range(10):
        append_rotating(log, [b"%d_2345678\n" % number], file_bytes_max=20, files_max=3)
    assert names(tmp_path) == ["relay.log", "relay.log.1", "relay.log.2"]
    found = [(tmp_path / name).read_bytes()[::10] for name in names(tmp_path)]
    assert found == [b"89", b"67", b"45"]


def test_one_batch_rotates_as_often_as_needed(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    append_rotating(log, [b"12345\n", b"6\n", b"x" * 50, b"7\n"], file_bytes_max=10, files_max=9)
    assert [(tmp_path / name).read_bytes() for name in names(tmp_path)] == [
        b"7\n",
        b"x" * 50,
        b"12345\n6\n",
    ]


def test_a_single_file_starts_anew(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    append_rotating(log, [b"old.....\n", b"new.....\n"], file_bytes_max=10, files_max=1)
    assert names(tmp_path) == ["a.log"] and log.read_bytes() == b"new.....\n"


def test_a_smaller_limit_removes_what_is_beyond_it(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    for files_max in (5, 5, 5, 5, 5, 2):
        append_rotating(log, [b"123456789\n"], file_bytes_max=10, files_max=files_max)
    assert names(tmp_path) == ["a.log", "a.log.1"]


def test_several_writers_lose_and_tear_no_line(tmp_path: Path) -> None:
    """Threads with descriptors of their own stand for processes: flock tells those apart."""
    log = tmp_path / "a.log"

    def write(writer: int) -> None:
        for number in range(200):
            line = b"%d:%d:%s\n" % (writer, number, b"." * (number % 40))
            append_rotating(log, [line], file_bytes_max=2000, files_max=1000)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    lines = b"".join(path.read_bytes() for path in tmp_path.iterdir()).splitlines()
    found = sorted(tuple(map(int, line.split(b":")[:2])) for line in lines)
    assert found == [(writer, number) for writer in range(4) for number in range(200)]
    assert all(len(line.split(b":")[2]) == int(line.split(b":")[1]) % 40 for line in lines)
    assert len(names(tmp_path)) > 5


def test_a_lock_that_is_held_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LOCK_SECONDS_MAX", 0.02)
    log = tmp_path / "a.log"
    append_rotating(log, [b"123456789\n"], file_bytes_max=10, files_max=2)
    holder = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        append_rotating(log, [b"123456789\n", b"1\n"], file_bytes_max=10, files_max=2)
        assert names(tmp_path) == ["a.log"]
        with pytest.raises(BlockingIOError):
            append_rotating(log, [b"2\n"], file_bytes_max=10, files_max=2)
    finally:
        os.close(holder)
    append_rotating(log, [b"3\n"], file_bytes_max=10, files_max=2)
    assert log.read_bytes() == b"3\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk is simulated by /dev/full")
def test_a_full_disk_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.log").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space"):
        append_rotating(tmp_path / "a.log", [b"x\n"], file_bytes_max=10, files_max=2)


def test_replace_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c"
    replace_file(path, b"old")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new" and names(tmp_path) == ["c"]


def test_a_failed_replace_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c"
    replace_file(path, b"old")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old" and names(tmp_path) == ["c"]


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "c"
    contents = [bytes([letter]) * 200_000 for letter in b"ab"]
    replace_file(path, contents[0])
    done = threading.Event()

    def write() -> None:
        for number in range(50):
            replace_file(path, contents[number % 2])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert path.read_bytes() in contents
    writer.join(10)
    assert done.is_set()


def test_prune_removes_the_oldest_and_what_the_dead_left(tmp_path: Path) -> None:
    now = time.time()
    for age, name in enumerate(["new", "middle", "old", "oldest"]):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (now - age, now - age))
    for name, age in ((".young.1.tmp", 5), (".orphan.2.tmp", ORPHAN_SECONDS + 60)):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (now - age, now - age))
    (tmp_path / "directory").mkdir()
    prune(tmp_path, 2)
    assert names(tmp_path) == [".young.1.tmp", "directory", "middle", "new"]
