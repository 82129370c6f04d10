"""A client of the handshake era on a server that speaks 2026-07-28 only, over stdio and HTTP: what
the server asks for by its answers is asked of the client, and the call is made once more with it.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest

from tests.harness import RawClient, Relay, text_of
from tests.harness.modern_server import legs, modern_backend
from tests.integration.sdk import sdk_session
from tests.integration.test_remote_sdk import kill_worker, swap
from tests.integration.through import CAPABILITIES, configuration

WHO = {"action": "accept", "content": {"colour": "red"}}


@pytest.fixture(scope="module", params=["stdio", "http"])
def kind(request: pytest.FixtureRequest) -> str:
    """How the server speaks."""
    found: str = request.param
    return found


@contextmanager
def relay_to(kind: str, log: Path, **capabilities: Any) -> Iterator[Relay]:
    """A relay with such a server as `far`, and a client of the handshake era."""
    with modern_backend(kind, log) as far:
        settings = {"probation_seconds": 0.5, "probation_calls": 1000}
        with Relay(configuration({"far": far}, **settings)) as relay:
            relay.client.initialize(capabilities=capabilities or CAPABILITIES)
            relay.client.list_all("tools")
            yield relay


@pytest.fixture(scope="module")
def shared(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Relay, Path]]:
    """A relay whose client can be asked everything, and where the server notes the legs of calls;
    for all tests with one kind of server.
    """
    log = tmp_path_factory.mktemp("legs") / "log"
    with relay_to(kind, log) as relay:
        yield relay, log


@pytest.fixture
def relay(shared: tuple[Relay, Path]) -> Relay:
    """That relay."""
    return shared[0]


@pytest.fixture
def log(shared: tuple[Relay, Path]) -> Path:
    """That log, empty."""
    shared[1].write_bytes(b"")
    return shared[1]


def ask(client: RawClient, tool: str, **arguments: Any) -> tuple[Any, Any]:
    """Call a tool that asks for a colour; returns the call and the question."""
    call = client.start_tool(tool, arguments)
    return call, client.wait_request("elicitation/create")


def colour(client: RawClient, call: Any) -> Any:
    """The answer of such a tool."""
    return json.loads(text_of(client.response(call).result))


def test_the_sdks_client_is_asked_by_its_callbacks(kind: str, tmp_path: Path) -> None:
    """Elicitation, sampling and roots at once, another question after that; a prompt as well."""
    asked: list[str] = []

    async def sample(context: Any, params: Any) -> types.CreateMessageResult:
        text = types.TextContent(type="text", text=f"to {params.messages[0].content.text}")
        return types.CreateMessageResult(role="assistant", content=text, model="m")

    async def elicit(context: Any, params: Any) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult(action="accept", content={"colour": "red"})

    async def roots(context: Any) -> types.ListRootsResult:
        return types.ListRootsResult(roots=[types.Root(uri="file:///x")])

    reported: list[tuple[float, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        reported.append((progress, message))

    callbacks = {
        "sampling_callback": sample,
        "elicitation_callback": elicit,
        "list_roots_callback": roots,
    }
    with (
        modern_backend(kind, tmp_path / "legs") as far,
        sdk_session(configuration({"far": far}), "legacy", **callbacks) as session,
    ):
        client = session.client
        session.run(client.list_tools)
        result = session.run(client.call_tool, "far__survey", progress_callback=on_progress)
        found = json.loads(result.content[0].text)
        assert found["model"]["content"]["text"] == "to hello"
        assert found["roots"]["roots"] == [{"uri": "file:///x"}]
        assert found["who"] == found["why"] == WHO
        assert asked == ["Who?", "Why?"]
        assert reported == [(1, "once more"), (2, "done")], "one token through all legs"
        prompt = session.run(client.get_prompt, "far__greet")
        assert prompt.messages[0].content.text == "hello red"
        assert len(legs(tmp_path / "legs")) == 3


class TestRounds:
    def test_a_state_alone_is_given_back(self, relay: Relay, log: Path) -> None:
        result = relay.client.call_tool("far__patient", {"legs": 3})
        assert text_of(result) == "done" and legs(log) == [None, "1", "2", "3"]
        assert not {"resultType", "ttlMs", "cacheScope"} & set(result)
        read = relay.client.request("resources/read", {"uri": "memo://one"})
        assert not {"resultType", "ttlMs", "cacheScope"} & set(read)

    def test_a_cancelled_call_takes_its_question_along(self, relay: Relay, log: Path) -> None:
        client = relay.client
        call, question = ask(client, "far__ask_then_wait", gate="g")
        client.cancel(call)
        withdrawn = client.wait_notification("notifications/cancelled")
        assert withdrawn["requestId"] == question.id
        client.answer(question, WHO)
        assert text_of(client.call_tool("far__echo", {"text": "x"})) == "x"
        assert legs(log) == [None] and not client.answered(call)

    def test_a_client_that_refuses_ends_the_call(self, relay: Relay, log: Path) -> None:
        call, question = ask(relay.client, "far__ask_then_wait", gate="g")
        relay.client.answer(question, error={"code": -1, "message": "user rejected"})
        result = relay.client.response(call).result
        assert result["isError"]
        assert "elicitation/create, and the client refused: user rejected (-1)" in text_of(result)
        assert legs(log) == [None]


def test_what_the_client_cannot_do_is_not_asked(kind: str, tmp_path: Path) -> None:
    log = tmp_path / "legs"
    with relay_to(kind, log, elicitation={}) as relay:
        result = relay.client.call_tool("far__survey")
        assert result["isError"] and legs(log) == [None]
        text = text_of(result)
        assert "'far'" in text and "sampling/createMessage, and the client did not declare" in text
        assert not any("method" in frame.message for frame in relay.client.frames)


class TestOtherWorkers:
    def test_a_swap_while_the_client_is_asked(self, relay: Relay, log: Path) -> None:
        client = relay.client
        pid = text_of(client.call_tool("far__pid"))
        call, question = ask(client, "far__ask_then_wait", gate="a")
        swap(relay)
        client.answer(question, WHO)
        client.call_tool("far__open_gate", {"gate": "a"})
        assert colour(client, call) == {"colour": WHO}
        assert legs(log) == [None, "s"] and text_of(client.call_tool("far__pid")) == pid

    def test_a_swap_before_the_client_is_asked(self, relay: Relay, log: Path) -> None:
        client = relay.client
        call = client.start_tool("far__wait_then_ask", {"gate": "b"})
        client.call_tool("far__echo", {"text": "so the one before is there"})
        swap(relay)
        client.call_tool("far__open_gate", {"gate": "b"})
        client.answer(client.wait_request("elicitation/create"), WHO)
        assert colour(client, call) == {"colour": WHO} and legs(log) == [None, "s"]

    def test_a_kill_while_the_client_is_asked(self, relay: Relay, kind: str, log: Path) -> None:
        """A server behind a pipe goes on; of one elsewhere nobody knows any more."""
        client = relay.client
        call, question = ask(client, "far__ask_then_wait", gate="c")
        client.call_tool("far__open_gate", {"gate": "c"})
        kill_worker(relay)
        client.answer(question, WHO)
        if kind == "stdio":
            assert colour(client, call) == {"colour": WHO} and legs(log) == [None, "s"]
        else:
            result = client.response(call).result
            assert result["isError"] and "unknown" in text_of(result) and legs(log) == [None]
            cancelled = client.wait_notification("notifications/cancelled")
            assert cancelled["requestId"] == question.id

    def test_a_kill_after_the_client_has_answered(self, relay: Relay, kind: str, log: Path) -> None:
        client = relay.client
        call, question = ask(client, "far__ask_then_wait", gate="d")
        client.answer(question, WHO)
        client.call_tool("far__echo", {"text": "so the one before is there"})
        kill_worker(relay)
        client.call_tool("far__open_gate", {"gate": "d"})
        if kind == "stdio":
            assert colour(client, call) == {"colour": WHO}
        else:
            assert "unknown" in text_of(client.response(call).result)
        assert legs(log) == [None, "s"], "never made twice"
