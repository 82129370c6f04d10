"""A login by the SDK's OAuth flow: a browser for the user, and a server on this machine that the
authorization server sends it back to. For relayctl, and never within a relay.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import httpx2
import msgspec
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, OAuthFlowError
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata
from pydantic import AnyUrl

from relay_worker.oauth import files
from relay_worker.oauth.provider import Memory, to_store

LOGIN_SECONDS_MAX: Final = 300.0
"""How long the user may take in the browser."""

HTTP_SECONDS_MAX: Final = 30.0

REQUEST_LINE_BYTES_MAX: Final = 16 << 10

CALLBACK: Final = "/callback"

_FIRST: Final = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "relayctl", "version": "1"},
    },
}
_HEADERS: Final = {"accept": "application/json, text/event-stream"}
_PAGE: Final = b"<!doctype html><title>Relay</title><p>%b You can close this window."


class LoginFailed(Exception):
    """There was no login; the text says why."""


class Wishes(msgspec.Struct, frozen=True):
    """What the user wants otherwise: a client registered before, a port, a scope."""

    client_id: str | None = None
    client_secret: str | None = None
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
                token_endpoint_auth_method="client_secret_post" if wishes.client_secret else "none",
                redirect_uris=[back],
            )
        metadata = OAuthClientMetadata(
            client_name="Relay", redirect_uris=[back], scope=wishes.scope
        )

        async def redirect(address: str) -> None:
            show(address)

        provider = OAuthClientProvider(url, metadata, memory, redirect, callback.result)
        try:
            status = await _knock(url, headers, provider)
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


async def _knock(url: str, headers: Mapping[str, str], provider: OAuthClientProvider) -> int:
    """Begin a session, as whoever wants a login says so then; return the status in the end."""
    async with httpx2.AsyncClient(
        headers={**headers, **_HEADERS}, timeout=HTTP_SECONDS_MAX, auth=provider
    ) as client:
        async with client.stream("POST", url, json=_FIRST) as response:
            status = response.status_code
            session = response.headers.get("mcp-session-id")
        if session:
            with contextlib.suppress(httpx2.HTTPError):
                await client.delete(url, headers={"mcp-session-id": session})
    return status


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
