"""A login by the SDK's OAuth flow: a browser for the user, and a server on this machine that the
authorization server sends it back to. For relayctl, and never within a relay.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import httpx2
import msgspec
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, OAuthFlowError
from mcp.client.auth.oauth2 import OAuthContext
from mcp.client.auth.utils import union_scopes
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata
from pydantic import AnyUrl

from relay_worker.backends.client import MODERN_PROTOCOL
from relay_worker.backends.remote.messages import SESSION_HEADER
from relay_worker.oauth import files
from relay_worker.oauth.provider import Memory, to_store

LOGIN_SECONDS_MAX: Final = 300.0
"""How long the user may take in the browser."""

HTTP_SECONDS_MAX: Final = 30.0

REQUEST_LINE_BYTES_MAX: Final = 16 << 10

CALLBACK: Final = "/callback"

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
_HEADERS: Final = {"accept": "application/json, text/event-stream"}
_MODERN_HEADERS: Final = {"mcp-protocol-version": MODERN_PROTOCOL, "mcp-method": "tools/list"}
_PAGE: Final = b"<!doctype html><title>Relay</title><p>%b You can close this window."


class LoginFailed(Exception):
    """There was no login; the text says why."""


class Wishes(msgspec.Struct, frozen=True):
    """What the user wants otherwise: a client registered before, or described at an address, a
    port, more than the scopes the server names.
    """

    client_id: str | None = None
    client_secret: str | None = None
    client_metadata_url: str | None = None
    port: int = 0
    scope: str | None = None

    def __repr__(self) -> str:
        return "Wishes()"


async def log_in(
    url: str,
    headers: Mapping[str, str],
    path: Path,
    wishes: Wishes,
    show: Callable[[str], None],
) -> None:
    """Have the user log in at the server *url* and keep the tokens at *path*; *show* gets the
    address to open.

    Raises:
        LoginFailed: the server wants none, or somebody refused, or it took too long.
        OSError: the tokens cannot be written.
    """
    callback = Callback()
    async with callback.listening(wishes.port) as port:
        memory = Memory(None)
        back = AnyUrl(f"http://localhost:{port}{CALLBACK}")
        if wishes.client_id:
            memory.client = OAuthClientInformationFull(
                client_id=wishes.client_id,
                client_secret=wishes.client_secret,
                token_endpoint_auth_method="client_secret_basic"
                if wishes.client_secret
                else "none",
                redirect_uris=[back],
            )
        metadata = OAuthClientMetadata(client_name="Relay", redirect_uris=[back])

        async def redirect(address: str) -> None:
            _settle_secret(provider.context)
            show(_widen(address, wishes.scope, provider.context))

        provider = OAuthClientProvider(
            url,
            metadata,
            memory,
            redirect,
            callback.result,
            client_metadata_url=wishes.client_metadata_url,
        )
        try:
            status = await _knock(url, headers, provider, lambda: memory.learned)
        except OAuthFlowError as error:
            raise LoginFailed(str(error)) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise LoginFailed(f"{url}: {str(error) or type(error).__name__}") from error
    if not memory.learned:
        raise LoginFailed(f"the server did not ask for a login; it answered HTTP {status}")
    if status in {401, 403}:
        raise LoginFailed(f"the server does not take the tokens: HTTP {status}")
    with files.alone(path) as held:
        if not held:
            raise LoginFailed("another program has locked the tokens; is one stopped?")
        files.save(path, to_store(url, memory, provider.context))


def _widen(address: str, more: str | None, context: OAuthContext) -> str:
    """Return the address to open, asking for *more* scopes than the server has named."""
    if not more:
        return address
    parts = urlsplit(address)
    query = parse_qs(parts.query, keep_blank_values=True)
    wanted = union_scopes(" ".join(query.get("scope", [])), more)
    context.client_metadata.scope = wanted  # what the tokens are for, where their server is silent
    query["scope"] = [wanted or ""]
    return urlunsplit(parts._replace(query=urlencode(query, doseq=True)))


def _settle_secret(context: OAuthContext) -> None:
    """A secret goes into a header, as every server has to take it, but where one says otherwise."""
    ways = context.oauth_metadata and context.oauth_metadata.token_endpoint_auth_methods_supported
    client = context.client_info
    if client is None or client.token_endpoint_auth_method != "client_secret_basic" or not ways:
        return
    if "client_secret_basic" not in ways and "client_secret_post" in ways:
        client.token_endpoint_auth_method = "client_secret_post"


async def _knock(
    url: str,
    headers: Mapping[str, str],
    provider: OAuthClientProvider,
    answered: Callable[[], bool],
) -> int:
    """Begin as a client does until somebody wants a login and it is *answered*; return the status
    in the end. Some servers want one at once, some to begin a session, some to list their tools.
    """
    async with httpx2.AsyncClient(
        headers={**headers, **_HEADERS}, timeout=HTTP_SECONDS_MAX, auth=provider
    ) as client:
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
    """Send a message; the answer's headers are all that is read of it."""
    async with client.stream("POST", url, json=message, headers=headers) as response:
        return response


