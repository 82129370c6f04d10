"""Signals find a child by its descriptor, with all of its group, and by its number where that
cannot be had.
"""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from relay_supervisor.adapters import children
from relay_supervisor.adapters.pidfds import Pidfds
from tests.unit.relay_supervisor.adapters.descriptors import (
    few_descriptors,
    open_fds,
    wait_readable,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there are no pidfds elsewhere")

GROUP = ["sh", "-c", "trap 'echo term' TERM; exec 3<&0; cat <&3 & wait; wait"]
Numbers = list[tuple[int, int]]


class Held:
    """A child that leads a group, held by its descriptor."""

    def __init__(self) -> None:
        self.by_number: Numbers = []
        self.pidfds = Pidfds({}, self.kill_group)
        pipe = subprocess.PIPE
        process = subprocess.Popen(GROUP, stdin=pipe, stdout=pipe, start_new_session=True)
        assert process.stdin is not None and process.stdout is not None
        self._process, self._stdin, self._stdout = process, process.stdin, process.stdout
        self.pid = process.pid
        self._stdin.write(b"up\n")
        self._stdin.flush()
        assert self.line() == b"up\n", "both run by now, the shell and what it has started"

    def kill_group(self, pid: int, number: int) -> None:
        self.by_number.append((pid, number))
        children.kill_group(pid, number)

    def line(self) -> bytes:
        wait_readable(self._stdout.fileno())
        return self._stdout.readline()

    def ends(self) -> int:
        """Its status, when it and all who can write to its stdout are dead."""
        assert self.line() == b""
        return self._process.wait(10)

    def close(self) -> None:
        self.pidfds.close(self.pid)
        children.kill_group(self.pid, signal.SIGKILL)
        self._process.wait(10)
        self._stdout.close()
        self._stdin.close()


@pytest.fixture
def held() -> Iterator[Held]:
    before = open_fds()
    child = Held()
    yield child
    child.close()
    assert open_fds() == before


def without_groups(send: Callable[..., None]) -> Callable[..., None]:
    """`pidfd_send_signal` as it was before Linux 6.9."""

    def old(fd: int, number: int, info: None = None, flags: int = 0) -> None:
        if flags:
            raise OSError(errno.EINVAL, "Invalid argument")
        send(fd, number)

    return old


@pytest.mark.parametrize("old", [False, True])
def test_the_process_and_its_group_are_ended(
    held: Held, old: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if old:
        monkeypatch.setattr(signal, "pidfd_send_signal", without_groups(signal.pidfd_send_signal))
    assert held.pidfds.open(held.pid)
    held.pidfds.signal(held.pid, signal.SIGKILL)
    assert held.ends() == -signal.SIGKILL
    assert old or held.by_number == [] or not _knows_groups()


def _knows_groups() -> bool:
    """Whether this system's kernel is of 6.9 or later."""
    release = os.uname().release.split(".")
    return (int(release[0]), int(release[1])) >= (6, 9)


@pytest.mark.parametrize("old", [False, True])
def test_a_signal_comes_once(held: Held, old: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many servers take a second SIGTERM as the order not to tidy up."""
    if old:
        monkeypatch.setattr(signal, "pidfd_send_signal", without_groups(signal.pidfd_send_signal))
    held.pidfds.open(held.pid)
    held.pidfds.signal(held.pid, signal.SIGTERM)
    assert held.line() == b"term\n"
    assert held.ends() >= 0, "said once; the others of its group are gone, so it ends"


@pytest.mark.parametrize("old", [False, True])
def test_nobody_is_signalled_for_one_that_is_gone(
    held: Held, old: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Say that its number is somebody else's by now."""
    if old:
        monkeypatch.setattr(signal, "pidfd_send_signal", without_groups(signal.pidfd_send_signal))
    held.pidfds.open(held.pid)
    held.pidfds.signal(held.pid, signal.SIGKILL)
    held.ends()
    held.by_number.clear()
    held.pidfds.signal(held.pid, signal.SIGKILL)
    assert held.by_number == []


def fails(number: int) -> Callable[[int], int]:
    def pidfd_open(pid: int) -> int:
        raise OSError(number, os.strerror(number))

    return pidfd_open


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EMFILE, errno.EINVAL])
def test_without_a_descriptor_the_number_has_to_do(
    held: Held, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "pidfd_open", fails(number))
    assert not held.pidfds.open(held.pid)
    held.pidfds.signal(held.pid, signal.SIGKILL)
    assert held.by_number == [(held.pid, signal.SIGKILL)] and held.ends() == -signal.SIGKILL


def test_without_free_descriptors_the_number_has_to_do(held: Held) -> None:
    with few_descriptors(0):
        assert not held.pidfds.open(held.pid)
    held.pidfds.signal(held.pid, signal.SIGKILL)
    assert held.by_number == [(held.pid, signal.SIGKILL)]


def test_no_child_inherits_it_and_it_is_closed_once(held: Held) -> None:
    held.pidfds.open(held.pid)
    fd = held.pidfds.by_pid[held.pid]
    assert not os.get_inheritable(fd)
    held.pidfds.close(held.pid)
    taken = os.open(os.devnull, os.O_RDONLY)
    held.pidfds.close(held.pid)
    assert taken == fd
    os.close(taken)
