"""What relayctl says of swaps on real relays is what has happened to calls, files and others."""

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.harness import Relay, RelayHome, wait_until
from tests.integration.quick_release import quick_release
from tests.integration.test_relayctl_swap import SECONDS_MAX, active, config, swap

DEADLY = """import os as _os, relay_worker.router as _router
def _call(self, message, params, _before=_router.Router.call):
    if message.name == "fx__read_counter":
        _os.kill(_os.getpid(), 9)
    _before(self, message, params)
_router.Router.call = _call
"""
"""Of a release whose worker dies of a call."""


def ready(relay: Relay) -> Relay:
    relay.client.initialize()
    wait_until(lambda: relay.status()["health"] == "ok", SECONDS_MAX, "healthy")
    return relay


def call(relay: Relay, tool: str, **arguments: Any) -> Any:
    return relay.client.start("tools/call", {"name": f"fx__{tool}", "arguments": arguments})


def section(text: str, title: str) -> list[str]:
    return text.split(f"\n## {title}\n\n", 1)[1].split("\n\n## ", 1)[0].splitlines()


def test_the_configuration_from_before_the_first_swap_can_be_put_back(home: RelayHome) -> None:
    """It was never backed up before somebody edited the file."""
    with Relay(config("fx"), home=home) as relay:
        ready(relay)
        before = home.config_path.read_bytes()
        home.write_config(config("fx", "more"))
        swap(relay)
        assert relay.relayctl("rollback", "--config").returncode == 0
        assert home.config_path.read_bytes() == before
        assert {
            tool["name"].split("__")[0] for tool in relay.client.request("tools/list")["tools"]
        } == {
            "fx",
            "relay",
        }


def test_the_calls_of_a_candidate_that_dies_are_accounted_for(home: RelayHome) -> None:
    quick_release(home, "deadly", main=DEADLY)
    with Relay(config("fx", probation_seconds=30), home=home) as relay:
        ready(relay)
        assert relay.relayctl("swap", "deadly", "--no-wait").returncode == 0
        params = {"name": "fx__slow", "arguments": {"seconds": 3, "steps": 30}}
        slow = relay.client.start("tools/call", {**params, "_meta": {"progressToken": "p"}})
        relay.client.wait_notification("notifications/progress")
        answer = relay.client.response(call(relay, "read_counter"))
        assert not answer.result.get("isError")
        assert not relay.client.response(slow).result.get("isError"), "its backend lives"
        report = relay.relayctl("report").stdout
        calls = "\n".join(section(report, "Calls in flight"))
        assert "worker of generation 2 ended (it was ended by signal 9); its calls:" in calls
        assert "- given to the next worker: 1" in calls
        assert "- gone on at their backends, for the next worker to deliver: 1" in calls
        assert "- answered with an unknown outcome: 0" in calls
        (rollback, _, refused) = section(report, "Rollback")
        assert rollback.startswith(
            f"The calls went back to {active(relay)['build']} (generation 1)"
        )
        assert "is refused from now on" in refused
        assert swap(relay, "deadly", code=1)["result"]["outcome"] == "failed"


def test_the_calls_of_a_candidate_that_is_taken_back_by_hand_are_too(home: RelayHome) -> None:
    with Relay(config("fx", probation_seconds=30), home=home) as relay:
        ready(relay)
        assert relay.relayctl("swap", "--no-wait").returncode == 0
        hanging = call(relay, "hang")
        wait_until(lambda: relay.status()["calls"]["in_flight"] == 1, SECONDS_MAX, "under way")
        assert relay.relayctl("rollback").returncode == 0
        relay.client.cancel(hanging)

        def told() -> bool:
            calls = section(relay.relayctl("report").stdout, "Calls in flight")
            return any("generation 2 was done" in text and "1 call, 1 h" in text for text in calls)

        wait_until(told, SECONDS_MAX, "the end of the one that was taken back")
        assert "refused" not in "".join(section(relay.relayctl("report").stdout, "Rollback"))


def test_a_hung_worker_is_recorded_as_hung(home: RelayHome) -> None:
    with Relay(config("fx"), home=home) as relay:
        ready(relay)
        (pid,) = relay.worker_pids()
        call(relay, "hang")
        wait_until(lambda: relay.status()["calls"]["in_flight"] == 1, SECONDS_MAX, "under way")
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: relay.worker_pids() not in ([], [pid]), SECONDS_MAX, "replaced")
        wait_until(
            lambda: "it gave no sign of life" in relay.relayctl("history").stdout,
            SECONDS_MAX,
            "recorded",
        )


def test_a_release_that_is_gone_says_so_and_others_are_not_pruned(home: RelayHome) -> None:
    for name in ("one", "two", "three"):
        quick_release(home, name, version=name)
    with Relay(config("fx"), home=home) as relay:
        ready(relay)
        for name in ("one", "two", "three"):
            swap(relay, name)
        pruned = relay.relayctl("release", "prune", "--keep", "0")
        assert pruned.stdout == "3 releases left.\n", "the relay may yet go back to the first one"
        shutil.rmtree(home.state / "releases" / "two")
        done = relay.relayctl("rollback")
        assert done.returncode == 1 and "its release was removed" in done.stdout
        assert done.stdout.endswith("(release three, generation 4).\n")


def test_a_fresh_relay_says_that_its_release_is_gone_and_serves(home: RelayHome) -> None:
    (home.state / "releases").mkdir()
    (home.state / "releases" / "current").write_text("gone\n")
    with Relay(config("fx"), home=home) as relay:
        ready(relay)
        relay.client.child.wait_stderr("the current release 'gone' is not there")
        assert "gone is current and not there" in relay.relayctl("releases").stdout


def test_a_rollback_to_what_no_longer_works_is_a_failure(home: RelayHome) -> None:
    """The version before is started anew, fails, and the one that was to be left serves on."""
    before = quick_release(home, "before")
    quick_release(home, "after")
    settings = config("fx", probation_seconds=60)
    settings["relay"]["probation_calls"] = 1
    with Relay(settings, home=home) as relay, ThreadPoolExecutor() as pool:
        ready(relay)
        for name in ("before", "after"):
            swap(relay, name, "--no-wait")
            relay.client.response(call(relay, "echo", text="proves it"))
        (main,) = before.glob("lib/python*/site-packages/relay_worker/main.py")
        main.write_text(DEADLY + main.read_text())
        going_back = pool.submit(relay.relayctl, "rollback")
        wait_until(lambda: active(relay)["release"] == "before", SECONDS_MAX, "the cut-over")
        answer = relay.client.response(call(relay, "read_counter"))
        done = going_back.result(SECONDS_MAX)
        assert not answer.result.get("isError")
        assert done.returncode == 1 and "rollback rolled back" in done.stdout
        assert done.stdout.endswith("(release after, generation 3).\n")
