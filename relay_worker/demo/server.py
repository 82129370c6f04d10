"""The demo backend's answers: lines in, lines out. Time is read, but nothing here waits."""

import heapq
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from relay_worker.demo.offer import COUNTDOWN_SECONDS_MAX, PROMPT, README, RESOURCE, TOOLS

VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
RESOURCE_NOT_FOUND: Final = -32002

Params = Mapping[str, Any]


class Refused(Exception):
    """The request is the client's mistake; args are the JSON-RPC code and message."""


class Message(msgspec.Struct, frozen=True):
    """What a client sends; without a method it is an answer, without an id a notification."""

    method: str | None = None
    id: str | int | None = None
    params: dict[str, Any] = {}


@dataclass(slots=True)
class Server:
    """The state of the one connection. `write` takes a whole line."""

    write: Callable[[bytes], None]
    count: int = 0
    counting: dict[str | int, Iterator[int]] = field(
        default_factory=dict
    )  # countdowns, by request id
    timers: list[tuple[float, int, str | int]] = field(
        default_factory=list
    )  # due, order, request id
    order: Iterator[int] = field(default_factory=itertools.count)

    def receive_line(self, line: bytes) -> None:
        """Take in one line; answers may come at once or later."""
        try:
            message = msgspec.json.decode(line, type=Message)
        except msgspec.ValidationError as error:
            self.respond_error(None, INVALID_REQUEST, f"not a JSON-RPC message: {error}")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.respond_error(None, PARSE_ERROR, f"not JSON: {error}")
        else:
            self._receive(message)

    def _receive(self, message: Message) -> None:
        if message.method is None:
            return  # an answer, and this server never asks
        if message.id is not None:
            self._request(message.id, message.method, message.params)
        elif message.method == "notifications/cancelled":
            cancelled = message.params.get("requestId")
            if isinstance(cancelled, str | int):
                self.counting.pop(cancelled, None)

    def _request(self, request_id: str | int, method: str, params: Params) -> None:
        try:
            if method == "tools/call" and params.get("name") == "countdown":
                self._start_countdown(request_id, params)
            elif (handler := HANDLERS.get(method)) is not None:
                self.send({"id": request_id, "result": handler(self, params)})
            else:
                raise Refused(METHOD_NOT_FOUND, f"no method {method}")
        except Refused as refusal:
            self.respond_error(request_id, *refusal.args)

    def send(self, message: dict[str, Any]) -> None:
        """Write one JSON-RPC message."""
        self.write(msgspec.json.encode({"jsonrpc": "2.0", **message}) + b"\n")

    def respond_error(self, request_id: str | int | None, code: int, text: str) -> None:
        """Answer with a JSON-RPC error."""
        self.send({"id": request_id, "error": {"code": code, "message": text}})

    # -- the countdown, the one tool that takes time

    def _start_countdown(self, request_id: str | int, params: Params) -> None:
        seconds = argument(params, "seconds", int, 3)
        if not 0 <= seconds <= COUNTDOWN_SECONDS_MAX:
            raise Refused(INVALID_PARAMS, f"seconds has to be 0 to {COUNTDOWN_SECONDS_MAX}")
        token = table(params, "_meta").get("progressToken")
        self.counting[request_id] = self._countdown(request_id, seconds, token)
        self._tick(request_id)

    def _countdown(self, request_id: str | int, seconds: int, token: Any) -> Iterator[int]:
        for passed in range(seconds):
            yield passed
            if token is not None:
                progress = {"progressToken": token, "progress": passed + 1, "total": seconds}
                message = f"{seconds - passed - 1} s left"
                params = {**progress, "message": message}
                self.send({"method": "notifications/progress", "params": params})
        self.send({"id": request_id, "result": said(f"counted {seconds} s")})

    def _tick(self, request_id: str | int) -> None:
        countdown = self.counting.get(request_id)
        if countdown is None:
            return  # cancelled meanwhile
        if next(countdown, None) is None:
            del self.counting[request_id]
        else:
            heapq.heappush(self.timers, (time.monotonic() + 1.0, next(self.order), request_id))

    def seconds_to_next_timer(self) -> float | None:
        """How long run_timers() has nothing to do; None for ever."""
        return max(0.0, self.timers[0][0] - time.monotonic()) if self.timers else None

    def run_timers(self) -> None:
        """Let every countdown take the step that is due."""
        while self.timers and self.timers[0][0] <= time.monotonic():
            self._tick(heapq.heappop(self.timers)[2])


def said(text: str, structured: dict[str, Any] | None = None) -> dict[str, Any]:
    """A tool result with one text block."""
    result: dict[str, Any] = {"content": [{"type": "text", "text": text}]}
    return result if structured is None else {**result, "structuredContent": structured}


def table(params: Params, name: str) -> Params:
    """An object within params, empty if absent; Refused if it is something else."""
    value = params.get(name, {})
    if not isinstance(value, dict):
        raise Refused(INVALID_PARAMS, f"{name} has to be an object")
    return value


def argument(params: Params, name: str, kind: Any, default: Any = None) -> Any:
    """A tool's argument of the right JSON type; Refused if it is missing or of another."""
    value = table(params, "arguments").get(name, default)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise Refused(INVALID_PARAMS, f"argument {name} is missing or of the wrong type")
    return value


def call_tool(server: Server, params: Params) -> dict[str, Any]:
    """Run a tool that answers at once."""
    match params.get("name"):
        case "echo":
            return said(argument(params, "text", str))
        case "add":
            total = argument(params, "a", int | float) + argument(params, "b", int | float)
            return said(str(total), {"sum": total})
        case "counter":
            server.count += 1
            return said(str(server.count), {"count": server.count})
        case name:
            raise Refused(INVALID_PARAMS, f"no tool {name!r} here")


def initialize(server: Server, params: Params) -> dict[str, Any]:
    """The handshake: the client's version if it is known, else the latest."""
    asked = params.get("protocolVersion")
    return {
        "protocolVersion": asked if asked in VERSIONS else VERSIONS[-1],
        "capabilities": {"tools": {}, "resources": {}, "prompts": {}},
        "serverInfo": {"name": "relay-demo", "title": "Relay's demo backend", "version": "1"},
    }


def read_resource(server: Server, params: Params) -> dict[str, Any]:
    """The one resource."""
    if params.get("uri") != RESOURCE["uri"]:
        raise Refused(RESOURCE_NOT_FOUND, f"no resource {params.get('uri')!r} here")
    return {"contents": [{"uri": RESOURCE["uri"], "mimeType": "text/plain", "text": README}]}


def get_prompt(server: Server, params: Params) -> dict[str, Any]:
    """The one prompt."""
    if params.get("name") != PROMPT["name"]:
        raise Refused(INVALID_PARAMS, f"no prompt {params.get('name')!r} here")
    reader = table(params, "arguments").get("reader", "somebody who writes MCP servers")
    text = f"Read the resource {RESOURCE['uri']} and introduce Relay to {reader}."
    content = {"type": "text", "text": text}
    return {"messages": [{"role": "user", "content": content}]}


HANDLERS: Final[Mapping[str, Callable[[Server, Params], dict[str, Any]]]] = {
    "initialize": initialize,
    "ping": lambda server, params: {},
    "tools/list": lambda server, params: {"tools": TOOLS},
    "tools/call": call_tool,
    "resources/list": lambda server, params: {"resources": [RESOURCE]},
    "resources/templates/list": lambda server, params: {"resourceTemplates": []},
    "resources/read": read_resource,
    "prompts/list": lambda server, params: {"prompts": [PROMPT]},
    "prompts/get": get_prompt,
}
