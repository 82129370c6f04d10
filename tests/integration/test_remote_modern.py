"""Servers of the modern era (2026-07-28) over HTTP, and the way to find out which era it is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_supervisor.wire import v1
from tests.harness import MODERN, Relay, text_of, wait_until
from tests.harness.http_mcp import Exchange, HttpMcp
from tests.harness.http_server import sdk_server
from tests.integration.fake_supervisor import WAIT_SECONDS, FakeSupervisor
from tests.integration.test_remote_calls import config
from tests.integration.through import configuration, names

META = "io.modelcontextprotocol/"
SCHEMA = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "deep": {"properties": {"n": {"type": "integer", "x-mcp-header": "N"}}},
    },
}


class ModernServer(HttpMcp):
    """It knows no `initialize`, and refuses what the era forbids. `listens` are open requests."""

    def __init__(self, **tools: Any) -> None:
        super().__init__(stateful=False, **tools)
        self.listens: list[Exchange] = []
        self.complaints: list[str] = []
        self.before = self._modern

    def _modern(self, exchange: Exchange) -> bool:
        asked = exchange.asked
        if asked.method == "initialize":
            refuse(exchange, -32022, "Unsupported protocol version")
            return True
        meta = asked.message.get("params", {}).get("_meta", {})
        wanted = {"mcp-protocol-version": meta.get(f"{META}protocolVersion")}
        wanted["mcp-method"] = asked.method
        if f"{META}clientCapabilities" not in meta:
            self.complaints.append(f"no capabilities: {asked.message}")
        for name, value in wanted.items():
            if asked.headers.get(name) != value:
                self.complaints.append(f"{name} is {asked.headers.get(name)}, not {value}")
        if asked.verb != "POST" or "id" not in asked.message:
            self.complaints.append(f"{asked.verb} {asked.message}")
        return self._answered(exchange)

    def _answered(self, exchange: Exchange) -> bool:
        if exchange.asked.method == "server/discover":
            capabilities = {"tools": {"listChanged": True}, "resources": {"subscribe": True}}
            exchange.result(
                {
                    "resultType": "complete",
                    "supportedVersions": [MODERN],
                    "capabilities": capabilities,
                    "_meta": {f"{META}serverInfo": {"name": "modern", "version": "1"}},
                }
            )
        elif exchange.asked.method == "subscriptions/listen":
            exchange.stream()
            wanted = exchange.asked.message["params"]["notifications"]
            acknowledged = "notifications/subscriptions/acknowledged"
            self.tell(exchange, acknowledged, {"notifications": wanted})
            self.listens.append(exchange)
            self.ended.wait()
        elif exchange.asked.method == "tools/list":
            tools = [{"name": name, "inputSchema": SCHEMA} for name in self.names]
            exchange.result({"resultType": "complete", "tools": tools})
        elif (exchange.asked.method or "").startswith("resources/"):
            exchange.result({"resources": [], "resourceTemplates": []})
        else:
            return False
        return True

    def tell(self, exchange: Exchange, method: str, params: dict[str, Any]) -> None:
        """Say something on an open request."""
        exchange.event({"jsonrpc": "2.0", "method": method, "params": params})


def refuse(exchange: Exchange, code: int, message: str) -> None:
    """Answer with an error, as HTTP 400."""
    error = {"code": code, "message": message}
    body = {"jsonrpc": "2.0", "id": exchange.asked.message["id"], "error": error}
    exchange.reply(json.dumps(body).encode(), status=400)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[FakeSupervisor]:
    with FakeSupervisor(tmp_path) as one:
        yield one


@pytest.fixture
def server() -> Iterator[ModernServer]:
    with ModernServer(hang=lambda exchange: exchange.server.ended.wait()) as one:
        yield one
        assert one.complaints == []


def ready(supervisor: FakeSupervisor, server: HttpMcp, era: int) -> None:
    """Bring up a worker for a client of this era."""
    supervisor.configure(config(server))
    supervisor.session(era=era, elicitation={})
    supervisor.expect(v1.Catalogue, lambda m: m.settled)


@pytest.mark.parametrize("era", [v1.LEGACY, v1.MODERN])
def test_a_modern_server_is_understood_by_clients_of_both_eras(
    supervisor: FakeSupervisor, server: ModernServer, era: int
) -> None:
    """A modern client's words go there first; a legacy one's after the refusal."""
    ready(supervisor, server, era)
    assert len(server.of("initialize")) == (era == v1.LEGACY)
    params = {"name": "far__echo", "arguments": {"text": "x", "region": "Köln", "deep": {"n": 7}}}
    supervisor.call(1, "tools/call", params, era=era)
    assert supervisor.text(1) == "x"
    (call,) = server.calls("echo")
    assert call.headers["mcp-name"] == "echo"
    assert call.headers["mcp-param-region"] == "=?base64?S8O2bG4=?="
    assert call.headers["mcp-param-n"] == "7"
    meta = call.message["params"]["_meta"]
    assert meta[f"{META}protocolVersion"] == MODERN
    assert meta[f"{META}clientCapabilities"] == {"elicitation": {}}


def test_what_it_says_of_input_and_itself_arrives_as_it_is(supervisor: FakeSupervisor) -> None:
    result = b'{"resultType":"input_required","requestState":"s","x":1.50}'

    def asking(exchange: Exchange) -> None:
        number = exchange.asked.message["id"]
        exchange.reply(b'{"jsonrpc":"2.0","id":%d,"result":%b}' % (number, result))

    with ModernServer(asking=asking) as server:
        ready(supervisor, server, v1.MODERN)
        meta = {f"{META}protocolVersion": MODERN, f"{META}clientCapabilities": {}}
        supervisor.call(1, "tools/call", {"name": "far__asking", "_meta": meta}, era=v1.MODERN)
        assert supervisor.expect(v1.Reply)[1] == b'"result":' + result + b"}"


def test_a_cancelled_call_is_a_closed_connection(
    supervisor: FakeSupervisor, server: ModernServer
) -> None:
    ready(supervisor, server, v1.MODERN)
    supervisor.call(1, "tools/call", {"name": "far__hang"}, era=v1.MODERN)
    server.await_asked("tools/call")
    busy = len(server.connections)
    supervisor.send(v1.Cancel(1), b"{}")
    (hanging,) = [one for one in server.connections if one.asked.tool == "hang"]
    hanging.connection.settimeout(WAIT_SECONDS)
    assert hanging.rfile.read(1) == b"", "the relay has closed it"
    assert busy >= 1
    assert not server.of("notifications/cancelled")


class TestListening:
    def test_to_changes_of_lists_and_resources(
        self, supervisor: FakeSupervisor, server: ModernServer
    ) -> None:
        ready(supervisor, server, v1.MODERN)
        supervisor.send(v1.Subscriptions(["file:///a"]))

        def wants_it() -> bool:
            wanted = [one.asked.message["params"]["notifications"] for one in server.listens]
            return any(one.get("resourceSubscriptions") == ["file:///a"] for one in wanted)

        wait_until(wants_it, WAIT_SECONDS)
        server.names.append("more")
        (one,) = [
            one for one in server.listens if "resourceSubscriptions" in str(one.asked.message)
        ]
        server.tell(one, "notifications/tools/list_changed", {})
        assert b"far__more" in supervisor.expect(v1.Catalogue, lambda m: m.settled)[1]

    def test_goes_on_when_the_request_breaks_off(
        self, supervisor: FakeSupervisor, server: ModernServer
    ) -> None:
        """And what was missed is fetched."""
        ready(supervisor, server, v1.LEGACY)
        wait_until(lambda: server.listens, WAIT_SECONDS)
        server.names.append("more")
        server.listens[-1].hang_up()
        assert b"far__more" in supervisor.expect(v1.Catalogue, lambda m: m.settled)[1]
        assert len(server.of("subscriptions/listen")) == 2

    def test_a_client_of_the_other_era_subscribes(
        self, supervisor: FakeSupervisor, server: ModernServer
    ) -> None:
        ready(supervisor, server, v1.LEGACY)
        server.await_asked("subscriptions/listen")
        supervisor.send(v1.Subscriptions(["u:1"]))
        assert not server.of("resources/subscribe")


class TestWhichEra:
    def test_a_refusal_costs_one_request_and_is_remembered(
        self, supervisor: FakeSupervisor
    ) -> None:
        with HttpMcp() as server:
            ready(supervisor, server, v1.MODERN)
            assert len(server.of("server/discover")) == 1
            learned, payload = supervisor.expect(v1.LearnedLists)
            with FakeSupervisor(supervisor.state_dir, generation=4) as second:
                second.configure(config(server))
                second.send(v1.KnownLists(learned.backend, learned.spec_hash), payload)
                second.session(era=v1.MODERN)
                server.await_asked("initialize", 2)
            assert len(server.of("server/discover")) == 1

    def test_silence_is_not_waited_out(self, supervisor: FakeSupervisor) -> None:
        with HttpMcp() as server:

            def silent(exchange: Exchange) -> bool:
                if exchange.asked.method == "server/discover":
                    server.ended.wait()
                return False

            server.before = silent
            ready(supervisor, server, v1.MODERN)
            supervisor.tool(1, "far__echo", text="x")
            assert supervisor.text(1) == "x"

    def test_a_server_of_no_era_is_told_by_its_answer_to_initialize(
        self, supervisor: FakeSupervisor
    ) -> None:
        with HttpMcp() as server:

            def refusing(exchange: Exchange) -> bool:
                refuse(exchange, -32000, f"never {exchange.asked.method}")
                return True

            server.before = refusing
            supervisor.configure(config(server))
            supervisor.session()
            state, _ = supervisor.expect(v1.BackendState, lambda m: m.last_error is not None)
            assert "never initialize" in (state.last_error or "")
            assert len(server.of("server/discover")) == 1


def test_a_modern_client_of_the_sdks_server() -> None:
    """The SDK's servers speak both eras: they are spoken to in the client's."""
    with sdk_server("http") as url, Relay(configuration({"far": {"url": url}})) as relay:
        client = relay.client
        client.modern("server/discover")
        assert "far__echo" in names(client.modern("tools/list")["tools"])
        arguments = {"name": "far__count", "arguments": {}}
        first, second = (
            client.modern("tools/call", arguments),
            client.modern("tools/call", arguments),
        )
        assert (text_of(first), text_of(second)) == ("none 1", "none 2"), "no session"
        assert text_of(client.modern("tools/call", {**arguments, "name": "far__pid"})).isdigit()
