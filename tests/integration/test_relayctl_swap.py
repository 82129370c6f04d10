"""relayctl's side of the swap on real relays: one, several, releases, rollback, the record."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.harness import Relay, RelayHome, fixture_backend, wait_until
from tests.integration.quick_release import quick_release

SECONDS_MAX = 30.0
BROKEN = "raise ImportError('this release lacks a module')\n"


def config(*backends: str, probation_seconds: float = 0.2, **more: Any) -> dict[str, Any]:
    return {
        "backends": {name: fixture_backend() for name in backends},
        "relay": {"probation_seconds": probation_seconds, "probation_calls": 1000},
        **more,
    }


def beside(home: RelayHome) -> dict[str, str]:
    """The environment of a further relay that relayctl finds together with those of *home*."""
    return {"RELAY_RUNTIME_DIR": str(home.runtime), "RELAY_STATE_DIR": str(home.state)}


@pytest.fixture
def relay(home: RelayHome) -> Iterator[Relay]:
    with Relay(config("fx"), home=home) as relay:
        relay.client.initialize()
        wait_until(lambda: relay.status()["health"] == "ok", SECONDS_MAX, "healthy")
        yield relay


def swap(relay: Relay, *args: str, code: int = 0) -> dict[str, Any]:
    """Swap, and return this relay's entry in the answer."""
    done = relay.relayctl("swap", "--json", *args)
    assert done.returncode == code, done.stdout + done.stderr
    (instance,) = json.loads(done.stdout)["instances"]
    found: dict[str, Any] = instance
    return found


def active(relay: Relay) -> dict[str, Any]:
    """The worker that serves."""
    (worker,) = (one for one in relay.status()["workers"] if one["state"] == "active")
    found: dict[str, Any] = worker
    return found


def tools(relay: Relay) -> set[str]:
    """The names of the tools the client sees."""
    return {tool["name"] for tool in relay.client.request("tools/list")["tools"]}


def backups(relay: Relay) -> list[str]:
    folder = relay.home.state / "backups"
    return sorted(os.listdir(folder)) if folder.exists() else []


def test_a_changed_configuration_is_taken_up(relay: Relay) -> None:
    """And backed up, once for each of its contents."""
    before = tools(relay)
    relay.home.write_config(config("fx", "more"))
    result = swap(relay)["result"]
    assert result["outcome"] == "committed" and not result["tools"]["lost"]
    assert {name.split("__")[0] for name in result["tools"]["added"]} == {"more"}
    assert tools(relay) > before
    assert len(backups(relay)) == 2, "what was in force, and what is in the file now"
    assert result["backup"].endswith(backups(relay)[0])
    swap(relay)
    assert len(backups(relay)) == 2


def test_what_is_said_ends_with_what_serves(relay: Relay) -> None:
    """Through success, refusal of lost tools, and force."""
    done = relay.relayctl("swap")
    build = active(relay)["build"]
    assert done.returncode == 0 and done.stdout.rstrip().endswith(
        f"Now serving: {build} (generation 2)."
    )
    assert [text.split()[0] for text in done.stdout.splitlines()[1:-1]] == [
        *("spawning", "handshaking", "warming", "ready", "active", "committed")
    ]


def test_a_broken_configuration_is_refused_and_the_old_one_serves(relay: Relay) -> None:
    before = tools(relay)
    relay.home.write_config("backends: [")
    done = relay.relayctl("swap")
    assert done.returncode == 1
    assert done.stdout.rstrip().endswith(f"Now serving: {active(relay)['build']} (generation 1).")
    assert tools(relay) == before


