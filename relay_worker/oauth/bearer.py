"""Puts the access token of a login on each request, and has it refreshed when it is due.

In the HTTP thread. Not the SDK's provider itself: that one lets requests go one at a time, each
until its answer begins, and a call may take hours. What is missing only a user can give: then the
request goes without, and the server's refusal says so.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final, TypeAlias

import httpx2

from relay_worker.backends.remote.client import Failed
from relay_worker.backends.remote.messages import Failure, Fault
from relay_worker.oauth import files

EARLY_SECONDS: Final = 30.0
"""A token that expires sooner than this is refreshed at once; one that is short-lived after half of
its time.
"""

UNAUTHORIZED: Final = 401

FAREWELL: Final = "DELETE"
"""Is no reason to fetch a token: nobody would be there any more to keep it, and the old one is void
once another is given.
"""

Report: TypeAlias = Callable[[str, Exception], None]
Renew: TypeAlias = Callable[[Path, str, str, Report], Awaitable[files.Stored | None]]


class Bearer(httpx2.Auth):
    """The login at *path* for *url*. *hide* gets what must not be logged, *report* what went wrong
    though a request goes on.
    """

    def __init__(
        self, url: str, path: str, hide: Callable[[Iterable[str]], None], report: Report
    ) -> None:
        self._url = url
        self._path = Path(path)
        self._hide = hide
        self._report = report
        self._renewal: asyncio.Task[Failure | None] | None = None
        self._seen: object = None
        self._token = ""
        self._refresh_at: float | None = None
        self._expires_at = 0.0

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Send *request*, a second time where the token turns out to be no good any more."""
        if request.method == FAREWELL:
            yield _with(request, self._token)
            return
        token = await self._current()
        response = yield _with(request, token)
        if response.status_code == UNAUTHORIZED:
            # Without a token: somebody may have logged in meanwhile, and does so only once.
            renewed = await (self._renew(token) if token else self._current())
            if renewed and renewed != token:
                yield _with(request, renewed)

    async def _current(self) -> str:
        self._load()
        if self._token and self._refresh_at is not None and time.time() > self._refresh_at:
            try:
                return await self._renew(self._token)
            except Failed:  # the one there is may still be good for a while
                if time.time() >= self._expires_at:
                    raise
        return self._token

    async def _renew(self, stale: str) -> str:
        """Return another token than *stale*, or that one where no other is to be had. All who ask
        while one is being fetched get that, or the same failure; and who gives up waiting does not
        end it, as the token it is fetched with is good only once.

        Raises:
            Failed: it may be had later.
        """
        if stale != self._token:
            return self._token
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._fetch(stale))
            self._renewal.add_done_callback(self._fetched)
        failure = await asyncio.shield(self._renewal)
        if failure is not None:
            raise Failed(failure)
        return self._token

    async def _fetch(self, stale: str) -> Failure | None:
        # It loads the SDK, for which a login that is fresh has no use.
        renew = await asyncio.to_thread(_renewer)
        try:
            stored = await renew(self._path, self._url, stale, self._report)
        except files.Unavailable as error:
            return Failure(Fault.UNREACHED, str(error))
        if stored is not None:
            self._take(stored)
        return None

    def _fetched(self, _task: object) -> None:
        self._renewal = None

    def _load(self) -> None:
        seen = files.fingerprint(str(self._path))
        if seen == self._seen:
            return
        self._seen = seen
        stored = files.load(self._path)
        if stored is None or stored.url != self._url:
            self._token, self._refresh_at = "", None
        else:
            self._take(stored)

    def _take(self, stored: files.Stored) -> None:
        self._token = files.access_token(stored)
        self._refresh_at = None
        if stored.expires_at is not None:
            left = max(stored.expires_at - time.time(), 0.0)
            self._expires_at = stored.expires_at
            self._refresh_at = stored.expires_at - min(EARLY_SECONDS, left / 2)
        self._hide(files.secrets(stored))


def _renewer() -> Renew:
    from relay_worker.oauth.refresh import renew  # noqa: PLC0415 - it loads the SDK

    return renew


def _with(request: httpx2.Request, token: str) -> httpx2.Request:
    if token:
        request.headers["authorization"] = f"Bearer {token}"
    return request
