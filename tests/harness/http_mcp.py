"""An MCP server behind HTTP in the test's own process, which misbehaves as a test tells it to.

Legacy era, streamable HTTP with sessions. Every request is on record; `tools` say what a call of
that name does with the connection. Threads wait on events only, which `close` sets.
"""

import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.harness.processes import wait_until

JSON = "application/json"
EVENTS = "text/event-stream"
WAIT_SECONDS = 20.0

INIT = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {"listChanged": True}, "logging": {}},
    "serverInfo": {"name": "http-fixture", "version": "1"},
}


class Asked:
    """One request: its method, headers (lower case) and JSON body."""

    def __init__(self, verb: str, path: str, headers: Mapping[str, str], body: bytes) -> None:
        self.verb = verb
        self.path = path
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body
        is_json = self.headers.get("content-type") == JSON
        self.message: dict[str, Any] = json.loads(body) if is_json and body else {}

    @property
    def method(self) -> str | None:
        """The JSON-RPC method."""
        return self.message.get("method")

    @property
    def tool(self) -> str | None:
        """The tool that is called."""
        return self.message["params"]["name"] if self.method == "tools/call" else None

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the tool."""
        found: dict[str, Any] = self.message["params"].get("arguments", {})
        return found


class Exchange(BaseHTTPRequestHandler):
    """A request and the ways to answer it."""

    protocol_version = "HTTP/1.1"
    server: "HttpMcp"
    asked: Asked

    def setup(self) -> None:
        """Be known to the server, which breaks the connection off when it stops."""
        super().setup()
        self.server.connections.add(self)

    def finish(self) -> None:
        """Be forgotten."""
        self.server.connections.discard(self)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _take(self) -> None:
        size = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(size)
        if len(body) < size:  # let go of before it was wholly sent
            self.close_connection = True
            return
        self.asked = Asked(self.command, self.path, dict(self.headers.items()), body)
        self.server.take(self)

    do_GET = do_POST = do_DELETE = _take

    # -- answers

    def reply(self, body: bytes, kind: str = JSON, status: int = 200, **headers: str) -> None:
        """Send a whole response."""
        self.send_response(status)
        if kind:
            self.send_header("content-type", kind)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def result(self, result: Any, *, session: str | None = None) -> None:
        """Answer with a result, as JSON."""
        message = {"jsonrpc": "2.0", "id": self.asked.message["id"], "result": result}
        headers = {"mcp_session_id": session} if session else {}
        self.reply(json.dumps(message).encode(), JSON, 200, **headers)

    def text(self, text: str) -> None:
        """Answer a tool call."""
        self.result(text_result(text))

    def stream(self) -> None:
        """Begin a stream of events, which ends with the connection."""
        self.send_response(200)
        self.send_header("content-type", EVENTS)
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True

    def event(self, message: Any, *, id: str | None = None, retry: int | None = None) -> None:  # noqa: A002
        """Send one event: a message, or None for one without data."""
        lines = [f"id: {id}"] if id is not None else []
        lines += [f"retry: {retry}"] if retry is not None else []
        lines.append("data: " + ("" if message is None else json.dumps(message)))
        self.wfile.write(("\n".join(lines) + "\n\n").encode())
        self.wfile.flush()

    def answer_event(self, result: Any, **more: Any) -> None:
        """Send the answer as an event."""
        self.event({"jsonrpc": "2.0", "id": self.asked.message["id"], "result": result}, **more)

    def abort(self) -> None:
        """Break the connection off (RST)."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.server.connections.discard(self)
        os.close(self.connection.detach())  # close() would wait for the files made of it

    def hang_up(self) -> None:
        """End the connection, from another thread: a close alone would wait for its reads."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


Do = Callable[[Exchange], None]


def text_result(text: str) -> dict[str, Any]:
    """The result of a tool that says *text*."""
    return {"content": [{"type": "text", "text": text}]}


class HttpMcp(ThreadingHTTPServer):
    """The server, on a port of its own; `url` is its endpoint. A context manager.

    `sessions` are the names it knows; `before` is asked first about every request, and returns
    whether it has answered it. `names` are the tools it lists.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *, port: int = 0, stateful: bool = True, **tools: Do) -> None:
        self.asked: list[Asked] = []
        self.tools: dict[str, Do] = {"echo": echo, "session": session, **tools}
        self.names = list(self.tools)
        self.stateful = stateful
        self.sessions: list[str] = []
        self.ears: list[Exchange] = []
        self.before: Callable[[Exchange], bool] = lambda _exchange: False
        self.ended = threading.Event()
        self.connections: set[Exchange] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), Exchange)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/mcp"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop listening; what is being answered breaks off."""
        self.ended.set()
        self.shutdown()
        self.server_close()
        for exchange in list(self.connections):
            exchange.hang_up()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is gone is none of a test's concern."""

    def take(self, exchange: Exchange) -> None:
        """Answer a request."""
        asked = exchange.asked
        with self._lock:
            self.asked.append(asked)
        if self.before(exchange):
            return
        if asked.method == "initialize":
            self._initialize(exchange)
        elif self.stateful and asked.headers.get("mcp-session-id") not in self.sessions:
            exchange.reply(b"no such session", "text/plain", 404)
        elif asked.verb == "DELETE":
            self.sessions.remove(asked.headers["mcp-session-id"])
            exchange.reply(b"", "", 204)
        elif asked.verb == "GET":
            self._listen(exchange)
        elif "id" not in asked.message or "method" not in asked.message:
            exchange.reply(b"", "", 202)
        elif asked.tool is not None:
            self.tools[asked.tool](exchange)
        else:
            self._other(exchange)

    def say(self, message: dict[str, Any], **more: Any) -> None:
        """Say something by itself, once somebody listens."""
        wait_until(lambda: bool(self.ears), WAIT_SECONDS)
        self.ears[-1].event({"jsonrpc": "2.0", **message}, **more)

    def calls(self, tool: str) -> list[Asked]:
        """The calls of a tool so far."""
        return [asked for asked in self.asked if asked.tool == tool]

    def of(self, method: str) -> list[Asked]:
        """The requests with this JSON-RPC method, or HTTP verb, so far."""
        return [asked for asked in list(self.asked) if method in {asked.method, asked.verb}]

    def await_asked(self, method: str, count: int = 1) -> list[Asked]:
        """Wait for so many of them."""
        wait_until(lambda: len(self.of(method)) >= count, WAIT_SECONDS)
        return self.of(method)

    def _initialize(self, exchange: Exchange) -> None:
        if not self.stateful:
            return exchange.result(INIT)
        name = f"session-{len(self.of('initialize'))}"
        self.sessions.append(name)
        return exchange.result(INIT, session=name)

    def _listen(self, exchange: Exchange) -> None:
        exchange.stream()
        self.ears.append(exchange)
        self.ended.wait()

    def _other(self, exchange: Exchange) -> None:
        if exchange.asked.method == "tools/list":
            schema = {"type": "object"}
            tools = [{"name": name, "inputSchema": schema} for name in self.names]
            exchange.result({"tools": tools})
        else:
            exchange.result({})


def echo(exchange: Exchange) -> None:
    """Give the text back."""
    exchange.text(exchange.asked.arguments["text"])


def session(exchange: Exchange) -> None:
    """Name the session."""
    exchange.text(exchange.asked.headers.get("mcp-session-id", "none"))
