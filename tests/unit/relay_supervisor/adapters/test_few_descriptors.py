"""Without free descriptors nothing can be started; the relay lives, says so, and loses none."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from relay_supervisor.adapters import children
from relay_supervisor.adapters.loop import Loop
from relay_supervisor.adapters.worker_pipe import WorkerPipe
from relay_supervisor.errors import SpawnFailed
from tests.unit.relay_supervisor.adapters.descriptors import (
    few_descriptors,
    open_fds,
    wait_readable,
)

REPOSITORY = Path(__file__).parents[4]


@pytest.mark.parametrize("spare", range(10))
def test_a_pipe_that_cannot_be_made_loses_none(spare: int) -> None:
    """It is tried again and again: what leaks each time can never be had again."""
    loop = Loop()
    before = open_fds()
    with few_descriptors(spare), pytest.raises(OSError, match="Too many open files"):
        WorkerPipe(3, loop, print, print)
    lost = open_fds() - before
    for fd in lost:
        os.close(fd)  # or it would be missing in the tests that follow
    assert not lost


@pytest.mark.parametrize("spare", range(6))
def test_a_backend_that_cannot_be_started_loses_none(spare: int) -> None:
    before = open_fds()
    with few_descriptors(spare), pytest.raises(SpawnFailed):
        children.spawn_backend(["true"], {}, "/", mailbox_bytes=4096)
    assert open_fds() == before


HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}},
}


@pytest.mark.parametrize("limit", [12, 14, 16, 18])
def test_a_relay_that_cannot_have_a_worker_answers_its_client(tmp_path: Path, limit: int) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "RELAY_STATE_DIR": str(tmp_path / "state"),
        "RELAY_RUNTIME_DIR": str(tmp_path / "run"),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "relay_supervisor"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),  # noqa: PLW1509
    ) as relay:
        assert relay.stdin is not None and relay.stdout is not None
        relay.stdin.write(json.dumps(HELLO).encode() + b"\n")
        relay.stdin.flush()
        wait_readable(relay.stdout.fileno())
        line = relay.stdout.readline()
        _, complaints = relay.communicate(timeout=20)
    assert json.loads(line or b"{}").get("id") == 1, complaints.decode()
    assert relay.returncode == 0, complaints.decode()
    assert b"no descriptors are left" in complaints and b"Traceback" not in complaints
