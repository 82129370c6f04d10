"""SIGSTOP and SIGCONT, Ctrl-Z, a laptop that sleeps: nothing is lost, and nobody is blamed."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.ends import (
    EOF_SECONDS,
    SIGNAL_SECONDS,
    STUBBORN,
    all_ready,
    allowed,
    own_status,
    seconds_until_gone,
    stopped,
    worker_pid,
)
from tests.harness import Relay, fixture_backend, json_of, side_effects, text_of, wait_until

Victim = Callable[[Relay], int]
VICTIMS: dict[str, Victim] = {
    "supervisor": lambda relay: relay.pid,
    "worker": worker_pid,
    "backend": lambda relay: json_of(relay.client.call_tool("fix__pid"))["pid"],
}


@pytest.fixture(params=VICTIMS.values(), ids=VICTIMS.keys())
def victim(request: pytest.FixtureRequest) -> Victim:
    """Who is stopped."""
    found: Victim = request.param
    return found


def test_calls_from_before_and_during_a_stop_are_answered(victim: Victim, tmp_path: Path) -> None:
    """32 calls under way when it is stopped, 32 more while it is: each is answered once, right,
    and has run once; the large ones too.
    """
    log = tmp_path / "log"
    config = {"backends": {"fix": fixture_backend("--log", str(log))}}
    with Relay(config) as relay:
        all_ready(relay)
        pid = victim(relay)
        client = relay.client
        before = [
            client.start_tool("fix__counter", {"tag": f"a{n}", "seconds": 0.05}) for n in range(32)
        ]
        with stopped(pid):
            during = [client.start_tool("fix__counter", {"tag": f"b{n}"}) for n in range(32)]
            large = client.start_tool("fix__echo", {"fill": "y" * 500_000})
        for call in [*before, *during]:
            assert "isError" not in client.response(call).result
        assert len(json_of(client.response(large).result)["fill"]) == 500_000
        tags = [entry["tag"] for entry in side_effects(log)]
        assert sorted(tags) == sorted(f"{letter}{n}" for letter in "ab" for n in range(32))
        assert own_status(relay)["workers"][0]["generation"] == 1, "the worker was replaced"
        assert len(side_effects(log, "start")) == 1, "the backend was restarted"


def test_a_stop_does_not_count_as_time_in_which_a_backend_was_slow() -> None:
    """The supervisor sleeps for longer than call_timeout_seconds, the backend answers in time:
    the client gets the answer and not a timeout.
    """
    config = {"backends": {"fix": fixture_backend(call_timeout_seconds=0.8)}}
    with Relay(config) as relay:
        all_ready(relay)
        quick = relay.client.start_tool("fix__slow", {"seconds": 0.3, "steps": 1, "tag": "q"})
        wait_until(lambda: own_status(relay)["calls"]["in_flight"] == 2, 10.0)
        with stopped(relay.pid):
            threading.Event().wait(1.2)  # time is what this is about
        result = relay.client.response(quick).result
        assert text_of(result) == "slow q"
        assert "isError" not in result


def test_while_a_backend_is_stopped_the_others_go_on() -> None:
    """Only the calls to the stopped one wait."""
    config = {"backends": {"fix": fixture_backend(), "other": fixture_backend()}}
    with Relay(config) as relay:
        all_ready(relay)
        with stopped(VICTIMS["backend"](relay)):
            waiting = relay.client.start_tool("fix__echo", {"n": 0})
            for number in range(20):
                assert json_of(relay.client.call_tool("other__echo", {"n": number})) == {
                    "n": number
                }
            assert len(relay.client.list_all("tools")) > 2
            assert not relay.client.answered(waiting)
        assert json_of(relay.client.response(waiting).result) == {"n": 0}


def test_a_call_cancelled_while_its_backend_is_stopped_is_cancelled_there_later() -> None:
    """The cancellation waits in the pipe, behind the call, in this order."""
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:
        all_ready(relay)
        with stopped(VICTIMS["backend"](relay)):
            call = relay.client.start_tool("fix__hang")
            relay.client.cancel(call)
            wait_until(lambda: own_status(relay)["calls"]["in_flight"] == 1, 10.0)
        seen = json_of(relay.client.call_tool("fix__seen"))
        assert [one["tool"] for one in seen["cancelled"]] == ["hang"]
        assert not relay.client.answered(call)


def test_the_supervisor_can_be_stopped_again_and_again() -> None:
    """Twenty times Ctrl-Z with traffic all the while."""
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:
        all_ready(relay)
        calls = []
        for _ in range(20):
            calls += [relay.client.start_tool("fix__echo", {"n": n}) for n in range(5)]
            with stopped(relay.pid):
                calls += [relay.client.start_tool("fix__echo", {"n": n}) for n in range(5)]
        for number, call in enumerate(calls):
            assert json_of(relay.client.response(call).result) == {"n": number % 5}


def test_a_signal_that_ends_a_stopped_relay_works_once_it_is_continued() -> None:
    """kill -STOP, kill -TERM, kill -CONT, as a job control shell does."""
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:
        all_ready(relay)

        def stop_signal_continue() -> None:
            with stopped(relay.pid):
                relay.client.child.send_signal(15)

        assert seconds_until_gone(relay, stop_signal_continue, 3) <= allowed(SIGNAL_SECONDS + 0.2)
        assert relay.ended_by(lambda: None) == 0


@pytest.mark.parametrize("name", ["worker", "backend"])
@pytest.mark.parametrize("how", ["eof", "signal"])
def test_a_stopped_process_does_not_hold_up_the_end(name: str, how: str) -> None:
    """Worker or backend stopped (a debugger), and the client goes: SIGKILL reaches them too."""
    with Relay({"backends": {"fix": fixture_backend(*STUBBORN)}}) as relay:
        all_ready(relay)
        pid = VICTIMS[name](relay)
        with stopped(pid) as _:
            relay.client.start_tool("fix__hang")
            if how == "eof":
                action, seconds = relay.client.close_stdin, EOF_SECONDS
            else:
                action, seconds = (lambda: relay.client.child.send_signal(2)), SIGNAL_SECONDS
            assert seconds_until_gone(relay, action, 3) <= allowed(seconds)
        assert relay.ended_by(lambda: None) == 0
