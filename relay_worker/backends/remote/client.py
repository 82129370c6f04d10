"""HTTP requests to one server, and what became of them, in the words of `messages`.

In the HTTP thread only. Proxies, their exceptions and certificates come from the environment, as
the HTTP library has it; the only times it keeps are those for making a connection. Whether a
request may have been sent is watched on the connection itself.
"""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import httpx2

from relay_worker.backends.remote import environment
from relay_worker.backends.remote.causes import failure_of
from relay_worker.backends.remote.messages import Failure, Fault

CONNECT_SECONDS_MAX: Final = 15.0
"""For name, connection, TLS and proxy."""

CONNECTIONS_MAX: Final = 256
"""Calls under way at one backend; the next one waits for a connection, as a call not yet sent."""

IDLE_CONNECTIONS_MAX: Final = 8
IDLE_SECONDS_MAX: Final = 30.0
"""A connection that was idle for longer is not used again: the server may be closing it."""

REDIRECTS_MAX: Final = 5

ERROR_BYTES_MAX: Final = 64 << 10
"""Read of an answer that is an error; `QUOTE_CHARS_MAX` of it are quoted."""

ERROR_SECONDS_MAX: Final = 5.0
"""For reading it: that it is an error is known before."""

QUOTE_CHARS_MAX: Final = 300

_SCOPE: Final = re.compile(r'\bscope="([\x21\x23-\x26\x28-\x5b\x5d-\x7e ]+)"')
"""What RFC 6750 allows: no quotes, no backslashes; and no apostrophe, as it goes between two of
these into a command that somebody will type.
"""

_NO_SUCH_THING: Final = re.compile(rb'"code"\s*:\s*-3260[12]\b')
"""Servers of both eras say with HTTP 404 that a method or a tool is unknown; the session is not."""

TUNNEL: Final = b"CONNECT"

KEEPALIVE_IDLE_SECONDS: Final = 30
KEEPALIVE_PROBE_SECONDS: Final = 10
KEEPALIVE_PROBES: Final = 6
"""A server that is gone without a word is noticed after a minute and a half: there is no time
limit for reading, as a call may take as long as it likes.
"""


class Failed(Exception):
    """A request has failed as `failure` says; `body` is what the server had to say about it."""

    def __init__(self, failure: Failure, body: bytes = b"") -> None:
        super().__init__(failure.text)
        self.failure = failure
        self.body = body


class Trace:
    """Whether the first byte of a request may have gone out; *on_sent* is called after its last.

    What only a proxy is asked, for a way to the server, does not count; and it gets a limit, as the
    library has none for that. `limit` is of whoever sends the request.
    """

    def __init__(self, on_sent: Callable[[], None] | None = None) -> None:
        self.began = False
        self.limit: asyncio.Timeout | None = None
        self._on_sent = on_sent
        self._tunnel = False

    async def __call__(self, name: str, info: Mapping[str, Any]) -> None:
        """Take note of a step of the HTTP library's."""
        if name.endswith("send_request_headers.started"):
            self._tunnel = info["request"].method == TUNNEL
            self.began = self.began or not self._tunnel
            self._limit(CONNECT_SECONDS_MAX if self._tunnel else None)
        elif name.endswith("receive_response_headers.complete") and self._tunnel:
            self._limit(None)
        elif name.endswith("send_request_body.complete") and not self._tunnel and self._on_sent:
            self._on_sent()
        elif name.endswith("connect_tcp.complete"):
            _keep_alive(info["return_value"].get_extra_info("socket"))

    def _limit(self, seconds: float | None) -> None:
        if self.limit is not None:
            now = asyncio.get_running_loop().time()
            self.limit.reschedule(None if seconds is None else now + seconds)