def _session(response: httpx2.Response) -> dict[str, str]:
    name = response.headers.get(SESSION_HEADER)
    return {SESSION_HEADER: name} if name else {}


async def _leave(client: httpx2.AsyncClient, url: str, response: httpx2.Response) -> None:
    """Have the server forget the session it began."""
    if session := _session(response):
        with contextlib.suppress(httpx2.HTTPError):
            await client.delete(url, headers=session)


class Callback:
    """The server that the user's browser is sent back to."""

    def __init__(self) -> None:
        self._result: asyncio.Future[AuthorizationCodeResult] = (
            asyncio.get_running_loop().create_future()
        )

    @contextlib.asynccontextmanager
    async def listening(self, port: int) -> AsyncIterator[int]:
        """Listen on *port* of this machine, 0 for any; gives the port.

        Raises:
            LoginFailed: the port is taken.
        """
        try:
            server = await asyncio.start_server(
                self._serve, "127.0.0.1", port, limit=REQUEST_LINE_BYTES_MAX
            )
        except OSError as error:
            raise LoginFailed(f"port {port} of this machine: {error.strerror}") from error
        port = server.sockets[0].getsockname()[1]
        other = None
        with contextlib.suppress(OSError):  # localhost may be this one, and may not be there
            other = await asyncio.start_server(
                self._serve, "::1", port, limit=REQUEST_LINE_BYTES_MAX
            )
        try:
            yield port
        finally:
            server.close()
            if other is not None:
                other.close()

    async def result(self) -> AuthorizationCodeResult:
        """Wait for the user.

        Raises:
            OAuthFlowError: it was refused, or took too long.
        """
        try:
            async with asyncio.timeout(LOGIN_SECONDS_MAX):
                return await self._result
        except TimeoutError:
            raise OAuthFlowError(f"nobody logged in within {LOGIN_SECONDS_MAX:g} s") from None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            target = urlsplit(line.split(b" ")[1].decode("latin-1"))
            if target.path != CALLBACK:
                status, page = b"404 Not Found", b"There is nothing here."
            else:
                status, page = b"200 OK", self._take(parse_qs(target.query))
            body = _PAGE % page
            writer.write(
                b"HTTP/1.1 %b\r\ncontent-type: text/html\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%b" % (status, len(body), body)
            )
            await writer.drain()
        except (ConnectionError, ValueError, IndexError):
            pass  # no browser that was sent here
        finally:
            writer.close()

    def _take(self, query: Mapping[str, list[str]]) -> bytes:
        given = {name: values[0] for name, values in query.items()}
        if self._result.done():
            return b"This was done before."
        if "code" in given:
            self._result.set_result(
                AuthorizationCodeResult(
                    code=given["code"], state=given.get("state"), iss=given.get("iss")
                )
            )
            return b"You are logged in."
        reason = given.get("error_description") or given.get("error") or "no code came"
        self._result.set_exception(OAuthFlowError(f"the authorization server refused: {reason}"))
        return b"There was no login."
