"""The official SDK's client in the modern era, and legacy backends that ask it within a call: what
it has callbacks for works as if it were asked by a request.
"""

from collections.abc import Iterator
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import MCPError

from tests.harness import fixture_backend
from tests.harness.http_server import sdk_server
from tests.integration.sdk import MODES, SdkSession, sdk_session
from tests.integration.through import configuration

MODERN_MODES = MODES[1:]


async def sample(context: Any, params: Any) -> types.CreateMessageResult:
    text = types.TextContent(type="text", text="sampled")
    return types.CreateMessageResult(role="assistant", content=text, model="m")


async def elicit(context: Any, params: Any) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content={"name": params.message})


async def roots(context: Any) -> types.ListRootsResult:
    return types.ListRootsResult(roots=[types.Root(uri="file:///x")])


CALLBACKS = {
    "sampling_callback": sample,
    "elicitation_callback": elicit,
    "list_roots_callback": roots,
}


@pytest.fixture(scope="module", params=MODERN_MODES)
def session(request: pytest.FixtureRequest) -> Iterator[SdkSession]:
    """A client that can be asked everything."""
    config = configuration({"a": fixture_backend(), "b": fixture_backend()})
    with sdk_session(config, request.param, **CALLBACKS) as session:
        yield session


def call(session: SdkSession, name: str, **arguments: Any) -> Any:
    return session.run(session.client.call_tool, name, arguments).structured_content


def test_each_kind_of_question_is_answered_by_its_callback(session: SdkSession) -> None:
    assert call(session, "a__elicit", message="Ada") == {
        "action": "accept",
        "content": {"name": "Ada"},
    }
    assert call(session, "b__sample")["content"] == {"type": "text", "text": "sampled"}
    assert call(session, "a__roots")["roots"][0]["uri"] == "file:///x"


@pytest.mark.parametrize("at_once", [False, True])
def test_several_questions_of_one_call(session: SdkSession, at_once: bool) -> None:
    result = session.run(session.client.call_tool, "a__interview", {"at_once": at_once})
    elicited, sampled, rooted = (one for one in result.structured_content["answers"])
    assert elicited["content"] == {"name": "Who?"} and sampled["model"] == "m"
    assert rooted["roots"][0]["uri"] == "file:///x"


def test_calls_that_ask_at_the_same_time_each_get_an_answer(session: SdkSession) -> None:
    """On stdio nobody knows in which of them a question was asked."""

    async def all_of_them() -> list[Any]:
        results: list[Any] = [None] * 8

        async def one(n: int) -> None:
            result = await session.client.call_tool("a__elicit", {"message": f"m{n}"})
            results[n] = result.structured_content["content"]["name"]

        async with anyio.create_task_group() as group:
            for n in range(8):
                group.start_soon(one, n)
        return results

    assert session.run(all_of_them) == [f"m{n}" for n in range(8)]


@pytest.mark.parametrize("mode", MODERN_MODES)
def test_who_has_no_callback_is_not_asked(mode: str) -> None:
    """The tool gets the error that a client without the capability gives."""
    with sdk_session(configuration({"a": fixture_backend()}), mode) as session:
        assert call(session, "a__elicit")["error"]["code"] == -32601


def test_a_callback_that_fails_costs_its_call_only() -> None:
    async def fails(context: Any, params: Any) -> types.ErrorData:
        return types.ErrorData(code=-1, message="no user here")

    config = configuration({"a": fixture_backend()})
    with sdk_session(config, "auto", elicitation_callback=fails) as session:
        with pytest.raises(MCPError, match="no user here"):
            call(session, "a__elicit")
        assert call(session, "a__echo", x=1) == {"x": 1}


def test_a_remote_backend_of_the_handshake_era_may_ask_as_well() -> None:
    async def choose(context: Any, params: Any) -> types.ElicitResult:
        return types.ElicitResult(action="accept", content={"colour": "red"})

    with sdk_server("sse") as url:
        config = configuration({"far": {"url": url}})
        with sdk_session(config, "2026-07-28", elicitation_callback=choose) as session:
            result = session.run(session.client.call_tool, "far__ask", {})
            assert "red" in result.content[0].text
