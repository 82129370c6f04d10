"""Servers of the SDK's behind HTTP, through the whole relay: with swaps and kills of the worker."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.harness import RawClient, Relay, text_of, wait_until
from tests.harness.http_server import sdk_server
from tests.integration.through import backend_state, configuration, names

WAIT_SECONDS = 20.0

Swap = dict[str, Any]


@pytest.fixture(scope="module", params=["http", "stateless", "json", "sse"])
def kind(request: pytest.FixtureRequest) -> str:
    """How the server speaks."""
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def server(kind: str) -> Iterator[str]:
    """The URL of a server that all tests of this kind share."""
    with sdk_server(kind) as url:
        yield url


@contextmanager
def relay_to(url: str) -> Iterator[Relay]:
    """A relay with this server as its backend `far`."""
    config = configuration({"far": {"url": url}}, probation_seconds=0.5, probation_calls=1000)
    with Relay(config) as relay:
        relay.client.initialize(capabilities={"elicitation": {}})
        assert "far__echo" in names(relay.client.list_all("tools"))
        yield relay


@pytest.fixture
def relay(server: str) -> Iterator[Relay]:
    """A relay with such a server."""
    with relay_to(server) as relay:
        yield relay


@pytest.fixture
def client(relay: Relay) -> RawClient:
    """Its client."""
    return relay.client


def active(relay: Relay) -> Swap:
    """The worker that serves, by the relay's own tool."""
    workers = relay.client.call_tool("relay__status")["structuredContent"]["workers"]
    (worker,) = (one for one in workers if one["state"] == "active")
    found: Swap = worker
    return found


def swap(relay: Relay) -> None:
    """Have another worker serve."""
    done = relay.relayctl("swap", "--json")
    assert done.returncode == 0, done.stdout + done.stderr


def kill_worker(relay: Relay) -> None:
    """Kill the worker, and wait until another one serves."""
    worker = active(relay)
    os.kill(worker["pid"], signal.SIGKILL)
    noticed = f"worker of generation {worker['generation']} failed"
    relay.client.child.wait_stderr(noticed)
    assert active(relay)["generation"] > worker["generation"]


class TestEachKind:
    def test_calls_and_resources(self, client: RawClient, kind: str) -> None:
        assert text_of(client.call_tool("far__echo", {"text": "hello"})) == "hello"
        (content,) = client.request("resources/read", {"uri": "memo://one"})["contents"]
        assert content["text"] == "remember"
        state = backend_state(client, "far")
        assert state["kind"] == ("sse" if kind == "sse" else "http")
        assert (state["state"], state["pid"]) == ("ready", None)

    def test_a_large_result(self, client: RawClient) -> None:
        text = text_of(client.call_tool("far__big", {"size": 3_000_000}))
        assert text == "x" * 3_000_000

    def test_many_calls_at_a_time(self, client: RawClient) -> None:
        calls = [client.start_tool("far__wait", {"gate": "one"}) for _ in range(60)]
        client.call_tool("far__open_gate", {"gate": "one"})
        assert {text_of(client.response(call).result) for call in calls} == {"one is open"}

    def test_a_swap_under_calls(self, relay: Relay, client: RawClient) -> None:
        """Those under way are answered, by whoever has them."""
        calls = [client.start_tool("far__wait", {"gate": "g"}) for _ in range(20)]
        generation = active(relay)["generation"]
        swap(relay)
        assert active(relay)["generation"] > generation
        after = client.start_tool("far__wait", {"gate": "g"})
        client.call_tool("far__open_gate", {"gate": "g"})
        for call in [*calls, after]:
            assert text_of(client.response(call).result) == "g is open"
        assert client.notifications("notifications/tools/list_changed") == []

    def test_a_killed_worker(self, relay: Relay, client: RawClient) -> None:
        """What was under way is told honestly, everything else goes on."""
        call = client.start_tool("far__wait", {"gate": "never"})
        client.call_tool("far__echo", {"text": "so the one before is there"})
        kill_worker(relay)
        result = client.response(call).result
        assert result["isError"] is True
        assert "unknown" in text_of(result)
        assert text_of(client.call_tool("far__echo", {"text": "again"})) == "again"
        assert client.notifications("notifications/tools/list_changed") == []


@pytest.mark.parametrize("kind", ["http", "json", "sse"])
def test_a_server_that_dies(kind: str) -> None:
    """What it worked on is told honestly, its tools stay, and status says what is wrong."""
    with sdk_server(kind) as url, relay_to(url) as relay:
        client = relay.client
        pid = int(text_of(client.call_tool("far__pid")))
        call = client.start_tool("far__wait", {"gate": "never"})
        client.call_tool("far__echo", {"text": "so the one before is there"})
        os.kill(pid, signal.SIGKILL)
        assert "may have run" in text_of(client.response(call, 40).result)
        assert "far__echo" in names(client.list_all("tools"))

        def unreached() -> bool:
            state = backend_state(client, "far")
            return state["state"] != "ready" and "reached" in state["last_error"]

        wait_until(unreached, WAIT_SECONDS)


@pytest.mark.parametrize("kind", ["http"], indirect=True, scope="module")
class TestSession:
    @pytest.mark.parametrize("what", ["swap", "kill"])
    def test_goes_on_with_the_next_worker(self, relay: Relay, client: RawClient, what: str) -> None:
        name, number = text_of(client.call_tool("far__count")).split()
        assert (len(name), number) == (32, "1")
        for expected in ("2", "3"):
            swap(relay) if what == "swap" else kill_worker(relay)
            assert text_of(client.call_tool("far__count")) == f"{name} {expected}"

    def test_what_it_says_by_itself_is_heard_after_a_swap(
        self, relay: Relay, client: RawClient
    ) -> None:
        """The SDK's servers have one stream for it in each session."""
        swap(relay)
        client.call_tool("far__grow")
        client.wait_notification("notifications/tools/list_changed")
        assert "far__grown" in names(client.list_all("tools"))

    def test_progress_and_logs(self, client: RawClient) -> None:
        client.request("logging/setLevel", {"level": "info"})
        result = client.call_tool("far__steps", progress_token="t")
        assert text_of(result) == "done"
        progress = client.wait_notification("notifications/progress")
        assert progress["progressToken"] == "t"
        assert progress["message"] == "half"
        client.wait_notification("notifications/message")

    def test_a_question(self, client: RawClient) -> None:
        call = client.start_tool("far__ask")
        question = client.wait_request("elicitation/create")
        client.answer(question, {"action": "accept", "content": {"colour": "red"}})
        assert json.loads(text_of(client.response(call).result))["data"] == {"colour": "red"}

    def test_a_question_during_a_swap(self, relay: Relay, client: RawClient) -> None:
        """The worker that has the call lives until it is answered."""
        call = client.start_tool("far__ask")
        question = client.wait_request("elicitation/create")
        swap(relay)
        client.answer(question, {"action": "accept", "content": {"colour": "red"}})
        assert json.loads(text_of(client.response(call).result))["data"] == {"colour": "red"}

    def test_an_answer_that_has_to_be_fetched(self, client: RawClient) -> None:
        assert text_of(client.call_tool("far__polled")) == "fetched"

    def test_a_cancelled_call(self, client: RawClient) -> None:
        call = client.start_tool("far__wait", {"gate": "c"})
        client.call_tool("far__echo", {"text": "so the one before is there"})
        client.cancel(call)
        assert text_of(client.call_tool("far__echo", {"text": "on"})) == "on"
        client.call_tool("far__open_gate", {"gate": "c"})
        assert not client.answered(call)
