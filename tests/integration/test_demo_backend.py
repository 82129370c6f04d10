"""The demo backend, alone: what a first user sees behind the relay comes from here."""

import signal
import sys
from collections.abc import Iterator

import pytest

from tests.harness import RawClient, RpcError, stopwatch, text_of

DEMO = [sys.executable, "-m", "relay_worker.demo"]


@pytest.fixture
def client() -> Iterator[RawClient]:
    """A client of the demo backend, after the handshake."""
    with RawClient(DEMO) as one:
        one.initialize()
        yield one


def test_it_lists_four_tools_a_resource_and_a_prompt(client: RawClient) -> None:
    tools = client.list_all("tools")
    assert [tool["name"] for tool in tools] == ["echo", "add", "countdown", "counter"]
    for tool in tools:
        assert tool["description"]
        assert tool["inputSchema"]["type"] == "object"
        assert tool["annotations"]["readOnlyHint"] == (tool["name"] != "counter")
    (resource,) = client.list_all("resources")
    (contents,) = client.request("resources/read", {"uri": resource["uri"]})["contents"]
    assert "relay.yaml" in contents["text"]
    (prompt,) = client.list_all("prompts")
    got = client.request("prompts/get", {"name": prompt["name"], "arguments": {"reader": "Ada"}})
    assert "Ada" in got["messages"][0]["content"]["text"]
    assert client.list_all("resources/templates") == []


def test_tools_that_answer_at_once(client: RawClient) -> None:
    assert text_of(client.call_tool("echo", {"text": "grüße"})) == "grüße"
    assert client.call_tool("add", {"a": 1, "b": 2.5})["structuredContent"] == {"sum": 3.5}
    assert [text_of(client.call_tool("counter")) for _ in range(3)] == ["1", "2", "3"]


def test_a_countdown_reports_progress_and_others_are_answered_meanwhile(client: RawClient) -> None:
    elapsed = stopwatch()
    call = client.start_tool("countdown", {"seconds": 1}, progress_token="mine")
    text_of(client.call_tool("echo", {"text": "meanwhile"}))
    assert not client.answered(call)
    client.response(call)
    assert elapsed() >= 1.0
    progress = client.wait_notification("notifications/progress")
    assert (progress["progressToken"], progress["progress"], progress["total"]) == ("mine", 1, 1)


def test_a_cancelled_countdown_is_not_answered(client: RawClient) -> None:
    call = client.start_tool("countdown", {"seconds": 1})
    client.cancel(call)
    client.call_tool("countdown", {"seconds": 1})  # started later: due later
    assert not client.answered(call)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("add", {"a": "1", "b": 2}),
        ("add", {"a": True, "b": 2}),
        ("echo", {}),
        ("countdown", {"seconds": -1}),
        ("no_such_tool", {}),
        ("echo", ["text"]),
    ],
)
def test_wrong_arguments_are_refused(client: RawClient, tool: str, arguments: object) -> None:
    with pytest.raises(RpcError) as refused:
        client.request("tools/call", {"name": tool, "arguments": arguments})
    assert refused.value.code == -32602


@pytest.mark.parametrize(
    ("line", "code"),
    [("{", -32700), ("\xff", -32700), ("[]", -32600), ('{"id": [], "method": "ping"}', -32600)],
)
def test_bad_lines_are_answered_and_survived(client: RawClient, line: str, code: int) -> None:
    client.send_line(line.encode("latin-1"))
    assert client.wait_error_without_id()["code"] == code
    assert client.request("ping") == {}


def test_unknown_methods_are_refused(client: RawClient) -> None:
    with pytest.raises(RpcError) as refused:
        client.modern("server/discover")
    assert refused.value.code == -32601


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_without_a_word(number: int) -> None:
    with RawClient(DEMO) as client:
        client.initialize()
        client.child.send_signal(number)
        assert client.wait_exit() == -number
        client.wait_end()
        assert client.child.stderr_text() == ""