def test_a_release_is_swapped_to_and_becomes_current(relay: Relay) -> None:
    """A relay started afterwards starts with it; `installed` goes back."""
    quick_release(relay.home, "two")
    result = swap(relay, "two")["result"]
    assert result["serving"]["release"] == "two"
    assert result["serving"]["build"].startswith("9.9.9+")
    listed = json.loads(relay.relayctl("releases", "--json").stdout)
    assert listed["current"] == "two"
    assert listed["releases"][0]["uses"] == ["current", "running"]
    with Relay(config("fx"), env=beside(relay.home)) as fresh:
        fresh.client.initialize()
        wait_until(lambda: fresh.status()["health"] == "ok", SECONDS_MAX, "healthy")
        assert active(fresh)["build"].startswith("9.9.9+")
    assert not swap(relay, "installed")["result"]["serving"]["build"].startswith("9.9.9+")
    listed = json.loads(relay.relayctl("releases", "--json").stdout)
    assert (listed["current"], listed["releases"][0]["uses"]) == (
        "",
        ["previous", "remembered"],
    )


def test_a_broken_release_is_refused_and_does_not_become_current(relay: Relay) -> None:
    quick_release(relay.home, "bad", main=BROKEN)
    result = swap(relay, "bad", code=1)["result"]
    assert result["outcome"] == "failed" and result["serving"]["generation"] == 1
    assert json.loads(relay.relayctl("releases", "--json").stdout)["current"] == ""


def test_a_release_in_use_is_not_pruned(relay: Relay) -> None:
    for name in ("one", "two", "three"):
        quick_release(relay.home, name)
    swap(relay, "one")
    swap(relay, "two")
    relay.relayctl("release", "prune", "--keep", "0")
    assert sorted(path.name for path in (relay.home.state / "releases").iterdir()) == [
        *("current", "one", "previous", "two")
    ]
    assert swap(relay, "one")["ok"]


def test_the_canary_that_fails_is_the_last_to_be_tried(home: RelayHome) -> None:
    """Of three relays only the first meets the bad release; a good one goes through all."""
    with ExitStack() as stack:
        make = [Relay(config("fx"), env=beside(home)) for _ in range(3)]
        relays = [stack.enter_context(relay) for relay in make]
        for relay in relays:
            relay.client.initialize()
            wait_until(lambda: relay.status()["health"] == "ok", SECONDS_MAX, "healthy")  # noqa: B023
        quick_release(home, "bad", main=BROKEN)
        quick_release(home, "good")
        done = relays[0].relayctl("swap", "bad", "--json")
        found = json.loads(done.stdout)
        assert done.returncode == 1 and len(found["instances"]) == 1 and len(found["left"]) == 2
        assert [active(relay)["generation"] for relay in relays] == [1, 1, 1]
        one = relays[0].relayctl("swap", "good", "--instance", relays[1].status()["id"])
        assert one.returncode == 0 and "other relays have not taken it" in one.stdout
        done = relays[0].relayctl("swap", "good", "--json")
        found = json.loads(done.stdout)
        assert done.returncode == 0 and len(found["instances"]) == 3
        assert found["current"] == "good"


def test_rollback_after_the_commit_starts_the_pair_before(relay: Relay) -> None:
    """With --config the file is put back as well, and a second time brings it forth again."""
    old = relay.home.config_path.read_bytes()
    swap(relay)
    relay.home.write_config(config("fx", "more"))
    swap(relay)
    assert any(name.startswith("more__") for name in tools(relay))
    done = relay.relayctl("rollback", "--config")
    assert done.returncode == 0, done.stdout + done.stderr
    assert relay.home.config_path.read_bytes() == old
    assert not any(name.startswith("more__") for name in tools(relay))


def test_rollback_during_the_probation_is_at_once(home: RelayHome) -> None:
    with Relay(config("fx", probation_seconds=60), home=home) as relay:
        relay.client.initialize()
        assert swap(relay, "--no-wait")["result"]["outcome"] == "probation"
        done = relay.relayctl("rollback")
        assert done.returncode == 0 and "rollback done after" in done.stdout
        assert active(relay)["generation"] == 1


