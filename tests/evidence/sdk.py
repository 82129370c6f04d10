"""The SDK's transport for HTTP under its raw dispatcher, as the plan was to use it."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeAlias

import anyio
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.dispatcher import DispatchContext
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.transport_context import TransportContext

Dispatcher: TypeAlias = JSONRPCDispatcher[TransportContext]

CLIENT = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "evidence", "version": "1"},
}


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Dispatcher]:
    """A dispatcher whose session with the server at *url* has begun."""
    async with streamable_http_client(url, max_sse_event_size=None) as (read, write):
        dispatcher = Dispatcher(read, write)
        async with anyio.create_task_group() as group:
            await group.start(dispatcher.run, _asked, _notified)
            await dispatcher.send_raw_request("initialize", CLIENT)
            await dispatcher.notify("notifications/initialized", None)
            yield dispatcher
            group.cancel_scope.cancel()


async def call(dispatcher: Dispatcher, tool: str, seconds: float) -> dict[str, Any]:
    """Call a tool, and wait for so long."""
    params = {"name": tool, "arguments": {"text": "x"}}
    return await dispatcher.send_raw_request("tools/call", params, {"timeout": seconds})


def told(error: BaseException) -> str:
    """What an error says, of a group what the first in it says."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}".splitlines()[0]


async def _asked(
    _context: DispatchContext[TransportContext], _method: str, _params: Mapping[str, Any] | None
) -> dict[str, Any]:
    return {}


async def _notified(
    _context: DispatchContext[TransportContext], _method: str, _params: Mapping[str, Any] | None
) -> None:
    pass
