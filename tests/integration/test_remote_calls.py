"""Calls to a backend behind streamable HTTP: a real worker, a server that does as it is told."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_supervisor.wire import v1
from relay_supervisor.wire.ledger import Stage
from tests.harness.http_mcp import WAIT_SECONDS, Asked, Exchange, HttpMcp, text_result
from tests.harness.processes import wait_until
from tests.integration.fake_supervisor import FakeSupervisor


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[FakeSupervisor]:
    with FakeSupervisor(tmp_path) as one:
        yield one


def config(server: HttpMcp, **more: Any) -> dict[str, Any]:
    """A configuration with *server* as backend `far`."""
    relay = {"restart_delay_seconds": 0.1, "restart_delay_max_seconds": 0.2, "builtin_tools": False}
    return {
        "backends": {"far": {"url": server.url, **more}},
        "relay": relay,
    }


def failed(supervisor: FakeSupervisor, number: int) -> str:
    """The text of a call that failed."""
    result = supervisor.reply(number)["result"]
    assert result["isError"] is True
    return str(result["content"][0]["text"])


def hang(exchange: Exchange) -> None:
    """Answer nothing until the server ends."""
    exchange.server.ended.wait()


def test_a_call_and_its_answer(supervisor: FakeSupervisor) -> None:
    with HttpMcp() as server:
        supervisor.ready(config(server))
        supervisor.tool(1, "far__echo", text="hello")
        assert supervisor.text(1) == "hello"
        (call,) = server.calls("echo")
        assert call.message["id"] == 1
        assert call.headers["mcp-session-id"] == "session-1"
        assert call.headers["mcp-protocol-version"] == "2025-11-25"
        assert "text/event-stream" in call.headers["accept"]


def test_what_was_sent_arrives_byte_for_byte(supervisor: FakeSupervisor) -> None:
    """Numbers as they were written, members nobody knows; but what is beside the result, as strict
    clients drop an answer with more in it than belongs there.
    """
    result = (
        b'{"content":[{"type":"new","x":1.50}],"n":1e2,"big":123456789012345678901234567890.10}'
    )

    def odd(exchange: Exchange) -> None:
        exchange.reply(
            b'{"jsonrpc":"2.0","id":%d,"x-beside":0.10,"result":%b}'
            % (exchange.asked.message["id"], result)
        )

    with HttpMcp(odd=odd) as server:
        supervisor.ready(config(server))
        supervisor.send(
            v1.Call(1, "tools/call", "far__odd", v1.LEGACY),
            b'{"name":"far__odd","arguments":{"n":1.50,"e":1E5}}',
        )
        payload = supervisor.expect(v1.Reply)[1]
        assert b'"result":' + result in payload
        assert b"x-beside" not in payload
        assert b'"arguments":{"n":1.50,"e":1E5}' in server.calls("odd")[0].body


@pytest.mark.parametrize("streamed", [False, True])
def test_ten_megabytes_in_one_answer(supervisor: FakeSupervisor, *, streamed: bool) -> None:
    text = "x" * 10_000_000

    def big(exchange: Exchange) -> None:
        if streamed:
            exchange.stream()
            exchange.answer_event(text_result(text))
        else:
            exchange.text(text)

    with HttpMcp(big=big) as server:
        supervisor.ready(config(server))
        supervisor.tool(1, "far__big")
        assert supervisor.text(1) == text


def test_an_answer_over_the_limit_is_told_and_costs_nothing_else(
    supervisor: FakeSupervisor,
) -> None:
    def big(exchange: Exchange) -> None:
        exchange.stream()
        exchange.answer_event(text_result("x" * 200_000))

    with HttpMcp(big=big) as server:
        settings = config(server)
        settings["relay"]["frame_bytes_max"] = 100_000
        supervisor.ready(settings)
        supervisor.tool(1, "far__big")
        assert "frame_bytes_max" in failed(supervisor, 1)
        supervisor.tool(2, "far__echo", text="still")
        assert supervisor.text(2) == "still"


def test_a_pretty_printed_answer_is_one_frame(supervisor: FakeSupervisor) -> None:
    """A line break in a payload would tear the client's line."""

    def pretty(exchange: Exchange) -> None:
        message = {
            "jsonrpc": "2.0",
            "id": exchange.asked.message["id"],
            "result": text_result("a\nb"),
        }
        exchange.reply(json.dumps(message, indent=2).encode())

    with HttpMcp(pretty=pretty) as server:
        supervisor.ready(config(server))
        supervisor.tool(1, "far__pretty")
        payload = supervisor.expect(v1.Reply)[1]
        assert b"\n" not in payload
        assert json.loads(b"{" + payload)["result"] == text_result("a\nb")


