"""Memory figures of real processes: this one, and a child of ours with a child of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from relay_supervisor.ctl import memory

# Says "ready" once it has touched this much memory, and ends with its stdin.
EATEN_BYTES = 32 << 20
EATER = f"eaten = b'x' * {EATEN_BYTES}; print('ready', flush=True); input()"
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {EATER!r}])
"""


@contextmanager
def running(code: str) -> Iterator[int]:
    """A Python process that has said it is ready; the pid."""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n"
            yield process.pid
        finally:
            process.communicate(b"\n", timeout=10)


def gone_pid() -> int:
    """A pid that no process has."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def entry(pid: int | None, rss_bytes: int | None = None) -> dict[str, Any]:
    return {"pid": pid, "rss_bytes": rss_bytes}


def test_supervisor_and_workers_count_by_themselves() -> None:
    with running(EATER):  # a child of ours, which must not be counted as ours
        relay = {"supervisor": entry(os.getpid()), "workers": [entry(os.getpid())], "backends": []}
        before = psutil.Process().memory_info().rss
        memory.fill([relay])
    for process in (relay["supervisor"], relay["workers"][0]):
        assert abs(process["rss_bytes"] - before) < EATEN_BYTES // 2


def test_a_backend_counts_with_the_server_behind_its_launcher() -> None:
    with running(PARENT) as pid:
        own = psutil.Process(pid).memory_info().rss
        relay = {"supervisor": {}, "workers": [], "backends": [entry(pid)]}
        memory.fill([relay])
        assert relay["backends"][0]["rss_bytes"] >= own + EATEN_BYTES


def test_what_is_known_stays_and_what_cannot_be_known_stays_open() -> None:
    relay = {
        "supervisor": entry(os.getpid(), 7),
        "workers": [entry(gone_pid())],
        "backends": [entry(None), entry(gone_pid()), {"name": "no pid at all"}],
    }
    memory.fill([relay])
    assert relay["supervisor"]["rss_bytes"] == 7
    assert relay["workers"][0]["rss_bytes"] is None
    assert [backend.get("rss_bytes") for backend in relay["backends"]] == [None, None, None]


def test_a_relay_that_sends_less_is_fine() -> None:
    relay: dict[str, Any] = {"id": "a", "health": "ok"}
    memory.fill([relay])
    assert relay == {"id": "a", "health": "ok"}
