"""How the tests of life and death make families, end them, and measure until the last is gone."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from relay_supervisor.ctl.client import ask_all, find
from relay_supervisor.wire.control_v1 import Request
from tests.harness import Relay, alive, descendants, describe, fixture_backend, marked, wait_until

EOF_SECONDS = 2.0
SIGNAL_SECONDS = 0.4
ORPHAN_SECONDS = 3.0

STUBBORN = ("--ignore-stdin-eof", "--ignore-sigterm")

OWN_SESSION = """
import os, sys
if os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
os.setsid()
os.execvp(sys.argv[1], sys.argv[1:])
"""

# What comes before a server's command line, and stays between it and the relay.
LEADERS: Mapping[str, list[str]] = {
    # npx, uvx and every wrapper script: a parent that waits, and passes no signal on.
    "shell": ["/bin/sh", "-c", '"$0" "$@"; exit $?'],
    # A launcher that puts the server into a session, so a process group, of its own, and waits.
    "session": [sys.executable, "-c", OWN_SESSION],
}


def led(leader: str, *flags: str) -> dict[str, Any]:
    """A fixture backend behind one of the LEADERS."""
    backend = fixture_backend(*flags)
    command, *args = LEADERS[leader]
    return {**backend, "command": command, "args": [*args, backend["command"], *backend["args"]]}


def starting() -> dict[str, Any]:
    """Backends that ignore the end of stdin and SIGTERM: one that does not answer yet, one that
    never will.
    """
    return {
        "late": fixture_backend("--start-delay", "600", *STUBBORN),
        "deaf": fixture_backend("--deaf", *STUBBORN),
    }


def stubborn(folder: Path) -> dict[str, Any]:
    """Backends that ignore the end of stdin and SIGTERM, with grandchildren that ignore SIGTERM:
    in their group, in a session of their own, and behind leaders.
    """
    folder.mkdir(exist_ok=True)
    own_session = "--grandchild-session"
    return {
        "plain": fixture_backend(*STUBBORN),
        "parent": fixture_backend(*STUBBORN, "--spawn-grandchild", str(folder / "parent")),
        "leaver": fixture_backend(
            *STUBBORN, "--spawn-grandchild", str(folder / "leaver"), own_session
        ),
        "shell": led("shell", *STUBBORN, "--spawn-grandchild", str(folder / "shell"), own_session),
        "session": led("session", *STUBBORN, "--spawn-grandchild", str(folder / "session")),
    }


def own_status(relay: Relay) -> dict[str, Any]:
    """What relayctl would say, by the relay's own tool: no process has to be started for it."""
    status: dict[str, Any] = relay.client.call_tool("relay__status")["structuredContent"]
    return status


def outside_status(relay: Relay) -> dict[str, Any]:
    """The same from the control socket, as relayctl does: the client need not read for it."""
    paths = find(relay.env["RELAY_RUNTIME_DIR"], os.getuid())
    (answer,) = ask_all(paths, Request("status"), 10.0)
    assert answer.result is not None, answer.trouble
    status: dict[str, Any] = json.loads(answer.result)
    return status


def all_ready(relay: Relay) -> None:
    """Shake hands, and wait until every backend is up."""
    relay.client.initialize()

    def up() -> bool:
        return all(backend["state"] == "ready" for backend in own_status(relay)["backends"])

    wait_until(up, 20.0, "all backends ready")


def worker_pid(relay: Relay) -> int:
    """The pid of the one worker."""
    (worker,) = own_status(relay)["workers"]
    pid: int = worker["pid"]
    return pid


@contextlib.contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[None]:
    """Mount a file system of so many KiB on a directory for the time of the block."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a small file system needs Linux and root")
    command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k,mode=0700", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """SIGSTOP a process for the time of the block, then SIGCONT if it still lives."""
    process = psutil.Process(pid)
    process.suspend()
    wait_until(lambda: process.status() == psutil.STATUS_STOPPED, 5.0, "the process to stand still")
    try:
        yield
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


def allowed(seconds: float) -> float:
    """A limit of the contract as it is on this machine: with more to run than there are processors
    everything takes that much longer, and a relay cannot help it.
    """
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def seconds_until_gone(
    relay: Relay, action: Callable[[], object], expected_processes_min: int = 2
) -> float:
    """Do what ends the relay; seconds until no process of it lives. The family must have been as
    large as expected, or the test would prove nothing.
    """
    family = {process.pid for process in [*marked(relay.mark), *descendants(relay.pid)]}
    assert len(family) >= expected_processes_min, f"only {len(family)} processes"
    begin = time.monotonic()
    action()
    try:
        wait_until(lambda: not any(map(alive, family)) and not marked(relay.mark), 10.0)
    except TimeoutError:
        raise AssertionError(f"10 s later:\n{describe(marked(relay.mark))}") from None
    return time.monotonic() - begin


def assert_ends_within(
    relay: Relay,
    action: Callable[[], object],
    seconds: float,
    expected_processes_min: int = 2,
) -> None:
    """Do what ends the relay: all of it is gone in time, cleanly and with status 0."""
    took = seconds_until_gone(relay, action, expected_processes_min)
    assert relay.ended_by(lambda: None) == 0
    assert took <= allowed(seconds), f"it took {took:.3f} s, allowed are {allowed(seconds):.3f} s"
