"""The bridge's HTTP side: sessions, streams, status codes. Nothing of MCP is decided here."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    InboundLadderRejection,
    classify_inbound_request,
)
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    PROTOCOL_VERSION_META_KEY,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_MODERN_VERSION
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.conformance.bridge.child import Child, Exchange
from tests.conformance.bridge.keys import CANCELLED, Json, is_answer, is_request

SESSION: Final = "mcp-session-id"
VERSION: Final = "mcp-protocol-version"
EVENTS: Final = "text/event-stream"
HEADER_MISMATCH: Final = -32020
_META: Final[Json] = {
    PROTOCOL_VERSION_META_KEY: LATEST_MODERN_VERSION,
    CLIENT_INFO_META_KEY: {"name": "conformance-bridge", "version": "1.0.0"},
    CLIENT_CAPABILITIES_META_KEY: {"elicitation": {}, "sampling": {}, "roots": {}},
}
_LOCAL: Final = TransportSecuritySettings(
    enable_dns_rebinding_protection=True,
    allowed_hosts=["127.0.0.1:*", "localhost:*", "[::1]:*"],
    allowed_origins=["http://127.0.0.1:*", "http://localhost:*", "http://[::1]:*"],
)


class Bridge:
    """All sessions of one server, which is started with *argv*."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = argv
        self._sessions: dict[str, Child] = {}
        self._shared: asyncio.Task[Child] | None = None
        self._guard = TransportSecurityMiddleware(_LOCAL)

    def app(self) -> Starlette:
        """The bridge as an ASGI application."""
        methods = ["GET", "POST", "DELETE"]
        return Starlette(routes=[Route("/mcp", self.handle, methods=methods)])

    async def handle(self, request: Request) -> Response:
        """Answer one HTTP request."""
        refusal = await self._guard.validate_request(request, is_post=request.method == "POST")
        if refusal is not None:
            return refusal
        version = request.headers.get(VERSION)
        if version is not None and version not in HANDSHAKE_PROTOCOL_VERSIONS:
            return await self._modern(request)
        name = request.headers.get(SESSION)
        if request.method == "POST" and name is None:
            return await self._opened(request)
        if name is None:
            return Response("no session", 400)
        if name not in self._sessions:
            return Response("no such session", 404)
        child = self._sessions[name]
        match request.method:
            case "DELETE":
                await self._sessions.pop(name).end()
                return Response(status_code=204)
            case "GET":
                return StreamingResponse(_standing(child), media_type=EVENTS)
        return await self._posted(request, child, await request.json())

    async def _opened(self, request: Request) -> Response:
        message = await request.json()
        if not isinstance(message, dict) or message.get("method") != "initialize":
            return Response("no session", 400)
        name, child = uuid.uuid4().hex, await Child.start(self._argv)
        self._sessions[name] = child
        answer = await child.open(message).inbox.get()
        return JSONResponse(answer, headers={SESSION: name})

    async def _posted(self, request: Request, child: Child, message: Json) -> Response:
        if is_request(message):
            return await _answered(request, child, child.open(message), modern=False)
        if message.get("method") == CANCELLED:
            child.cancel(message)
        else:
            child.send(message)
        return Response(status_code=202)

    async def _modern(self, request: Request) -> Response:
        if request.method != "POST":
            return Response(status_code=405, headers={"Allow": "POST"})
        message = await request.json()
        if not is_request(message):
            return Response(status_code=202)
        # The pipe has no headers, so only here can they be compared with the body.
        verdict = classify_inbound_request(message, headers=dict(request.headers))
        if isinstance(verdict, InboundLadderRejection) and verdict.code == HEADER_MISMATCH:
            error = {"code": verdict.code, "message": verdict.message}
            return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "error": error}, 400)
        if self._shared is None:
            self._shared = asyncio.create_task(self._start_shared())
        child = await self._shared
        return await _answered(request, child, child.open(message), modern=True)

    async def _start_shared(self) -> Child:
        """Open the pipe as a modern client does. The SDK's server takes its era from that, and the
        suite is many clients, each with other capabilities: a pipe has one, who has them all.
        """
        child = await Child.start(self._argv)
        for method in ("server/discover", "tools/list"):
            params = {"_meta": _META}
            opening = {"jsonrpc": "2.0", "id": "bridge", "method": method, "params": params}
            await child.open(opening).inbox.get()
        return child


async def _answered(
    request: Request, child: Child, exchange: Exchange, *, modern: bool
) -> Response:
    """A stream until the answer comes; but in the modern era JSON, and the status that goes with
    an error, if the answer is the first that comes.
    """
    first = await _first(request, exchange)
    if first is None:
        child.leave(exchange, cancel=modern)
        return Response(status_code=499)
    if modern and is_answer(first):
        code = first.get("error", {}).get("code")
        return JSONResponse(first, ERROR_CODE_HTTP_STATUS.get(code, 200))
    return StreamingResponse(_stream(child, exchange, first, modern=modern), media_type=EVENTS)


async def _first(request: Request, exchange: Exchange) -> Json | None:
    """The first message, or None if the client has gone."""
    message = asyncio.create_task(exchange.inbox.get())
    gone = asyncio.create_task(_gone(request))
    await asyncio.wait((message, gone), return_when=asyncio.FIRST_COMPLETED)
    gone.cancel()
    if message.done():
        return message.result()
    message.cancel()
    return None


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _event(message: Any) -> str:
    return f"event: message\ndata: {json.dumps(message)}\n\n"


async def _stream(
    child: Child, exchange: Exchange, first: Json, *, modern: bool
) -> AsyncIterator[str]:
    message = first
    try:
        yield _event(message)
        while not is_answer(message):
            message = await exchange.inbox.get()
            yield _event(message)
    finally:
        child.leave(exchange, cancel=modern)


async def _standing(child: Child) -> AsyncIterator[str]:
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            yield _event(await child.aside.get())
