"""Servers of 2024-11-05 that lose what they have begun, or never begin it properly."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_supervisor.wire import v1
from tests.harness.http_mcp import INIT, Exchange, HttpMcp, text_result
from tests.integration.fake_supervisor import FakeSupervisor
from tests.integration.test_remote_calls import config, failed


class OldServer:
    """Speaks SSE; `begins` is the first event of a stream. Streams that are `lost` stay open, but
    nothing posted is taken for them. A call of `echo` is answered, one of `wait` is not.
    """

    def __init__(self) -> None:
        self.streams: list[Exchange] = []
        self.lost: set[int] = set()
        self.begins = b"event: endpoint\ndata: /post/%d\n\n"
        self.mcp = HttpMcp()
        self.mcp.before = self._before

    def _before(self, exchange: Exchange) -> bool:
        if exchange.asked.verb == "GET":
            exchange.stream()
            self.streams.append(exchange)
            number = len(self.streams) - 1
            begins = self.begins % number if b"%d" in self.begins else self.begins
            exchange.wfile.write(begins)
            exchange.server.ended.wait()
            return True
        number = int(exchange.asked.path.rpartition("/")[2])
        if number in self.lost:
            exchange.reply(b"Could not find session", "text/plain", 404)
            return True
        exchange.reply(b"Accepted", "text/plain", 202)
        result = self._result(exchange)
        if result is not None and "id" in exchange.asked.message:
            message = {"jsonrpc": "2.0", "id": exchange.asked.message["id"], "result": result}
            self.streams[number].wfile.write(b"data: %b\n\n" % json.dumps(message).encode())
        return True

    def _result(self, exchange: Exchange) -> Any:
        match exchange.asked.method:
            case "initialize":
                return INIT
            case "tools/list":
                schema = {"type": "object"}
                return {"tools": [{"name": n, "inputSchema": schema} for n in ("echo", "wait")]}
            case "tools/call" if exchange.asked.tool == "echo":
                return text_result(exchange.asked.arguments["text"])
            case "tools/call":
                return None
            case _:
                return {}


@pytest.fixture
def old() -> Iterator[OldServer]:
    server = OldServer()
    with server.mcp:
        yield server


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[FakeSupervisor]:
    with FakeSupervisor(tmp_path) as one:
        yield one


def test_a_stream_that_its_server_has_forgotten_is_replaced(
    old: OldServer, supervisor: FakeSupervisor
) -> None:
    """The call that found out has not run, and is made again; what was under way is lost."""
    supervisor.ready(config(old.mcp, type="sse"))
    supervisor.tool(1, "far__wait")
    old.mcp.await_asked("tools/call")
    old.lost.add(0)
    supervisor.tool(2, "far__echo", text="again")
    assert supervisor.text(2) == "again"
    assert "may have run" in failed(supervisor, 1)
    assert len(old.streams) == 2


@pytest.mark.parametrize(
    ("begins", "says"),
    [
        (b"event: endpoint\ndata: http://other.invalid/post\n\n", "posted to another server"),
        (
            b"event: endpoint\ndata: http://[/post\n\n",
            "address it wants messages posted to is none",
        ),
    ],
)
def test_a_stream_that_leads_nowhere(
    old: OldServer, supervisor: FakeSupervisor, begins: bytes, says: str
) -> None:
    old.begins = begins
    supervisor.configure(config(old.mcp, type="sse"))
    supervisor.session()
    state, _ = supervisor.expect(v1.BackendState, lambda m: m.last_error is not None)
    assert says in (state.last_error or "")


def test_a_stream_that_begins_with_a_byte_order_mark(
    old: OldServer, supervisor: FakeSupervisor
) -> None:
    old.begins = b"\xef\xbb\xbf" + old.begins
    supervisor.ready(config(old.mcp, type="sse"))
    supervisor.tool(1, "far__echo", text="x")
    assert supervisor.text(1) == "x"
