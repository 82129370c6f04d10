"""A signal: all is gone within 0.4 s, as Claude Code kills 0.5 s after its first one."""

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.ends import (
    EOF_SECONDS,
    SIGNAL_SECONDS,
    all_ready,
    allowed,
    assert_ends_within,
    outside_status,
    seconds_until_gone,
    starting,
    stubborn,
)
from tests.harness import (
    Relay,
    fixture_backend,
    json_of,
    marked,
    server_everything,
    server_filesystem,
    side_effects,
    wait_until,
)

STOPS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def kill_with(relay: Relay, *numbers: int) -> Callable[[], None]:
    """Send these signals, one right after the other."""

    def send() -> None:
        for number in numbers:
            relay.client.child.send_signal(number)

    return send


def as_claude_code(relay: Relay) -> None:
    """SIGINT, and SIGTERM where it still runs 0.1 s later; stdin stays open."""
    relay.client.child.send_signal(signal.SIGINT)
    with contextlib.suppress(TimeoutError):
        relay.client.wait_exit(0.1)
        return
    relay.client.child.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("number", STOPS)
def test_an_idle_relay_ends_at_a_signal(number: int) -> None:
    """One well-behaved backend, nothing under way."""
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:
        all_ready(relay)
        assert_ends_within(relay, kill_with(relay, number), SIGNAL_SECONDS, 3)


@pytest.mark.parametrize("number", STOPS)
def test_stubborn_backends_and_grandchildren_end_at_a_signal(number: int, tmp_path: Path) -> None:
    """With calls under way on backends that ignore EOF and SIGTERM, as do their grandchildren."""
    with Relay({"backends": stubborn(tmp_path)}) as relay:
        all_ready(relay)
        for backend in ("plain", "parent", "session"):
            relay.client.start_tool(f"{backend}__hang")
        relay.client.call_tool("shell__echo")
        assert_ends_within(relay, kill_with(relay, number), SIGNAL_SECONDS, 13)


def test_claude_codes_way_to_stop_a_server(tmp_path: Path) -> None:
    """SIGINT, 0.1 s later SIGTERM, and all is gone before its SIGKILL."""
    with Relay({"backends": stubborn(tmp_path)}) as relay:
        all_ready(relay)
        relay.client.start_tool("plain__hang")
        assert_ends_within(relay, lambda: as_claude_code(relay), SIGNAL_SECONDS, 13)


def test_a_backend_may_end_in_good_order_at_a_signal(tmp_path: Path) -> None:
    """There is time for its stdin to close or SIGTERM to arrive; it is not killed outright."""
    log = tmp_path / "log"
    with Relay({"backends": {"fix": fixture_backend("--log", str(log))}}) as relay:
        all_ready(relay)
        relay.client.start_tool("fix__hang")
        assert_ends_within(relay, kill_with(relay, signal.SIGINT), SIGNAL_SECONDS, 3)
    assert len(side_effects(log, "end")) == 1, "it was killed before it could say goodbye"


@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGINT, signal.SIGINT),
        (signal.SIGTERM, signal.SIGINT),
        (signal.SIGHUP, signal.SIGTERM, signal.SIGINT) * 10,
    ],
    ids=["twice", "two kinds", "thirty"],
)
def test_stops_in_a_row_are_safe(numbers: tuple[int, ...], tmp_path: Path) -> None:
    """A further signal hurries the end; it never interrupts the cleaning up."""
    with Relay({"backends": stubborn(tmp_path)}) as relay:
        all_ready(relay)
        assert_ends_within(relay, kill_with(relay, *numbers), SIGNAL_SECONDS, 13)


def test_eof_and_a_signal_together_are_safe(tmp_path: Path) -> None:
    """stdin ends, which gives it two seconds; a signal during these makes it hurry."""
    with Relay({"backends": stubborn(tmp_path)}) as relay:
        all_ready(relay)
        relay.client.start_tool("plain__hang")

        def both() -> None:
            relay.client.close_stdin()
            relay.client.child.send_signal(signal.SIGTERM)

        assert_ends_within(relay, both, SIGNAL_SECONDS, 13)


def test_a_signal_and_eof_together_are_safe(tmp_path: Path) -> None:
    """The other way round, as when a whole terminal goes away."""
    with Relay({"backends": stubborn(tmp_path)}) as relay:
        all_ready(relay)

        def both() -> None:
            relay.client.child.send_signal(signal.SIGHUP)
            relay.client.close_stdin()

        assert_ends_within(relay, both, SIGNAL_SECONDS, 13)


def test_a_signal_while_everything_starts() -> None:
    """Claude Code signals 20 ms after `claude mcp list`: backends are only being started."""
    with Relay({"backends": starting()}) as relay:
        relay.client.initialize()
        wait_until(lambda: len(marked(relay.mark)) >= 3, 10.0, "a backend to be started")
        assert_ends_within(relay, kill_with(relay, signal.SIGINT), SIGNAL_SECONDS, 3)


def test_a_signal_with_an_unread_stdout_is_in_time() -> None:
    """A client that stops reading and then signals: what it does not read holds nobody up."""
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:
        all_ready(relay)
        relay.client.child.pause_reading()
        calls = [relay.client.start_tool("fix__big", {"bytes": 4 << 20}) for _ in range(8)]
        wait_until(lambda: outside_status(relay)["calls"]["in_flight"] < len(calls), 10.0)
        took = seconds_until_gone(relay, kill_with(relay, signal.SIGINT), 3)
        assert relay.client.wait_exit() == 0
        assert took <= allowed(SIGNAL_SECONDS)
        relay.kill()  # and nobody judges the frame that was cut short


def test_sigint_for_the_whole_process_group_is_safe() -> None:
    """Ctrl-C in a shell reaches the relay and what is in its group, but no backend directly."""
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:
        all_ready(relay)
        group = os.getpgid(relay.pid)
        assert group == relay.pid != os.getpgid(0)
        seen = json_of(relay.client.call_tool("fix__pid"))
        assert seen["pgid"] == seen["sid"] == seen["pid"] != group
        assert_ends_within(relay, lambda: os.killpg(group, signal.SIGINT), SIGNAL_SECONDS, 3)


@pytest.mark.parametrize("how", ["signal", "eof"])
def test_real_servers_behind_npx_are_gone(how: str, tmp_path: Path) -> None:
    """`npx` starts npm, which starts a shell, which starts node: all of them end."""
    everything, filesystem = server_everything(), server_filesystem(tmp_path)
    config = {
        "backends": {
            name: {"command": "npx", "args": ["--no-install", "--offline", *argv]}
            for name, argv in (("everything", everything), ("files", filesystem))
        }
    }
    with Relay(config) as relay:
        all_ready(relay)
        if how == "signal":
            action, seconds = kill_with(relay, signal.SIGINT), SIGNAL_SECONDS
        else:
            action, seconds = relay.client.close_stdin, EOF_SECONDS
        assert_ends_within(relay, action, seconds, 6)
