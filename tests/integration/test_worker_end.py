"""A real worker process and its end: by order, by signal, by the loss of its supervisor."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from relay_supervisor.wire import handshake, v1
from tests.integration.fake_supervisor import WAIT_SECONDS, FakeSupervisor
from tests.integration.two_backends import QUICK, other_backend_works, two_backends


def test_retire_ends_the_worker_and_leaves_the_backends(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends())
    assert supervisor.retire() == 0
    assert all(child.poll() is None for child in supervisor.children.values())


@pytest.mark.parametrize("own_session", [False, True])
def test_nothing_is_left_when_the_supervisor_is_gone(
    supervisor: FakeSupervisor, tmp_path: Path, own_session: bool
) -> None:
    flags = ["--ignore-sigterm", "--ignore-stdin-eof", f"--spawn-grandchild={tmp_path}/pid"]
    supervisor.ready(two_backends(*flags, *(["--grandchild-session"] if own_session else [])))
    grandchild = psutil.Process(int((tmp_path / "pid").read_text()))
    supervisor.vanish()
    assert supervisor.worker.wait(WAIT_SECONDS) == 0
    for child in supervisor.children.values():
        assert child.wait(WAIT_SECONDS) == -signal.SIGKILL
    psutil.wait_procs([grandchild], timeout=WAIT_SECONDS)
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


def test_a_busy_worker_notices_that_the_supervisor_is_gone(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends())
    for call in range(100, 160):
        supervisor.tool(call, "fix__big", bytes=3_000_000)
    os.close(supervisor.life)
    assert supervisor.worker.wait(WAIT_SECONDS) == 0
    for child in supervisor.children.values():
        assert child.wait(WAIT_SECONDS) == -signal.SIGKILL


def test_the_end_of_the_pipe_ends_the_worker_alone(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends())
    os.close(supervisor.out)
    assert supervisor.worker.wait(WAIT_SECONDS) == 0
    assert all(child.poll() is None for child in supervisor.children.values())


def test_no_common_version_is_a_status_of_its_own(tmp_path: Path) -> None:
    with FakeSupervisor(tmp_path, versions=(98, 99)) as supervisor:
        assert supervisor.worker.wait(WAIT_SECONDS) == handshake.EXIT_INCOMPATIBLE


def test_signals(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends())
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        supervisor.worker.send_signal(number)
    other_backend_works(supervisor)
    supervisor.worker.terminate()
    assert supervisor.worker.wait(WAIT_SECONDS) == -signal.SIGTERM


def test_garbage_on_the_pipe_does_not_end_it(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends())
    supervisor.send_raw(b"\xc1garbage", b"")
    supervisor.send_raw(b"\x92\xcd\x03\xe7\x01", b"of a newer supervisor")
    supervisor.send(v1.Ping(42))
    assert supervisor.expect(v1.Pong)[0].token == 42
    other_backend_works(supervisor)


def test_secrets_stay_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIXTURE_SECRET", "correct-horse-battery")
    code = "import os, sys; print(os.environ['KEY'], file=sys.stderr); sys.exit(1)"
    broken = {"command": "python3", "args": ["-c", code], "env": {"KEY": "${FIXTURE_SECRET}"}}
    missing = {"command": "/no/${FIXTURE_SECRET}"}
    with FakeSupervisor(tmp_path) as supervisor:
        supervisor.ready(
            {
                "backends": {"broken": broken, "missing": missing},
                "relay": {**QUICK, "restart_attempts_max": 1},
            }
        )
        supervisor.expect(v1.BackendState, lambda m: m.backend == "broken" and m.state == "failed")
        assert supervisor.retire() == 0
        told = [m for m, _ in supervisor.inbox if not isinstance(m, v1.Spawn)]
        assert "correct-horse" not in repr(told) + supervisor.log()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"correct-horse" not in path.read_bytes()
