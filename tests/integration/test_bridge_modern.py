"""A client of 2026-07-28 on the SDK's server of that era, over stdio and HTTP: nothing is bridged,
and what the client has from the server directly it has through the relay.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp.client.subscriptions import ResourceUpdated, ToolsListChanged

from tests.harness import MODERN, Relay, fixture_backend, text_of
from tests.harness.modern_server import legs, modern_backend
from tests.integration.sdk import sdk_session
from tests.integration.test_remote_sdk import swap
from tests.integration.through import configuration, names

META = "io.modelcontextprotocol/"
WHO = {"action": "accept", "content": {"colour": "red"}}


@pytest.fixture(scope="module", params=["stdio", "http"])
def kind(request: pytest.FixtureRequest) -> str:
    """How the server speaks."""
    found: str = request.param
    return found


@contextmanager
def relay_to(kind: str, log: Path) -> Iterator[Relay]:
    """A relay with such a server as `far`, and a client that has asked for the tools."""
    settings = {"probation_seconds": 0.5, "probation_calls": 1000}
    with modern_backend(kind, log) as far, Relay(configuration({"far": far}, **settings)) as relay:
        relay.client.modern("tools/list")
        yield relay


def test_the_sdks_client_drives_its_own_rounds(kind: str, tmp_path: Path) -> None:
    """And hears of changes."""

    async def elicit(context: Any, params: Any) -> types.ElicitResult:
        return types.ElicitResult(action="accept", content={"colour": "red"})

    log = tmp_path / "legs"
    with (
        modern_backend(kind, log) as far,
        sdk_session(configuration({"far": far}), MODERN, elicitation_callback=elicit) as session,
    ):
        client = session.client
        session.run(client.list_tools)
        assert session.run(client.call_tool, "far__patient", {"legs": 2}).content[0].text == "done"
        prompt = session.run(client.get_prompt, "far__greet")
        assert prompt.messages[0].content.text == "hello red"

        async def change() -> None:
            wanted = {"tools_list_changed": True, "resource_subscriptions": ["memo://one"]}
            async with client.listen(**wanted) as subscription:
                await client.call_tool("far__echo", {"text": "so the server is heard"})
                heard: set[type] = set()
                while heard != {ToolsListChanged, ResourceUpdated}:
                    await client.call_tool("far__touch")
                    async for event in subscription:
                        heard.add(type(event))
                        if heard == {ToolsListChanged, ResourceUpdated}:
                            break

        session.run(change)
        listed = session.run(client.list_tools, cache_mode="bypass").tools
        assert "far__grown" in [tool.name for tool in listed]
    assert legs(log) == [None, "1", "2"]


def test_a_round_over_a_swap(kind: str, tmp_path: Path) -> None:
    """The state is the server's: any worker can carry it."""
    with relay_to(kind, tmp_path / "legs") as relay:
        client = relay.client
        arguments = {"name": "far__ask_then_wait", "arguments": {"gate": "g"}}
        meta = {f"{META}clientCapabilities": {"elicitation": {"form": {}}}}
        first = client.modern("tools/call", {**arguments, "_meta": meta})
        assert first["resultType"] == "input_required"
        assert first["inputRequests"]["colour"]["method"] == "elicitation/create"
        swap(relay)
        client.modern("tools/call", {"name": "far__open_gate", "arguments": {"gate": "g"}})
        answered = {"inputResponses": {"colour": WHO}, "requestState": first["requestState"]}
        last = client.modern("tools/call", {**arguments, **answered, "_meta": meta})
        assert json.loads(text_of(last)) == {"colour": WHO}


def test_logs_for_those_who_ask(kind: str, tmp_path: Path) -> None:
    with relay_to(kind, tmp_path / "legs") as relay:
        client = relay.client
        call = {"name": "far__steps", "arguments": {}}
        client.modern("tools/call", call)
        assert client.notifications("notifications/message") == []
        client.modern("tools/call", {**call, "_meta": {f"{META}logLevel": "info"}})
        assert client.wait_notification("notifications/message")["data"] == "working"


def test_a_server_of_both_eras_is_spoken_to_in_the_clients(tmp_path: Path) -> None:
    """One of the SDK's; the fixture beside it knows the handshake only."""
    with Relay(configuration({"old": fixture_backend()})) as relay:
        assert "old__echo" in names(relay.client.modern("tools/list")["tools"])
        result = relay.client.modern("tools/call", {"name": "old__seen", "arguments": {}})
        assert result["structuredContent"]["methods"].get("initialize") == 1
