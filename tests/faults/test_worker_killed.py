"""The worker is killed: each open call is answered once, the client's pipe stays open, and a
moment later everything works as before.
"""

import os
import signal
from pathlib import Path

import pytest

from tests.faults.ends import all_ready, own_status
from tests.harness import Relay, fixture_backend, json_of, side_effects, wait_until


def kill_worker(relay: Relay, number: int = signal.SIGKILL) -> None:
    """Kill the worker, and wait until the supervisor has noticed."""
    (worker,) = own_status(relay)["workers"]
    os.kill(worker["pid"], number)
    noticed = f"worker of generation {worker['generation']} failed"
    relay.client.child.wait_stderr(noticed)


def tools_bytes(relay: Relay) -> bytes:
    """The result of tools/list as it came over the wire."""
    answer = relay.client.response(relay.client.start("tools/list"))
    return answer.raw.partition(b'"result"')[2]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_the_relay_recovers_and_the_client_sees_next_to_nothing(number: int) -> None:
    """Afterwards: same lists byte for byte, no list_changed, calls work, no end of stdout."""
    config = {"backends": {"fix": fixture_backend(), "more": fixture_backend("--tools", "50")}}
    with Relay(config) as relay:
        all_ready(relay)
        before = tools_bytes(relay)
        kill_worker(relay, number)
        assert tools_bytes(relay) == before, "the list was another one right after"
        assert json_of(relay.client.call_tool("fix__echo", {"n": 1})) == {"n": 1}
        assert json_of(relay.client.call_tool("more__echo", {"n": 2})) == {"n": 2}
        assert tools_bytes(relay) == before, "the list was another one after the recovery"
        assert relay.client.notifications("notifications/tools/list_changed") == []
        (worker,) = own_status(relay)["workers"]
        assert (worker["generation"], worker["state"]) == (2, "active")


def test_every_open_call_gets_exactly_one_answer(tmp_path: Path) -> None:
    """32 calls that have begun to run on two backends: their backends live, so each is answered as
    if nothing had happened, and none runs twice. (The client's rules catch a second answer.)
    """
    log = tmp_path / "log"
    config = {
        "backends": {
            "one": fixture_backend("--log", str(log)),
            "two": fixture_backend("--log", str(log)),
        }
    }
    with Relay(config) as relay:
        all_ready(relay)
        calls = [
            relay.client.start_tool(f"{name}__counter", {"tag": f"{name}{n}", "seconds": 2})
            for n in range(16)
            for name in ("one", "two")
        ]
        wait_until(lambda: len(side_effects(log)) == 32, 10.0, "all calls to run")
        kill_worker(relay)
        for call in calls:
            assert json_of(relay.client.response(call).result)["count"] > 0
        assert json_of(relay.client.call_tool("one__counter", {"tag": "after"}))["count"] == 17
        tags = [entry["tag"] for entry in side_effects(log)]
        assert len(tags) == len(set(tags)) == 33


def test_calls_made_while_no_worker_is_up_wait_for_the_next() -> None:
    """They are held, in order, and answered as if nothing had happened."""
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:
        all_ready(relay)
        kill_worker(relay)
        calls = [relay.client.start_tool("fix__echo", {"n": n}) for n in range(100)]
        for number, call in enumerate(calls):
            assert json_of(relay.client.response(call).result) == {"n": number}


def test_a_worker_killed_over_and_over_costs_answers_but_nothing_else(tmp_path: Path) -> None:
    """Four times (a fifth would be a crash loop), with calls before and after each: every one
    answered, none of them twice.
    """
    log = tmp_path / "log"
    with Relay({"backends": {"fix": fixture_backend("--log", str(log))}}) as relay:
        all_ready(relay)
        before = tools_bytes(relay)
        for round_number in range(4):
            calls = [
                relay.client.start_tool("fix__counter", {"tag": f"{round_number}.{n}"})
                for n in range(10)
            ]
            kill_worker(relay)
            for call in calls:
                assert relay.client.response(call).result["content"]
            assert relay.client.call_tool("fix__counter", {"tag": f"{round_number}.after"})
        assert tools_bytes(relay) == before
        tags = [entry["tag"] for entry in side_effects(log)]
        assert len(tags) == len(set(tags)), "a call ran twice"
        assert {f"{n}.after" for n in range(4)} <= set(tags)


def test_what_the_client_had_set_is_set_again() -> None:
    """Log level and subscriptions hold for the backends of the next worker too."""
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:
        all_ready(relay)
        relay.client.request("logging/setLevel", {"level": "warning"})
        relay.client.request("resources/subscribe", {"uri": "fixture://text"})
        kill_worker(relay)
        relay.client.call_tool("fix__echo")

        def restored() -> bool:
            seen = json_of(relay.client.call_tool("fix__seen"))
            return bool(seen["level"] == "warning" and seen["subscriptions"] == ["fixture://text"])

        wait_until(restored, 10.0, "level and subscription at the new backend")