def test_a_rollback_by_hand_refuses_nothing(home: RelayHome) -> None:
    """The same code and configuration may be tried again: it did not fail."""
    with Relay(config("fx", probation_seconds=60), home=home) as relay:
        relay.client.initialize()
        swap(relay, "--no-wait")
        assert relay.relayctl("rollback").returncode == 0
        assert swap(relay, "--no-wait")["ok"]


def test_a_fresh_relay_has_nothing_to_go_back_to(relay: Relay) -> None:
    done = relay.relayctl("rollback")
    assert done.returncode == 1 and "Now serving: " in done.stdout


def test_history_and_report_tell_what_happened(relay: Relay) -> None:
    """From the journal that the workers write."""
    swap(relay)
    quick_release(relay.home, "bad", main=BROKEN)
    swap(relay, "bad", code=1)
    instance = relay.status()["id"]

    def told() -> bool:
        return f"swap {instance}-2 failed" in relay.relayctl("history").stdout

    wait_until(told, SECONDS_MAX, "the failed swap in the history")
    report = relay.relayctl("report", f"{instance}-1")
    assert report.returncode == 0
    assert report.stdout.startswith(f"# Swap {instance}-1: committed\n")
    assert "| warming |" in report.stdout and "/backups/" in report.stdout
    failed = relay.relayctl("report").stdout
    assert failed.startswith(f"# Swap {instance}-2: failed\n") and "/releases/bad" in failed


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (Relay.stop, "swap failed after"),
        (Relay.kill, "It has ended, so nothing serves there any more"),
    ],
)
def test_a_relay_that_ends_in_the_middle_ends_the_wait(
    home: RelayHome, end: Callable[[Relay], object], said: str
) -> None:
    """With its client it says so itself; killed it cannot, and that is told within seconds."""
    with Relay(config("fx", probation_seconds=60), home=home) as relay:
        relay.client.initialize()
        wait_until(lambda: relay.status()["health"] == "ok", SECONDS_MAX, "healthy")
        ended: list[Any] = []
        waiting = threading.Thread(target=lambda: ended.append(relay.relayctl("swap")))
        waiting.start()
        wait_until(lambda: active(relay)["generation"] == 2, SECONDS_MAX, "the cut-over")
        end(relay)
        waiting.join(SECONDS_MAX)
    assert ended[0].returncode == 1
    assert said in ended[0].stdout


def test_a_relay_that_is_stopped_in_the_middle_is_noticed(home: RelayHome) -> None:
    """It does not answer any more: relayctl says so instead of waiting for ever."""
    with Relay(config("fx", probation_seconds=60), home=home) as relay:
        relay.client.initialize()
        ended: list[Any] = []
        waiting = threading.Thread(target=lambda: ended.append(relay.relayctl("swap")))
        waiting.start()
        wait_until(lambda: active(relay)["generation"] == 2, SECONDS_MAX, "the cut-over")
        os.kill(relay.pid, signal.SIGSTOP)
        began = time.monotonic()
        try:
            waiting.join(SECONDS_MAX)
        finally:
            os.kill(relay.pid, signal.SIGCONT)
    assert time.monotonic() - began < SECONDS_MAX
    assert ended[0].returncode == 1 and "does not answer any more" in ended[0].stdout


def test_while_backends_start_for_the_first_time_the_first_list_waits_for_them(
    home: RelayHome,
) -> None:
    """And is not empty, as what the new worker knows would have it."""
    backends = {"fx": fixture_backend("--start-delay", "1.5")}
    settings = {"probation_seconds": 0, "first_list_wait_seconds": SECONDS_MAX}
    with Relay({"backends": backends, "relay": settings}, home=home) as relay:
        relay.client.initialize()
        listing = relay.client.start("tools/list", {})
        swap(relay)
        tools = relay.client.response(listing, SECONDS_MAX).result["tools"]
        assert any(tool["name"].startswith("fx__") for tool in tools)
