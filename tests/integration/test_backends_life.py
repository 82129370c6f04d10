"""Backends that die, do not start, start late or stop when idle; and what calls make of it."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.harness import (
    RawClient,
    Relay,
    alive,
    fixture_backend,
    json_of,
    side_effects,
    stopwatch,
    text_of,
    wait_until,
)
from tests.integration.through import backend_state, configuration, names, relayed


def pid_of(client: RawClient, backend: str = "a") -> int:
    """The pid of a fixture server, by itself."""
    pid: int = json_of(client.call_tool(f"{backend}__pid"))["pid"]
    return pid


class TestDeath:
    @pytest.mark.parametrize("how", ["SIGKILL", "exit", "torn"])
    def test_a_call_in_flight_is_told_and_the_next_one_waits(self, how: str) -> None:
        """The error names backend and cause; tools stay listed; the next call succeeds."""
        with relayed({"a": fixture_backend(), "b": fixture_backend()}) as relay:
            client = relay.client
            before = client.list_all("tools")
            first, others = pid_of(client), client.start_tool("b__slow", {"seconds": 0.5})
            call = client.start_tool("a__hang")
            if how == "SIGKILL":
                client.call_tool("a__echo")  # so the call above has arrived
                os.kill(first, signal.SIGKILL)
            else:
                client.start_tool("a__die", {"code": 3, "torn": how == "torn"})
            result = client.response(call).result
            assert result["isError"] is True
            assert "'a'" in text_of(result)
            assert ("SIGKILL" if how == "SIGKILL" else "status 3") in text_of(result)
            assert pid_of(client) != first, "the next call waits for the new process"
            assert client.list_all("tools") == before
            assert text_of(client.response(others).result) == "slow", "the other was not touched"
            assert not client.notifications("notifications/tools/list_changed")
            state = backend_state(client, "a")
            assert (state["state"], state["restarts"]) == ("ready", 1)

    def test_an_idle_backend_that_dies_is_back_by_itself(self) -> None:
        """Nobody has to call it first."""
        with relayed() as relay:
            first = pid_of(relay.client)
            os.kill(first, signal.SIGKILL)
            wait_until(lambda: not alive(first), 10)
            wait_until(lambda: backend_state(relay.client, "a")["pid"] not in {None, first}, 10)
            wait_until(lambda: backend_state(relay.client, "a")["state"] == "ready", 10)

    def test_many_calls_while_it_restarts(self) -> None:
        """All of them wait, all of them succeed, each runs once."""
        backend = fixture_backend("--log", "effects", "--start-delay", "1")
        with relayed({"a": backend}) as relay:
            client = relay.client
            os.kill(pid_of(client), signal.SIGKILL)
            wait_until(lambda: backend_state(client, "a")["state"] != "ready", 10)
            tags = [f"t{n}" for n in range(50)]
            calls = [client.start_tool("a__counter", {"tag": tag}) for tag in tags]
            counts = [json_of(client.response(call).result)["count"] for call in calls]
            assert sorted(counts) == list(range(1, 51))
            done = side_effects(relay.home.project / "effects")
            assert sorted(effect["tag"] for effect in done) == sorted(tags)

    def test_the_last_words_of_a_backend_are_heard(self) -> None:
        """An answer written right before the end arrives."""
        with relayed() as relay:
            assert text_of(relay.client.call_tool("a__die_after")) == "last words"
            wait_until(lambda: backend_state(relay.client, "a")["restarts"] == 1, 10)
            assert json_of(relay.client.call_tool("a__echo", {"x": 1})) == {"x": 1}

    def test_it_gives_up_in_the_end_and_tries_again_when_called(self) -> None:
        """restart_attempts_max; a call is a new chance, and says why if it fails."""
        backends = {
            "a": fixture_backend("--exit-at-start", "9", "--log", "log"),
            "b": fixture_backend(),
        }
        settings = {"restart_attempts_max": 2, "restart_delay_seconds": 0.1}
        with Relay(configuration(backends, **settings)) as relay:
            client = relay.client
            client.initialize()
            log = relay.home.project / "log"
            wait_until(lambda: backend_state(client, "a")["state"] == "failed", 20)
            assert len(side_effects(log, "start")) == 3
            assert "status 9" in backend_state(client, "a")["last_error"]
            listed = names(client.list_all("tools"))
            assert "b__echo" in listed and "a__echo" not in listed
            answer = client.response(client.start_tool("a__echo"))
            assert len(side_effects(log, "start")) > 3
            assert "status 9" in str(answer.message)


class TestStart:
    @pytest.mark.parametrize("command", ["no-such-command-anywhere", "./missing", "/"])
    def test_a_command_that_is_not_there(self, command: str) -> None:
        """Said at once, with its name; the other backend is served."""
        backends = {"a": {"command": command}, "b": fixture_backend()}
        with relayed(backends) as relay:
            elapsed = stopwatch()
            assert "b__echo" in names(relay.client.list_all("tools"))
            assert elapsed() < 4, "nothing to wait for"
            wait_until(lambda: backend_state(relay.client, "a")["state"] == "failed", 10)
            assert command in backend_state(relay.client, "a")["last_error"]

    @pytest.mark.parametrize(
        ("flags", "said"),
        [
            (("--init-error",), "fixture refuses to initialize"),
            (("--protocol", "1999-01-01"), "1999-01-01"),
            (("--start-delay", "600"), "start_timeout_seconds"),
            (("--list-delay", "600"), "start_timeout_seconds"),
        ],
    )
    def test_a_backend_that_never_gets_ready(self, flags: tuple[str, ...], said: str) -> None:
        """Status says why; calls to it fail in time; nothing else is held up."""
        backends = {
            "a": fixture_backend(*flags, start_timeout_seconds=0.5),
            "b": fixture_backend(),
        }
        settings = {"restart_attempts_max": 0, "first_list_wait_seconds": 0.1}
        with relayed(backends, **settings) as relay:
            client = relay.client
            call = client.start_tool("a__echo")
            assert json_of(client.call_tool("b__echo", {"x": 1})) == {"x": 1}
            assert said in str(client.response(call).message)
            wait_until(lambda: said in (backend_state(client, "a")["last_error"] or ""), 10)

    def test_calls_to_a_starting_backend_wait(self) -> None:
        """Right after the handshake, before anything is up."""
        with Relay(configuration({"a": fixture_backend("--start-delay", "0.7")})) as relay:
            relay.client.initialize()
            assert json_of(relay.client.call_tool("a__echo", {"x": 1})) == {"x": 1}

    def test_a_call_waits_no_longer_than_the_start_may_take(self) -> None:
        """start_timeout_seconds, then an error that names it."""
        backend = fixture_backend("--start-delay", "600", start_timeout_seconds=0.5)
        with Relay(configuration({"a": backend}, restart_attempts_max=0)) as relay:
            relay.client.initialize()
            elapsed = stopwatch()
            answer = relay.client.response(relay.client.start_tool("a__echo"))
            assert elapsed() < 5
            assert "start_timeout_seconds" in str(answer.message)

    def test_what_it_said_on_stderr_is_in_the_error(self, tmp_path: Path) -> None:
        """The reason a server does not start is nearly always there."""
        script = tmp_path / "server"
        script.write_text("#!/bin/sh\necho 'MISSING_KEY is not set' >&2\nexit 1\n")
        script.chmod(0o755)
        settings = {"restart_attempts_max": 0, "first_list_wait_seconds": 0.1}
        with relayed({"a": {"command": str(script)}}, **settings) as relay:
            answer = relay.client.response(relay.client.start_tool("a__echo"))
            assert "MISSING_KEY is not set" in str(answer.message)


class TestIdle:
    def test_it_is_stopped_when_idle_and_started_by_a_call(self) -> None:
        """idle_stop_seconds; its tools stay, and stopping is no failure."""
        with relayed({"a": fixture_backend(idle_stop_seconds=0.3)}) as relay:
            client = relay.client
            before = client.list_all("tools")
            first = pid_of(client)
            wait_until(lambda: not alive(first), 10)
            wait_until(lambda: backend_state(client, "a")["state"] == "idle", 10)
            assert client.list_all("tools") == before
            assert pid_of(client) != first
            state = backend_state(client, "a")
            assert (state["restarts"], state["last_error"]) == (0, None)

    def test_it_is_not_stopped_under_a_call(self) -> None:
        """Busy is busy, also when it is silent."""
        with relayed({"a": fixture_backend(idle_stop_seconds=0.2)}) as relay:
            result = relay.client.call_tool("a__slow", {"seconds": 1.0, "steps": 1})
            assert text_of(result) == "slow"

    def test_subscriptions_are_kept_over_a_restart(self) -> None:
        """Subscriptions and log level are told to the new process."""
        with relayed() as relay:
            client = relay.client
            client.request("resources/subscribe", {"uri": "fixture://text"})
            client.request("logging/setLevel", {"level": "error"})
            os.kill(pid_of(client), signal.SIGKILL)
            seen: dict[str, Any] = json_of(client.call_tool("a__seen"))
            wait_until(lambda: json_of(client.call_tool("a__seen"))["subscriptions"], 10, str(seen))
            assert json_of(client.call_tool("a__seen"))["level"] == "error"
            client.call_tool("a__touch_resource", {"uri": "fixture://text"})
            client.wait_notification("notifications/resources/updated")


def test_ends_of_backends_are_clean() -> None:
    """A backend is asked to end by the end of its stdin, before anything harsher."""
    with Relay(configuration({"a": fixture_backend("--log", "log")})) as relay:
        relay.client.initialize()
        relay.client.call_tool("a__echo")
        log = relay.home.project / "log"
        relay.stop()
        assert [entry["reason"] for entry in side_effects(log, "end")] in (["eof"], ["sigterm"])