def test_progress_questions_and_logs_on_the_way(supervisor: FakeSupervisor) -> None:
    def chatty(exchange: Exchange) -> None:
        token = exchange.asked.message["params"]["_meta"]["progressToken"]
        exchange.stream()
        exchange.event(
            {
                "jsonrpc": "2.0",
                "method": "notifications/progress",
                "params": {"progressToken": token, "progress": 0.50},
            }
        )
        exchange.event(
            {
                "jsonrpc": "2.0",
                "id": "q",
                "method": "elicitation/create",
                "params": {"message": "?"},
            }
        )
        found: list[Asked] = []

        def answered() -> bool:
            found[:] = [one for one in exchange.server.of("POST") if one.message.get("id") == "q"]
            return bool(found)

        wait_until(answered, WAIT_SECONDS)
        exchange.answer_event(text_result(json.dumps(found[0].message["result"])))

    with HttpMcp(chatty=chatty) as server:
        supervisor.ready(config(server), elicitation={})
        supervisor.call(1, "tools/call", {"name": "far__chatty", "_meta": {"progressToken": "t"}})
        assert json.loads(supervisor.expect(v1.Progress, lambda m: m.call == 1)[1]) == {
            "progress": 0.5
        }
        asked, _ = supervisor.expect(v1.BackendRequest)
        assert asked.method == "elicitation/create"
        supervisor.send(
            v1.ClientAnswer("far", asked.id, asked.pid), b'"result":{"action":"accept"}}'
        )
        assert supervisor.text(1) == '{"action": "accept"}'


def test_an_answer_that_the_server_does_not_take_ends_the_call(
    supervisor: FakeSupervisor,
) -> None:
    """Its session is gone; the next call has another one."""

    def asks(exchange: Exchange) -> None:
        exchange.stream()
        exchange.event({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {}})
        exchange.server.sessions.clear()
        exchange.server.ended.wait()

    with HttpMcp(asks=asks) as server:
        supervisor.ready(config(server), elicitation={})
        supervisor.tool(1, "far__asks")
        asked, _ = supervisor.expect(v1.BackendRequest)
        supervisor.send(v1.ClientAnswer("far", asked.id, asked.pid), b'"result":{}}')
        text = failed(supervisor, 1)
        assert "did not take the answer" in text
        assert "may have run" in text
        supervisor.tool(2, "far__session")
        assert supervisor.text(2) == "session-2"


def test_a_cancelled_call_is_cancelled_at_the_server(supervisor: FakeSupervisor) -> None:
    with HttpMcp(hang=hang) as server:
        supervisor.ready(config(server))
        supervisor.tool(1, "far__hang")
        server.await_asked("tools/call")
        supervisor.send(v1.Cancel(1), b'{"requestId":"client-id","reason":"enough"}')
        (cancelled,) = server.await_asked("notifications/cancelled")
        assert cancelled.message["params"] == {"requestId": 1, "reason": "enough"}
        assert cancelled.headers["mcp-session-id"] == "session-1"


