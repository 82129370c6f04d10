"""relayctl as a process of its own: on a terminal, in a pipe, interrupted; and on a real relay."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from relay_worker.files import append_rotating
from tests.harness.fixture import fixture_backend
from tests.harness.home import RelayHome
from tests.harness.processes import alive, wait_until
from tests.harness.relay import Relay
from tests.unit.relay_supervisor.ctl.fake_relay import (
    FakeRelay,
    dead_relay,
    golden_status,
    hung_relay,
)

RELAYCTL = [sys.executable, "-m", "relay_supervisor.ctl"]
SECONDS_MAX = 20.0


def relayctl(home: RelayHome, *args: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        [*RELAYCTL, *args],
        env=home.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )


@contextmanager
def running(home: RelayHome, *args: str, stdout: int = subprocess.PIPE) -> Iterator[Any]:
    """A relayctl that goes on until it is interrupted; killed at the end if that has not helped."""
    environment = home.environment({"TERM": "xterm", "COLUMNS": "80", "LINES": "40"})
    process = subprocess.Popen(
        [*RELAYCTL, *args],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def interrupt(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    """Ctrl-C; the exit code and what was written to stderr."""
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=SECONDS_MAX)
    return process.returncode, stderr


def read_until(fd: int, needle: bytes) -> bytes:
    """What can be read from *fd* up to *needle* and a little more."""
    deadline = time.monotonic() + SECONDS_MAX
    text = b""
    while needle not in text:
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        data = os.read(fd, 1 << 16) if ready else b""
        assert data, f"no {needle!r} in {text!r}"
        text += data
    return text


def read_rest(fd: int) -> bytes:
    """What is left to be read from a terminal that nobody writes to any more."""
    text = b""
    while select.select([fd], [], [], 0)[0]:
        try:
            data = os.read(fd, 1 << 16)
        except OSError:  # how Linux says that the other end is closed
            break
        if not data:
            break
        text += data
    return text


# ---- relays of the test's own


def test_a_watch_in_a_pipe_ends_cleanly_when_interrupted(home: RelayHome) -> None:
    with (
        FakeRelay(home.runtime, "a", golden_status()),
        running(home, "status", "--watch", "--json") as process,
    ):
        first, second = process.stdout.readline(), process.stdout.readline()
        assert interrupt(process) == (0, b"")
    assert (
        json.loads(first)
        == json.loads(second)
        == {
            "instances": [golden_status()],
            "unreachable": [],
        }
    )


def test_a_watch_on_a_terminal_redraws_and_gives_the_screen_back(home: RelayHome) -> None:
    master, terminal = pty.openpty()
    try:
        with running(home, "status", "--watch", stdout=terminal) as process:
            os.close(terminal)
            before = read_until(master, b"No relay is running")
            assert b"\x1b[?1049h" in before  # the other screen
            with FakeRelay(home.runtime, "a1b2c3d4", golden_status()):
                read_until(master, b"a1b2c3d4")
                assert interrupt(process) == (0, b"")
        after = read_rest(master)
    finally:
        os.close(master)
    left = after[after.index(b"\x1b[?1049l") :]
    assert b"\x1b[?25h" in after  # the cursor is back
    assert b"a1b2c3d4" in left and b"backing_off" in left


def test_a_reader_that_goes_away_ends_a_watch(home: RelayHome) -> None:
    with running(home, "status", "--watch", "--json") as process:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(SECONDS_MAX) == 1
        assert b"Traceback" not in process.stderr.read()


def test_colours_on_a_terminal_unless_no_color_is_set(home: RelayHome) -> None:
    for extra, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        master, terminal = pty.openpty()
        with FakeRelay(home.runtime, "a1b2c3d4", golden_status()):
            process = subprocess.Popen(
                [*RELAYCTL, "status"],
                env=home.environment({"TERM": "xterm-256color", "COLUMNS": "80", **extra}),
                stdin=subprocess.DEVNULL,
                stdout=terminal,
            )
            os.close(terminal)
            text = read_until(master, b"problems")
            assert process.wait(SECONDS_MAX) == 4
        os.close(master)
        assert (b"\x1b[32m" in text) is coloured


def test_a_hung_relay_delays_but_does_not_hide_the_others(home: RelayHome) -> None:
    dead = dead_relay(home.runtime, "dead")
    with FakeRelay(home.runtime, "well", golden_status()), hung_relay(home.runtime, "hung"):
        done = relayctl(home, "status", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 4 and done.stderr == ""
    assert [instance["id"] for instance in found["instances"]] == ["a1b2c3d4"]
    assert [silent["id"] for silent in found["unreachable"]] == ["hung"]
    assert not dead.exists()


def test_asking_makes_no_directory(home: RelayHome) -> None:
    home.runtime.rmdir()
    assert relayctl(home, "status").returncode == 3
    assert not home.runtime.exists()


def test_a_log_is_followed_over_its_rotation(home: RelayHome) -> None:
    path = home.state / "logs" / "backends" / "files.log"

    def write(*lines: bytes) -> None:
        append_rotating(path, lines, file_bytes_max=40, files_max=5)

    write(b"one\n", b"two\n")
    with running(home, "logs", "-f", "-n", "1", "files") as process:
        assert process.stdout.readline() == b"two\n"
        expected = [b"line number %d\n" % number for number in range(9)]
        write(*expected)
        assert [process.stdout.readline() for _ in expected] == expected
        assert interrupt(process) == (0, b"")
    assert path.with_name("files.log.1").exists()


def test_the_file_of_a_person_with_a_problem(home: RelayHome) -> None:
    file = home.write_config("backends:\n  files:\n    comand: npx\n")
    done = relayctl(home, "config", "check", str(file))
    assert done.returncode == 1 and done.stderr == ""
    assert done.stdout.startswith(f"{file}:3:5: error: backends.files.comand: ")


# ---- the real relay


def test_a_real_relay_is_well_and_gone_when_its_client_is(home: RelayHome) -> None:
    with Relay({"backends": {"fx": fixture_backend()}}, home=home) as relay:
        relay.client.initialize()
        wait_until(lambda: relay.status()["health"] == "ok", SECONDS_MAX, "healthy")
        status = relay.status()
        table = relay.relayctl("status")
        assert relay.relayctl("status", "--instance", status["id"][:3]).returncode == 0
    assert table.returncode == 0 and f"relay {status['id']}  ok" in table.stdout
    (backend,) = (found for found in status["backends"] if found["name"] == "fx")
    assert backend["state"] == "ready" and backend["tools"] > 0
    assert status["registry"]["tools"] >= backend["tools"]
    assert [worker["state"] for worker in status["workers"]] == ["active"]
    for process in (status["supervisor"], *status["workers"], backend):
        assert process["rss_bytes"] > 1 << 20
        assert not alive(process["pid"])
    assert relayctl(home, "status").returncode == 3


def test_a_real_backend_that_cannot_start_is_told_with_its_reason_and_its_log(
    home: RelayHome,
) -> None:
    says = "import sys; print('no database', file=sys.stderr); sys.exit(3)"
    broken = {"command": sys.executable, "args": ["-c", says]}
    with Relay({"backends": {"fx": fixture_backend(), "broken": broken}}, home=home) as relay:
        relay.client.initialize()
        wait_until(lambda: relay.status()["health"] == "degraded", SECONDS_MAX, "degraded")
        table = relay.relayctl("status")
        assert "exited with status 3" in relay.backend("broken")["last_error"]
        path = home.state / "logs" / "backends" / "broken.log"
        wait_until(lambda: path.exists() and path.stat().st_size, SECONDS_MAX, "the backend's log")
        log = relay.relayctl("logs", "-n", "1", "broken")
    assert table.returncode == 4 and "- broken: " in table.stdout
    assert (log.returncode, log.stdout) == (0, "no database\n")


def test_several_real_relays_are_all_found(home: RelayHome) -> None:
    shared = {"RELAY_RUNTIME_DIR": str(home.runtime)}

    def pids() -> set[int]:
        found = json.loads(relayctl(home, "status", "--json").stdout)["instances"]
        return {instance["supervisor"]["pid"] for instance in found}

    with Relay(None, env=shared) as one:
        with Relay(None, env=shared) as two:
            wait_until(lambda: pids() == {one.pid, two.pid}, SECONDS_MAX, "both found")
        assert pids() == {one.pid}
    assert home.runtime_leftovers() == []


def test_a_stopped_relay_is_reported_and_comes_back(home: RelayHome) -> None:
    with Relay(None, home=home) as relay:
        wait_until(lambda: relayctl(home, "status").returncode != 3, SECONDS_MAX, "reachable")
        os.kill(relay.pid, signal.SIGSTOP)
        try:
            done = relayctl(home, "status", "--json")
        finally:
            os.kill(relay.pid, signal.SIGCONT)
        assert done.returncode == 3
        assert "stopped or hung" in json.loads(done.stdout)["unreachable"][0]["reason"]
        assert relay.status()["supervisor"]["pid"] == relay.pid


def test_the_socket_of_a_killed_relay_is_cleaned_up(home: RelayHome) -> None:
    relay = Relay(None, home=home)
    relay.start()
    wait_until(lambda: relayctl(home, "status").returncode != 3, SECONDS_MAX, "reachable")
    relay.kill()
    (left,) = home.runtime_leftovers()
    assert relayctl(home, "status").returncode == 3
    path = Path(home.runtime / left)
    if path.exists():  # too young to be judged: as if time had passed
        os.utime(path, (0, 0))
        assert relayctl(home, "status").returncode == 3
    assert home.runtime_leftovers() == []


def test_a_relay_whose_runtime_directory_is_unsafe_serves_its_client(home: RelayHome) -> None:
    home.runtime.chmod(0o755)
    with Relay(None, home=home) as relay:
        relay.client.initialize()
        done = relayctl(home, "status")
        assert done.returncode == 1 and "chmod 0700" in done.stderr
        relay.client.child.wait_stderr("chmod 0700")
