"""The official SDK's client through the relay, in both eras and in its own probing mode.

The SDK validates every result against the schema of the negotiated version: what the relay adds or
leaves out shows here.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import MCPDeprecationWarning, MCPError
from mcp.client.subscriptions import ToolsListChanged

from tests.harness import fixture_backend
from tests.integration.sdk import MODES, SdkSession, sdk_session
from tests.integration.through import configuration

CONFIG = configuration({"a": fixture_backend("--tools", "60"), "b": fixture_backend()})


@pytest.fixture(scope="module", params=MODES)
def session(request: pytest.FixtureRequest) -> Iterator[SdkSession]:
    """One connected client for each mode."""
    with sdk_session(CONFIG, request.param) as session:
        yield session


class TestBothEras:
    def test_the_version_is_negotiated(self, session: SdkSession) -> None:
        """Probing finds the modern era; pinned and legacy get what they ask for."""
        expected = "2025-11-25" if session.is_legacy else "2026-07-28"
        assert session.client.protocol_version == expected
        if session.mode != "2026-07-28":  # pinned, it has asked nothing
            info = session.client.server_info
            assert info is not None and info.name == "mcp-relay"
            assert "a, b" in (session.client.instructions or "")
            assert session.client.server_capabilities.tools is not None

    def test_lists(self, session: SdkSession) -> None:
        """Everything is there, valid for the SDK's models, in one page."""
        client = session.client
        tools = session.run(client.list_tools)
        assert tools.next_cursor is None
        listed = [tool.name for tool in tools.tools]
        assert len(listed) >= 97 and listed == sorted(listed)
        assert {"a__echo", "b__echo", "a__plain_0059", "relay__status"} <= set(listed)
        prompts = session.run(client.list_prompts).prompts
        assert [prompt.name for prompt in prompts] == ["a__greet", "b__greet"]
        resources = session.run(client.list_resources).resources
        assert [str(one.uri) for one in resources] == ["fixture://blob", "fixture://text"]
        templates = session.run(client.list_resource_templates).resource_templates
        assert [one.uri_template for one in templates] == ["fixture://item/{id}"]

    def test_calls(self, session: SdkSession) -> None:
        """Structured content, every kind of content, errors of tools."""
        result = session.run(session.client.call_tool, "a__echo", {"x": [1.5, "ü", None]})
        assert result.structured_content == {"x": [1.5, "ü", None]} and not result.is_error
        kinds = [
            block.type for block in session.run(session.client.call_tool, "b__contents").content
        ]
        assert kinds == ["text", "image", "audio", "resource_link", "resource"]
        failed = session.run(session.client.call_tool, "a__tool_error", {"text": "no luck"})
        assert failed.is_error and failed.content[0].text == "no luck"
        status = session.run(session.client.call_tool, "relay__status").structured_content
        assert status["registry"]["tools"] >= 97

    def test_errors(self, session: SdkSession) -> None:
        """Codes, messages and data of backend and relay."""
        for name, arguments, code in (
            ("a__error", {"code": -32050, "message": "m", "data": {"x": 1}}, -32050),
            ("a__no_such_tool", {}, -32602),
        ):
            with pytest.raises(MCPError) as refused:
                session.run(session.client.call_tool, name, arguments)
            assert refused.value.code == code
        with pytest.raises(MCPError) as refused:
            session.run(session.client.read_resource, "fixture://none")
        assert refused.value.code == (-32002 if session.is_legacy else -32602)

    def test_progress(self, session: SdkSession) -> None:
        """All of it, in order, before the result."""
        reported: list[tuple[float, float | None, str | None]] = []

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            reported.append((progress, total, message))

        arguments = {"seconds": 0.05, "steps": 3}
        session.run(session.client.call_tool, "a__slow", arguments, progress_callback=on_progress)
        assert reported == [(n, 3, f"step {n}") for n in (1, 2, 3)]

    def test_prompts_resources_completion(self, session: SdkSession) -> None:
        """The rest of what a client asks a server for."""
        client = session.client
        prompt = session.run(client.get_prompt, "b__greet", {"name": "Ada"})
        assert prompt.messages[0].content.text == "greet: name=Ada"
        for uri in ("fixture://text", "fixture://item/42"):
            contents = session.run(client.read_resource, uri).contents
            assert contents[0].text == f"{uri} version 0"
        ref = types.PromptReference(type="ref/prompt", name="a__greet")
        argument = {"name": "style", "value": "fr"}
        completed = session.run(client.complete, ref, argument).completion
        assert completed.values == ["friendly", "frank"]

    def test_many_calls_at_once(self, session: SdkSession) -> None:
        """Each gets its own answer."""

        async def all_of_them() -> list[Any]:
            results: list[Any] = [None] * 50

            async def one(n: int) -> None:
                name = "a__reply_out_of_order" if n % 2 else "b__echo"
                arguments = {"n": n, "group": "g", "size": 25}
                answer = await session.client.call_tool(name, arguments)
                results[n] = answer.structured_content["n"]

            async with anyio.create_task_group() as group:
                for n in range(50):
                    group.start_soon(one, n)
            return results

        assert session.run(all_of_them) == list(range(50))

    def test_a_timeout_of_the_client_cancels_the_call(self, session: SdkSession) -> None:
        """The backend hears of it, and the connection goes on."""
        tag = f"sdk-{session.mode}"
        with pytest.raises(MCPError):
            session.run(session.client.call_tool, "a__hang", {"tag": tag}, read_timeout_seconds=0.2)

        async def cancelled() -> None:
            while True:
                seen = await session.client.call_tool("a__seen")
                if tag in [one["tag"] for one in seen.structured_content["cancelled"]]:
                    return

        session.run(cancelled)


