"""Workers of two versions take turns in one session, under a supervisor of either version: swaps
there and back with calls under way, rollbacks, and a worker that no supervisor understands.
"""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import (
    Relay,
    RelayHome,
    fixture_backend,
    json_of,
    side_effects,
    text_of,
    wait_until,
)
from tests.integration.through import CAPABILITIES, assert_no_complaint, configuration, seen
from tests.integration.versions import (
    DEAF_VERSION,
    TREE,
    Versions,
    outcome,
    runs,
    status,
    worker,
)
from tests.versions.archive import RELEASED

SECONDS_MAX = 20.0
PROBATION_CALLS = 30
"""More than what is asked by the way, on however slow a machine."""
SUPERVISORS = [(version, supervisor) for version in RELEASED for supervisor in (version, TREE)]


@pytest.fixture(params=SUPERVISORS, ids=lambda pair: f"{pair[0]}-under-{pair[1]}")
def pair(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The old version of the worker, and the version of the supervisor."""
    found: tuple[str, str] = request.param
    return found


@pytest.fixture
def old(pair: tuple[str, str]) -> str:
    """The old version of the worker."""
    return pair[0]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the backends write what they do."""
    return tmp_path / "effects"


@pytest.fixture
def relay(pair: tuple[str, str], versions: Versions, home: RelayHome, log: Path) -> Iterator[Relay]:
    """A relay with the old worker. `probation_seconds` is long: tests end a probation by calls."""
    backends = {
        "a": fixture_backend("--log", str(log)),
        "sleepy": fixture_backend("--log", str(log.with_name("sleepy")), start="lazy"),
    }
    config = configuration(backends, probation_seconds=60, probation_calls=PROBATION_CALLS)
    with versions.relay(pair[1], pair[0], config, home) as relay:
        relay.client.initialize(capabilities=CAPABILITIES)
        relay.client.request("logging/setLevel", {"level": "warning"})
        relay.client.request("resources/subscribe", {"uri": "fixture://text"})
        wait_until(lambda: status(relay)["health"] == "ok", SECONDS_MAX, "healthy")
        yield relay
        assert_no_complaint(relay.client)
        assert relay.client.notifications("notifications/tools/list_changed") == []


class Flight:
    """Calls of every kind under way; each gets one answer, from the worker that it was given to."""

    def __init__(self, relay: Relay, tag: str) -> None:
        self.tag = tag
        self.client = client = relay.client
        self.slow = client.start_tool(
            "a__slow", {"seconds": 0.4, "steps": 4, "tag": tag}, progress_token=tag
        )
        self.asks = client.start_tool("a__elicit", {"message": tag})
        self.unwanted = client.start_tool("a__hang", {"tag": tag})
        group = [{"group": tag, "size": 9, "n": n} for n in range(8)]
        self.held = {client.start_tool("a__reply_out_of_order", one): one for one in group}
        self.counts = [
            client.start_tool("a__counter", {"tag": f"{tag}.{n}", "seconds": 0.3}) for n in range(8)
        ]
        self.question = client.wait_request(
            "elicitation/create", lambda params: params["message"] == tag
        )

    def land(self, log: Path) -> None:
        """The client answers and cancels; then everything but what waits for others is answered,
        and has been done once.
        """
        client, tag = self.client, self.tag
        client.answer(self.question, {"action": "accept", "content": {"name": tag}})
        client.cancel(self.unwanted)
        assert json_of(client.response(self.asks).result)["content"] == {"name": tag}
        assert text_of(client.response(self.slow).result) == f"slow {tag}"
        told = client.notifications("notifications/progress")
        steps = [one["progress"] for one in told if one["progressToken"] == tag]
        assert steps == [1, 2, 3, 4]
        for call in self.counts:
            assert json_of(client.response(call).result)["count"]
        ran = [entry["tag"] for entry in side_effects(log) if entry["tag"].startswith(f"{tag}.")]
        assert sorted(ran) == [f"{tag}.{n}" for n in range(8)]
        wait_until(lambda: self._told_of_cancellation(log), SECONDS_MAX, "the cancellation")

    def _told_of_cancellation(self, log: Path) -> bool:
        return self.tag in [entry["tag"] for entry in side_effects(log, "cancelled")]

    def drop(self) -> None:
        """Give up the calls that were waiting for one more."""
        for call in self.held:
            assert not self.client.answered(call)
            self.client.cancel(call)


def prove(relay: Relay) -> None:
    """End a probation: the candidate answers as many calls as it has to."""
    for n in range(PROBATION_CALLS):
        assert json_of(relay.client.call_tool("a__echo", {"n": n})) == {"n": n}


def swap_and_prove(relay: Relay, versions: Versions, to: str) -> None:
    """Swap to a version, and see it committed."""
    done = versions.relayctl(relay, TREE, "swap", to, "--no-wait", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert outcome(done)["outcome"] == "probation"
    prove(relay)
    last = status(relay)["last_swap"]
    assert last["outcome"] == "committed" and worker(relay)["build"] == versions.build_of(to)


def tools(relay: Relay) -> list[Any]:
    """The backends' tools as listed; the relay's own may change with its version."""
    listed = relay.client.list_all("tools")
    return [tool for tool in listed if not tool["name"].startswith("relay__")]


def test_there_and_back(relay: Relay, versions: Versions, old: str, log: Path) -> None:
    """And there again: what one version has left, the other takes up. A backend that nobody calls
    need not be started for that: its lists are handed on.
    """
    before = tools(relay)
    for number, to in enumerate((TREE, old, TREE), start=2):
        flight = Flight(relay, f"on the way to {number}")
        swap_and_prove(relay, versions, to)
        assert worker(relay)["generation"] == number
        flight.land(log)
        flight.drop()
        state = seen(relay.client)
        assert (state["level"], state["subscriptions"]) == ("warning", ["fixture://text"])
        wait_until(lambda: len(status(relay)["workers"]) == 1, SECONDS_MAX, "the old one's end")
        assert tools(relay) == before
        assert len(side_effects(log.with_name("sleepy"), "start")) == 1


def test_taken_back_by_hand(relay: Relay, versions: Versions, old: str, log: Path) -> None:
    """Calls that either of them has under way are answered by the one that has them."""
    before = tools(relay)
    first = Flight(relay, "on the old one")
    done = versions.relayctl(relay, TREE, "swap", TREE, "--no-wait")
    assert done.returncode == 0, done.stdout + done.stderr
    second = Flight(relay, "on the new one")
    done = versions.relayctl(relay, TREE, "rollback")
    assert done.returncode == 0, done.stdout + done.stderr
    assert worker(relay)["build"] == versions.build_of(old)
    for flight in (first, second):
        flight.land(log)
        flight.drop()
    prove(relay)
    assert tools(relay) == before


@pytest.mark.parametrize("to_old", [False, True], ids=["to-tree", "to-old"])
def test_taken_back_because_it_died(
    relay: Relay, versions: Versions, old: str, log: Path, to_old: bool
) -> None:
    """The one before goes on, writes down the refusal, and the next swap to it is refused."""
    if to_old:
        swap_and_prove(relay, versions, TREE)
    home, away = (TREE, old) if to_old else (old, TREE)
    flight = Flight(relay, "under way")
    versions.relayctl(relay, TREE, "swap", away, "--no-wait")
    candidate = worker(relay)
    assert candidate["build"] == versions.build_of(away)
    os.kill(candidate["pid"], signal.SIGKILL)
    wait_until(lambda: worker(relay)["pid"] != candidate["pid"], SECONDS_MAX, "the rollback")
    assert worker(relay)["build"] == versions.build_of(home)
    assert status(relay)["last_swap"]["outcome"] == "rolled_back"
    flight.land(log)
    flight.drop()
    refused = relay.home.state / "refused.json"
    wait_until(refused.exists, SECONDS_MAX, "the record of the refusal")
    done = versions.relayctl(relay, TREE, "swap", away)
    assert done.returncode == 1 and "failed before" in done.stdout


def test_an_older_relayctl(relay: Relay, versions: Versions, old: str) -> None:
    """It swaps and rolls back, whatever the supervisor is."""
    done = versions.relayctl(relay, old, "swap", TREE, "--no-wait", "--json")
    assert done.returncode == 0 and outcome(done)["outcome"] == "probation"
    done = versions.relayctl(relay, old, "rollback", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert worker(relay)["build"] == versions.build_of(old)


def test_without_a_common_pipe_version_the_swap_fails(
    relay: Relay, versions: Versions, old: str, log: Path
) -> None:
    """Safely, and it is said why; what served goes on as if nothing had been."""
    flight = Flight(relay, "under way")
    done = versions.relayctl(relay, TREE, "swap", "deaf")
    assert done.returncode == 1
    assert f"speaks pipe versions [1], this worker [{DEAF_VERSION}]" in done.stdout
    serving = worker(relay)
    last = f"Now serving: {serving['build']} (release {old}, generation 1)."
    assert done.stdout.rstrip().endswith(last)
    assert (serving["generation"], serving["build"]) == (1, versions.build_of(old))
    flight.land(log)
    flight.drop()
    prove(relay)
    releases = json.loads(versions.relayctl(relay, TREE, "releases", "--json").stdout)
    assert releases["current"] == old


def test_at_the_start_without_a_common_pipe_version(versions: Versions, home: RelayHome) -> None:
    """An old relay is started, and current is a release that newer ones have committed: it goes on
    with the worker of its own version, and says why.
    """
    config = configuration({"a": fixture_backend()})
    with versions.relay(TREE, "deaf", config, home) as relay:
        relay.client.initialize()
        assert json_of(relay.client.call_tool("a__echo", {"x": 1})) == {"x": 1}
        assert runs(relay) == Path(sys.executable)
        said = relay.client.child.stderr_text()
        assert "it is made for another version of Relay" in said
        assert f"this worker [{DEAF_VERSION}]" in said
        assert "the environment of the relay itself" in said
