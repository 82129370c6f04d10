"""Which control sockets are stale, and that nothing else is ever removed."""

import contextlib
import errno
import fcntl
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_supervisor.socket_files import (
    STALE_SECONDS_MIN,
    listening,
    remove_stale,
    socket_path,
)

UID = os.getuid()


@pytest.fixture
def runtime() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rl-") as folder:
        yield Path(folder)


def leave_dead(runtime: Path, instance: str = "dead") -> Path:
    """A socket file as a relay leaves it that was killed."""
    path = Path(socket_path(str(runtime), instance))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
        dead.listen()
    return path


def later(path: Path) -> float:
    """A time at which the socket at *path* is old enough."""
    return path.lstat().st_mtime + STALE_SECONDS_MIN


def test_a_dead_socket_is_removed_and_named(runtime: Path) -> None:
    path = leave_dead(runtime)
    assert remove_stale(str(runtime), UID, later(path)) == [str(path)]
    assert not list(runtime.iterdir())  # no lock file either


def test_a_socket_too_young_to_judge_stays(runtime: Path) -> None:
    path = leave_dead(runtime)
    assert remove_stale(str(runtime), UID, later(path) - 0.01) == []
    assert remove_stale(str(runtime), UID, path.lstat().st_mtime - 1e6) == []  # the clock went back
    assert path.is_socket()


@pytest.mark.skipif(sys.platform != "linux", reason="macOS refuses when the queue is full")
def test_a_stopped_relay_with_a_full_queue_is_not_dead(runtime: Path) -> None:
    path = Path(socket_path(str(runtime), "stopped"))
    with contextlib.ExitStack() as stack:
        relay = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        relay.bind(str(path))
        relay.listen(1)
        for _ in range(10):
            peer = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            peer.setblocking(False)
            if peer.connect_ex(str(path)) == errno.EAGAIN:
                break
        else:
            pytest.fail("the queue takes more than it should")
        assert remove_stale(str(runtime), UID, later(path)) == []
        assert path.is_socket()


def test_only_our_own_sockets_are_touched(runtime: Path) -> None:
    stranger = leave_dead(runtime, "stranger")
    dead = leave_dead(runtime)
    (runtime / "plain.sock").write_text("no socket")
    (runtime / "link.sock").symlink_to(dead)
    dead.rename(runtime / "other.name")
    now = later(runtime / "link.sock") + 60.0
    assert remove_stale(str(runtime), UID + 1, now) == []
    assert {path.name for path in runtime.iterdir()} == {
        "stranger.sock",
        "plain.sock",
        "link.sock",
        "other.name",
    }
    assert remove_stale(str(runtime), UID, now) == [str(stranger)]


def test_while_somebody_else_cleans_up_nothing_is_done(runtime: Path) -> None:
    path = leave_dead(runtime)
    lock = os.open(runtime, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert remove_stale(str(runtime), UID, later(path)) == []
    finally:
        os.close(lock)
    assert remove_stale(str(runtime), UID, later(path)) == [str(path)]


def test_a_linked_directory_is_not_followed(runtime: Path) -> None:
    real = runtime / "real"
    real.mkdir()
    path = leave_dead(real)
    (runtime / "link").symlink_to(real)
    with pytest.raises(OSError):  # noqa: PT011 - ELOOP or ENOTDIR, by the system
        remove_stale(str(runtime / "link"), UID, later(path))
    assert path.is_socket()


def test_what_is_not_there_does_not_count_as_dead(runtime: Path) -> None:
    assert listening(str(runtime / "missing.sock"))