def make(headers: Mapping[str, str], auth: httpx2.Auth | None = None) -> httpx2.AsyncClient:
    """Return a client for one server that sends *headers* with each request.

    Raises:
        Unusable: what the environment says of proxies or certificates cannot be used.
    """
    with environment.blamed():
        return httpx2.AsyncClient(
            headers=_encoded(headers),
            auth=auth,
            timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS_MAX),
            verify=environment.certificates(),
            limits=httpx2.Limits(
                max_connections=CONNECTIONS_MAX,
                max_keepalive_connections=IDLE_CONNECTIONS_MAX,
                keepalive_expiry=IDLE_SECONDS_MAX,
            ),
            follow_redirects=False,
        )


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return headers as bytes, as browsers have them where they can; the library takes ASCII."""
    encoded = []
    for name, value in headers.items():
        try:
            raw = value.strip().encode("latin-1")
        except UnicodeEncodeError:
            raw = value.strip().encode("utf-8", "replace")
        encoded.append((name.encode(), raw))
    return encoded


@contextlib.asynccontextmanager
async def exchange(
    client: httpx2.AsyncClient,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
    trace: Trace,
) -> AsyncIterator[httpx2.Response]:
    """Send a request and give its response, of whatever status, before its body is read.

    Raises:
        Failed: it could not be sent, or the connection failed, also while the body was read.
    """
    response = None
    try:
        request = client.build_request(
            method, url, headers=_encoded(headers), content=body, extensions={"trace": trace}
        )
        response = await _send(client, request, trace)
        for _ in range(REDIRECTS_MAX):
            onward = _onward(response)
            if onward is None:
                break
            await response.aclose()
            response = await _send(client, onward, trace)
        yield response
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
        raise Failed(failure_of(error, began=trace.began)) from error
    finally:
        if response is not None:
            await response.aclose()


async def _send(
    client: httpx2.AsyncClient, request: httpx2.Request, trace: Trace
) -> httpx2.Response:
    try:
        async with asyncio.timeout(None) as trace.limit:
            return await client.send(request, stream=True)
    except TimeoutError as error:
        text = f"no answer within {CONNECT_SECONDS_MAX:g} s"
        raise httpx2.ProxyError(text) from error


async def check(response: httpx2.Response, *, session: bool) -> None:
    """See that *response* is a success; *session*: the request was made within one.

    Raises:
        Failed: it is not.
    """
    status = response.status_code
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise Failed(Failure(Fault.REFUSED, _redirected(response), status))
    body = await _error_body(response)
    quote = "" if media_type(response) == "text/html" else _quote(body)
    what = f"HTTP {status} {response.reason_phrase}".rstrip()
    lost = status == 404 or (status == 400 and "session" in quote.lower())
    if session and lost and not _NO_SUCH_THING.search(body):
        raise Failed(Failure(Fault.EXPIRED, f"it no longer knows the session ({what})", status))
    text = f"it answered {what}" + (f": {quote}" if quote else "")
    wait = _retry_after(response)
    if wait:
        text += f" (to be tried again after {wait:g} s)"
    if status == 403 and (scope := _missing_scope(response)):
        # What a server says is to be typed into a shell.
        text += f"; for that, log in again: relayctl backend login NAME --scope '{scope}'"
    if status == 401:
        raise Failed(Failure(Fault.LOGIN, text, status))
    raise Failed(Failure(Fault.REFUSED if status < 500 else Fault.FAILED, text, status, wait), body)


async def read(response: httpx2.Response, bytes_max: int) -> bytes | None:
    """Return the body, or None where it is larger."""
    parts = []
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > bytes_max:
            return None
        parts.append(part)
    return b"".join(parts)


def media_type(response: httpx2.Response) -> str:
    """Return what the response says its body is, without parameters."""
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _onward(response: httpx2.Response) -> httpx2.Request | None:
    """Return the request that follows a redirect, where it is the same one at the same server:
    headers and body are for nobody else.
    """
    onward = response.next_request
    if onward is None or onward.method != response.request.method:
        return None
    origins = [(url.scheme, url.host, url.port) for url in (onward.url, response.request.url)]
    return onward if origins[0] == origins[1] else None


def _redirected(response: httpx2.Response) -> str:
    if (onward := response.next_request) is None:
        return f"it answered HTTP {response.status_code}"
    place = onward.url.copy_with(query=None, userinfo=b"", fragment=None)
    return f"it redirects to {place}; set that as its url if it is the right one"


async def _error_body(response: httpx2.Response) -> bytes:
    body = b""
    with contextlib.suppress(httpx2.HTTPError, TimeoutError):
        async with asyncio.timeout(ERROR_SECONDS_MAX):
            async for part in response.aiter_bytes():
                body += part
                if len(body) > ERROR_BYTES_MAX:
                    break
    return body[:ERROR_BYTES_MAX]


def _quote(body: bytes) -> str:
    """Return the beginning of an error's body in one line."""
    text = " ".join(body.decode(errors="replace").split())
    return text if len(text) <= QUOTE_CHARS_MAX else text[:QUOTE_CHARS_MAX] + "…"


def _missing_scope(response: httpx2.Response) -> str:
    """Return the scope that the server says our login lacks, if it says so."""
    challenge = response.headers.get("www-authenticate", "")
    found = _SCOPE.search(challenge)
    return found[1] if found and "insufficient_scope" in challenge else ""


def _retry_after(response: httpx2.Response) -> float:
    """Return the seconds the server asks to wait; a date counts as none."""
    value = response.headers.get("retry-after", "").strip()
    return float(value) if value.isdigit() and len(value) < 6 else 0.0


def _keep_alive(connection: object) -> None:
    """Have the kernel notice a peer that is gone."""
    if not isinstance(connection, socket.socket) or connection.family == socket.AF_UNIX:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_SECONDS),
        ("TCP_KEEPINTVL", KEEPALIVE_PROBE_SECONDS),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
    ):
        if option := getattr(socket, name, None):
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
