"""Processes as the tests see them: who descends from whom, and who was left behind.

A test marks what it starts with a variable in the environment. Every descendant inherits it, also
one that has left the process tree, and keeps it to its end: nothing can hide by being orphaned.
This module only looks; ending processes is done by pid, and only of marked ones.
"""

import contextlib
import os
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil

MARK_VARIABLE = "RELAY_TEST_MARK"
POLL_SECONDS = 0.01


def new_mark() -> str:
    """A value for MARK_VARIABLE that no other test has."""
    return uuid.uuid4().hex


def marked(mark: str) -> list[psutil.Process]:
    """All living processes with this mark in the environment they were started with."""
    needle = f"{MARK_VARIABLE}={mark}".encode()
    proc = Path("/proc")
    pids = (
        [int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()]
        if proc.is_dir()
        else []
    )
    found = []
    for pid in pids or psutil.pids():
        try:
            process = psutil.Process(pid)
            if needle in environment_of(process) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue  # ended meanwhile, or not ours to read: then nobody of this test started it
    return found


def environment_of(process: psutil.Process) -> list[bytes]:
    """The environment a process was started with, as NAME=value."""
    path = Path(f"/proc/{process.pid}/environ")
    if path.parent.is_dir():
        return path.read_bytes().split(b"\0")
    return [f"{name}={value}".encode() for name, value in process.environ().items()]


def descendants(pid: int) -> list[psutil.Process]:
    """Children of pid, their children, and so on; none if pid is gone."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def alive(pid: int) -> bool:
    """True while the process runs; a zombie does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def open_fds(pid: int) -> int:
    """How many file descriptors the process holds."""
    return int(psutil.Process(pid).num_fds())


def resident_bytes(pid: int) -> int:
    """Resident memory of the process."""
    return int(psutil.Process(pid).memory_info().rss)


def describe(processes: list[psutil.Process]) -> str:
    """One line per process: pid, state, command."""
    lines = []
    for process in processes:
        try:
            lines.append(f"{process.pid} {process.status()} {' '.join(process.cmdline())[:200]}")
        except psutil.Error:
            lines.append(f"{process.pid} ended meanwhile")
    return "\n".join(lines)


def wait_gone(mark: str, seconds: float) -> list[psutil.Process]:
    """Wait until no process has the mark; return those that still live when the time is up."""
    # Not psutil.wait_procs: it reaps children of ours, and their Popen never learns the exit code.
    try:
        wait_until(lambda: not marked(mark), seconds)
    except TimeoutError:
        return marked(mark)
    return []


def kill_marked(mark: str, seconds: float = 5.0) -> None:
    """SIGKILL all processes with the mark, by pid, also those born while it happens."""

    def killed() -> bool:
        left = marked(mark)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        return not left

    wait_until(killed, seconds, f"killed: {MARK_VARIABLE}={mark}")


def wait_until(predicate: Callable[[], object], seconds: float, what: str = "") -> None:
    """Wait until predicate() is true, for things that send no event; TimeoutError after seconds.

    The one place in the tests that polls. Where there is an event, wait for that.
    """
    deadline = time.monotonic() + seconds
    never = threading.Event()
    while not predicate():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds} s still not: {what or predicate}")
        never.wait(POLL_SECONDS)


def eventually(check: Callable[[], object], seconds: float = 5.0) -> None:
    """Run check() until it raises no AssertionError; after seconds let its last one through."""
    deadline = time.monotonic() + seconds
    never = threading.Event()
    while True:
        try:
            check()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            never.wait(POLL_SECONDS)
        else:
            return


def inherited_fds(pid: int) -> dict[int, str]:
    """What each file descriptor of the process points at; Linux only, elsewhere empty."""
    folder = Path(f"/proc/{pid}/fd")
    found: dict[int, str] = {}
    for entry in folder.iterdir() if folder.is_dir() else ():
        try:
            found[int(entry.name)] = os.readlink(entry)
        except FileNotFoundError:
            continue  # closed between listing and reading
    return found
