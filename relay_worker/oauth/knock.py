"""The first words to a server, so that it asks for a login. For relayctl."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Final

import httpx2
import msgspec
from mcp.client.auth import OAuthClientProvider, OAuthFlowError

from relay_worker.backends.client import MODERN_PROTOCOL
from relay_worker.backends.remote.client import Failed, Trace, exchange, make
from relay_worker.backends.remote.messages import SESSION_HEADER

HTTP_SECONDS_MAX: Final = 30.0

_WHO: Final = {"name": "relayctl", "version": "1"}
_FIRST: Final = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": _WHO},
}
_INITIALIZED: Final = {"jsonrpc": "2.0", "method": "notifications/initialized"}
_LIST: Final = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}
_MODERN_LIST: Final = {
    **_LIST,
    "params": {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": MODERN_PROTOCOL,
            "io.modelcontextprotocol/clientInfo": _WHO,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    },
}
_HEADERS: Final = {
    "accept": "application/json, text/event-stream",
    "content-type": "application/json",
}
_STREAM: Final = {"accept": "text/event-stream"}
_MODERN_HEADERS: Final = {"mcp-protocol-version": MODERN_PROTOCOL, "mcp-method": "tools/list"}


async def knock(
    kind: str,
    url: str,
    headers: Mapping[str, str],
    provider: OAuthClientProvider,
    answered: Callable[[], bool],
) -> int:
    """Begin as a client does until somebody wants a login and it is *answered*; return the status
    in the end. Some servers want one at once, some to begin a session, some to list their tools.

    Raises:
        Failed: the server cannot be reached, or fails.
        Unusable: the environment has a proxy or certificates that cannot be used.
        OAuthFlowError: somebody refused.
    """
    async with make(headers, provider) as client:
        client.timeout = HTTP_SECONDS_MAX
        if kind == "sse":  # there is nowhere to post to before the stream is open
            return (await _ask(client, "GET", url, None, _STREAM)).status_code
        response = await _post(client, url, _FIRST, {})
        if answered():
            await _leave(client, url, response)
        elif response.is_success:
            session = _session(response)
            await _post(client, url, _INITIALIZED, session)
            listed = await _post(client, url, _LIST, session)
            await _leave(client, url, response)
            response = listed
        else:
            response = await _post(client, url, _MODERN_LIST, _MODERN_HEADERS)
    return response.status_code


async def _post(
    client: httpx2.AsyncClient, url: str, message: object, headers: Mapping[str, str]
) -> httpx2.Response:
    body = msgspec.json.encode(message)
    return await _ask(client, "POST", url, body, {**_HEADERS, **headers})


async def _ask(
    client: httpx2.AsyncClient, verb: str, url: str, body: bytes | None, headers: Mapping[str, str]
) -> httpx2.Response:
    """Send a request; the answer's headers are all that is read of it."""
    async with exchange(client, verb, url, headers=headers, body=body, trace=Trace()) as response:
        return response


def _session(response: httpx2.Response) -> dict[str, str]:
    name = response.headers.get(SESSION_HEADER)
    return {SESSION_HEADER: name} if name else {}


async def _leave(client: httpx2.AsyncClient, url: str, response: httpx2.Response) -> None:
    """Have the server forget the session it began, if it takes our tokens for that."""
    if session := _session(response):
        with contextlib.suppress(Failed, OAuthFlowError):
            await _ask(client, "DELETE", url, None, session)