class TestLegacy:
    def test_what_backends_ask_is_answered_by_the_callbacks(self) -> None:
        """Sampling, elicitation and roots."""

        async def sample(context: Any, params: Any) -> types.CreateMessageResult:
            text = types.TextContent(type="text", text=f"to {params.messages[0].content.text}")
            return types.CreateMessageResult(role="assistant", content=text, model="m")

        async def elicit(context: Any, params: Any) -> types.ElicitResult:
            return types.ElicitResult(action="accept", content={"name": "Ada"})

        async def roots(context: Any) -> types.ListRootsResult:
            return types.ListRootsResult(roots=[types.Root(uri="file:///x")])

        callbacks = {
            "sampling_callback": sample,
            "elicitation_callback": elicit,
            "list_roots_callback": roots,
        }
        with sdk_session(CONFIG, "legacy", **callbacks) as session:
            call = session.client.call_tool
            sampled = session.run(call, "a__sample", {"prompt": "you"}).structured_content
            assert sampled["content"] == {"type": "text", "text": "to you"}
            elicited = session.run(call, "b__elicit").structured_content
            assert elicited == {"action": "accept", "content": {"name": "Ada"}}
            rooted = session.run(call, "a__roots").structured_content
            assert rooted["roots"][0]["uri"] == "file:///x"

    def test_messages_levels_updates_and_changes(self) -> None:
        """Everything the era pushes to a client."""
        logged: list[Any] = []
        noted: list[str] = []

        async def log(params: Any) -> None:
            logged.append(params.data)

        async def note(message: Any) -> None:
            noted.append(getattr(message, "method", repr(message)))

        callbacks = {"logging_callback": log, "message_handler": note}
        with sdk_session(CONFIG, "legacy", **callbacks) as session, warnings.catch_warnings():
            warnings.simplefilter("ignore", MCPDeprecationWarning)
            client = session.client
            session.run(client.send_ping)
            session.run(client.set_logging_level, "error")
            session.run(client.call_tool, "a__log", {"level": "info", "data": "too low"})
            session.run(client.call_tool, "a__log", {"level": "alert", "data": "heard"})
            session.run(client.subscribe_resource, "fixture://text")
            session.run(client.call_tool, "a__touch_resource", {"uri": "fixture://text"})
            session.run(client.list_tools)
            session.run(client.call_tool, "a__add_tool", {"name": "new"})
            wanted = {"notifications/resources/updated", "notifications/tools/list_changed"}

            async def arrived() -> None:
                while not wanted <= set(noted):
                    await client.call_tool("a__echo")

            session.run(arrived)
            assert [data["text"] for data in logged] == ["heard"]
            tools = session.run(client.list_tools).tools
            assert "a__new" in [tool.name for tool in tools]


class TestModern:
    @pytest.mark.parametrize("mode", MODES[1:])
    def test_listen(self, mode: str) -> None:
        """The SDK's subscription gets the event, and the new list is there."""
        with sdk_session(CONFIG, mode) as session:
            client = session.client

            async def change() -> None:
                await client.list_tools()
                async with client.listen(tools_list_changed=True) as subscription:
                    assert subscription.honored.tools_list_changed is True
                    await client.call_tool("a__add_tool", {"name": "new"})
                    async for event in subscription:
                        assert isinstance(event, ToolsListChanged)
                        break
                listed = await client.list_tools()
                assert "a__new" in [tool.name for tool in listed.tools]

            session.run(change)
