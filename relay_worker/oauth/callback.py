"""The server on this machine that a login sends the user's browser back to. For relayctl."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Final
from urllib.parse import parse_qs, urlsplit

from mcp.client.auth import AuthorizationCodeResult, OAuthFlowError

LOGIN_SECONDS_MAX: Final = 300.0
"""How long the user may take in the browser."""

REQUEST_LINE_BYTES_MAX: Final = 16 << 10

CALLBACK: Final = "/callback"

_PAGE: Final = b"<!doctype html><title>Relay</title><p>%b You can close this window."


class LoginFailed(Exception):
    """There was no login; the text says why."""


class Callback:
    """The server that the user's browser is sent back to."""

    def __init__(self) -> None:
        self._result: asyncio.Future[AuthorizationCodeResult] = (
            asyncio.get_running_loop().create_future()
        )
        self._state = ""

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

    def expect(self, address: str) -> None:
        """The user is being sent to *address*: only who comes back from there is meant."""
        self._state = parse_qs(urlsplit(address).query).get("state", [""])[0]

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
        # Any page in the browser may come here; a refusal may be without the state.
        state = given.get("state", "" if "code" in given else self._state)
        if not self._state or not secrets.compare_digest(state.encode(), self._state.encode()):
            return b"This belongs to no login that is under way."
        if "code" in given:
            self._result.set_result(
                AuthorizationCodeResult(
                    code=given["code"], state=given.get("state"), iss=given.get("iss")
                )
            )
            return b"You have logged in; where relayctl runs it says whether that was all."
        reason = given.get("error_description") or given.get("error") or "no code came"
        self._result.set_exception(OAuthFlowError(f"the authorization server refused: {reason}"))
        return b"There was no login."
