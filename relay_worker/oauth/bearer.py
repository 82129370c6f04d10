"""Puts the access token of a login on each request, and has it refreshed when it is due.

In the HTTP thread. Not the SDK's provider itself: that one lets requests go one at a time, each
until its answer begins, and a call may take hours. What is missing only a user can give: then the
request goes without, and the server's refusal says so.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final

import httpx2

from relay_worker.backends.remote.client import Failed
from relay_worker.backends.remote.messages import Failure, Fault
from relay_worker.oauth import files

EARLY_SECONDS: Final = 30.0
"""A token that expires sooner than this is refreshed at once."""

UNAUTHORIZED: Final = 401


class Bearer(httpx2.Auth):
    """The login at *path* for *url*. *hide* gets what must not be logged."""

    def __init__(self, url: str, path: str, hide: Callable[[Iterable[str]], None]) -> None:
        self._url = url
        self._path = Path(path)
        self._hide = hide
        self._lock = asyncio.Lock()
        self._seen: object = None
        self._token = ""
        self._expires_at: float | None = None

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Send *request*, a second time where the token turns out to be no good any more."""
        token = await self._current()
        response = yield _with(request, token)
        if token and response.status_code == UNAUTHORIZED:
            renewed = await self._renew(token)
            if renewed and renewed != token:
                yield _with(request, renewed)

    async def _current(self) -> str:
        self._load()
        expires_at = self._expires_at
        if self._token and expires_at is not None and time.time() > expires_at - EARLY_SECONDS:
            return await self._renew(self._token)
        return self._token

    async def _renew(self, stale: str) -> str:
        """Return another token than *stale*, or that one where no other is to be had.

        Raises:
            Failed: it may be had later.
        """
        # It loads the SDK, for which a login that is fresh has no use.
        renew = await asyncio.to_thread(_renewer)
        async with self._lock:  # the others get what the first one got
            try:
                stored = await renew(self._path, self._url, stale)
            except files.Unavailable as error:
                raise Failed(Failure(Fault.UNREACHED, str(error))) from error
            if stored is not None:
                self._take(stored)
            return self._token

    def _load(self) -> None:
        seen = files.fingerprint(str(self._path))
        if seen == self._seen:
            return
        self._seen = seen
        stored = files.load(self._path)
        if stored is None or stored.url != self._url:
            self._token, self._expires_at = "", None
        else:
            self._take(stored)

    def _take(self, stored: files.Stored) -> None:
        self._token = files.access_token(stored)
        self._expires_at = stored.expires_at
        self._hide(files.secrets(stored))


def _renewer() -> Callable[[Path, str, str], Awaitable[files.Stored | None]]:
    from relay_worker.oauth.refresh import renew  # noqa: PLC0415 - it loads the SDK

    return renew


def _with(request: httpx2.Request, token: str) -> httpx2.Request:
    if token:
        request.headers["authorization"] = f"Bearer {token}"
    return request
