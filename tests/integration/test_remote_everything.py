"""@modelcontextprotocol/server-everything over HTTP, through the whole relay."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Relay, text_of, wait_until
from tests.harness.http_server import everything_server, free_port
from tests.integration.real import answering
from tests.integration.test_remote_sdk import swap
from tests.integration.through import backend_state, configuration, names

WAIT_SECONDS = 20.0


@pytest.fixture(params=["http", "sse"])
def kind(request: pytest.FixtureRequest) -> str:
    """How the server speaks."""
    found: str = request.param
    return found


@pytest.fixture
def port() -> int:
    """Where it listens."""
    return free_port()


@pytest.fixture
def relay(kind: str, port: int, tmp_path: Path) -> Iterator[Relay]:
    """A relay in front of it, with a client that answers what it is asked."""
    settings = {"probation_seconds": 0.3, "restart_delay_max_seconds": 0.5}
    with everything_server(kind, port) as url:
        config = configuration({"every": {"url": url}}, **settings)
        with Relay(config) as relay:
            answering(relay.client, tmp_path)
            wait_until(lambda: backend_state(relay.client, "every")["state"] == "ready", 20)
            yield relay


def test_what_it_has_and_does(relay: Relay) -> None:
    client = relay.client
    tools = names(client.list_all("tools"))
    assert len([name for name in tools if name.startswith("every__")]) >= 10
    assert client.list_all("prompts")
    assert client.list_all("resources")
    assert "hello" in text_of(client.call_tool("every__echo", {"message": "hello"}))
    sampled = client.call_tool("every__trigger-sampling-request", {"prompt": "x"})
    assert "sampled" in text_of(sampled)
    assert "Ada" in str(client.call_tool("every__trigger-elicitation-request"))
    operation = {"duration": 0.2, "steps": 2}
    slow = "every__trigger-long-running-operation"
    client.call_tool(slow, operation, progress_token="p")
    assert client.wait_notification("notifications/progress")["progressToken"] == "p"


def test_a_swap(relay: Relay) -> None:
    arguments = {"duration": 2, "steps": 2}
    call = relay.client.start_tool("every__trigger-long-running-operation", arguments)
    swap(relay)
    assert "completed" in text_of(relay.client.response(call).result)
    assert "on" in text_of(relay.client.call_tool("every__echo", {"message": "on"}))


@pytest.mark.parametrize("kind", ["http"], indirect=True)
def test_a_server_that_was_started_anew(tmp_path: Path, kind: str, port: int) -> None:
    """It answers 400 to a session it does not know; nobody sees that."""
    settings = {"restart_delay_seconds": 0.1, "restart_delay_max_seconds": 0.5}
    url = f"http://127.0.0.1:{port}/mcp"
    with Relay(configuration({"every": {"url": url}}, **settings)) as relay:
        client = relay.client
        with everything_server(kind, port):
            answering(client, tmp_path)
            assert "one" in text_of(client.call_tool("every__echo", {"message": "one"}))
        with everything_server(kind, port):
            assert "two" in text_of(client.call_tool("every__echo", {"message": "two"}))
