"""`relayctl swap --watch` as a process beside a real relay, and what a terminal sees of a swap."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

from tests.harness import Relay, fixture_backend, wait_until
from tests.integration.test_relayctl import read_rest, read_until
from tests.integration.test_relayctl_swap import active, config, tools

RELAYCTL = [sys.executable, "-m", "relay_supervisor.ctl"]
SECONDS_MAX = 30.0


@pytest.fixture
def relay() -> Iterator[Relay]:
    with Relay(config("fx")) as relay:
        relay.client.initialize()
        wait_until(lambda: relay.status()["health"] == "ok", SECONDS_MAX, "healthy")
        yield relay


@contextmanager
def watching(relay: Relay) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A watch that has begun, and its stdout."""
    process = subprocess.Popen(
        [*RELAYCTL, "swap", "--watch"],
        env=relay.home.environment({"PYTHONUNBUFFERED": "1"}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline().startswith("Watching ")
        yield process, process.stdout
    finally:
        process.kill()
        process.communicate()


def test_a_changed_configuration_is_swapped_to_and_a_broken_one_is_not(relay: Relay) -> None:
    """The last good version stays; the next change is the next try; Ctrl-C is no failure."""
    with watching(relay) as (process, stdout):
        relay.home.write_config(config("fx", "more"))
        assert "committed" in stdout.readline()
        assert any(name.startswith("more__") for name in tools(relay))
        relay.home.write_config("backends: [")
        line = stdout.readline()
        assert "relay.yaml: relay " in line and "(generation 2)" in line
        assert any(name.startswith("more__") for name in tools(relay))
        relay.home.write_config(config("fx"))
        assert "committed" in stdout.readline()
        assert not any(name.startswith("more__") for name in tools(relay))
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS_MAX) == 0
        assert process.stderr is not None and process.stderr.read() == ""


def test_a_change_during_the_probation_supersedes_it() -> None:
    """Nobody has to wait for the end of a probation to try the next change."""
    with Relay(config("fx", probation_seconds=600)) as relay:
        relay.client.initialize()
        wait_until(lambda: relay.status()["health"] == "ok", SECONDS_MAX, "healthy")
        with watching(relay) as (_, stdout):
            relay.home.write_config(config("fx", "more", probation_seconds=600))
            wait_until(lambda: active(relay)["generation"] == 2, SECONDS_MAX, "the cut-over")
            relay.home.write_config(config("fx", "less", probation_seconds=600))
            assert "superseded" in stdout.readline()
            wait_until(lambda: active(relay)["generation"] == 3, SECONDS_MAX, "the next one")
        assert any(name.startswith("less__") for name in tools(relay))


def test_on_a_terminal_a_swap_moves_and_then_stays_readable(relay: Relay) -> None:
    master, terminal = pty.openpty()
    try:
        process = subprocess.Popen(
            [*RELAYCTL, "swap"],
            env=relay.home.environment({"TERM": "xterm", "COLUMNS": "80"}),
            stdin=subprocess.DEVNULL,
            stdout=terminal,
        )
        os.close(terminal)
        text = read_until(master, b"Now serving: ")
        assert process.wait(SECONDS_MAX) == 0
        text += read_rest(master)
    finally:
        os.close(master)
    assert b"\x1b[?25l" in text and b"\x1b[?25h" in text  # the cursor was hidden, and is back
    for phase in (b"  warming ", b"  active ", b"committed after"):
        assert phase in text


def test_a_lazy_backend_survives_a_swap_in_the_list(relay: Relay) -> None:
    """What is not started has its tools from the cache: nothing is lost."""
    relay.home.write_config({**config(), "backends": {"fx": fixture_backend(start="lazy")}})
    before = tools(relay)
    assert relay.relayctl("swap").returncode == 0
    assert tools(relay) == before