def test_a_slow_call_holds_up_nobody(supervisor: FakeSupervisor) -> None:
    """Not even with its headers outstanding."""
    with HttpMcp(hang=hang) as server:
        supervisor.ready(config(server))
        for number in range(1, 40):
            supervisor.tool(number, "far__hang")
        server.await_asked("tools/call", 39)
        supervisor.tool(50, "far__echo", text="quick")
        assert supervisor.text(50) == "quick"


class TestFailures:
    """One bad call costs that call, and its error says whether it may have run."""

    @pytest.fixture
    def server(self) -> Iterator[HttpMcp]:
        tools = {
            "reset": lambda exchange: exchange.abort(),
            "limited": lambda e: e.reply(b"slow down", "text/plain", 429, retry_after="7"),
            "broken": lambda e: e.reply(b'{"jsonrpc":"2.0","id":1,"result":'),
            "page": lambda e: e.reply(b"<html>", "text/html"),
            "packed": lambda e: e.reply(b"no gzip", content_encoding="gzip"),
            "failing": lambda e: e.reply(b"out of order", "text/plain", 500),
            "accepted": lambda e: e.reply(b"", "", 202),
            "refusing": lambda e: e.reply(b'{"why":"no"}', status=400),
            "cut": cut,
            "hang": hang,
        }
        with HttpMcp(**tools) as one:
            yield one

    @pytest.mark.parametrize(
        ("tool", "says"),
        [
            ("reset", ["connection", "may have run"]),
            ("limited", ["429", "slow down", "7 s", "has not run"]),
            ("broken", ["cannot be read", "has run"]),
            ("page", ["text/html", "may have run"]),
            ("packed", ["far' cannot be decoded", "has run"]),
            ("failing", ["500", "out of order", "may have run"]),
            ("accepted", ["only accepted", "may have run"]),
            ("refusing", ["400", "has not run"]),
            ("cut", ["stream", "may have run"]),
        ],
    )
    def test_is_told_and_costs_nobody_else(
        self, supervisor: FakeSupervisor, server: HttpMcp, tool: str, says: list[str]
    ) -> None:
        supervisor.ready(config(server))
        supervisor.tool(1, "far__hang")
        server.await_asked("tools/call")
        supervisor.tool(2, f"far__{tool}")
        text = failed(supervisor, 2)
        assert "'far'" in text
        assert [word for word in says if word not in text] == [], text
        assert len(server.calls(tool)) == 1, "it is not repeated"
        supervisor.tool(3, "far__echo", text="well")
        assert supervisor.text(3) == "well"
        assert not [m for m, _ in supervisor.inbox if isinstance(m, v1.Reply) and m.call == 1]
        assert len(server.of("initialize")) == 1, "the session is not touched"

    def test_the_ledger_knows_what_may_have_got_there(
        self, supervisor: FakeSupervisor, server: HttpMcp
    ) -> None:
        supervisor.ready(config(server))
        supervisor.tool(1, "far__hang")
        server.await_asked("tools/call")
        supervisor.until(lambda: supervisor.stages() == {1: Stage.WRITTEN})


def test_an_error_in_the_body_of_a_status_is_the_answer(supervisor: FakeSupervisor) -> None:
    error = b'{"code":-32602,"message":"no","data":1.50}'

    def refusing(exchange: Exchange) -> None:
        exchange.reply(b'{"jsonrpc":"2.0","id":null,"error":%b}' % error, status=400)

    with HttpMcp(refusing=refusing) as server:
        supervisor.ready(config(server))
        supervisor.tool(1, "far__refusing")
        message, payload = supervisor.expect(v1.Reply)
        assert message.outcome == v1.OUTCOME_BACKEND_ERROR
        assert payload == b'"error":' + error + b"}"


def cut(exchange: Exchange) -> None:
    """End a stream before the answer, with nothing to go on from."""
    exchange.stream()
    exchange.event(
        {
            "jsonrpc": "2.0",
            "method": "notifications/message",
            "params": {"level": "info", "data": 1},
        }
    )
