"""New tokens for old ones, by the SDK. Loads the SDK: not before a token has to be refreshed.

A server takes a refresh token only once, and other relays have the same: so it is done under the
lock of the file, and whoever had to wait for it takes what the other one got.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx2

from relay_worker.oauth import files
from relay_worker.oauth.files import Stored, Unavailable
from relay_worker.oauth.provider import Memory, refresher, to_store

HTTP_SECONDS_MAX: Final = 30.0
"""For all that an authorization server has to say; until then no other relay gets a token."""


async def renew(
    path: Path, url: str, stale: str, report: Callable[[str, Exception], None]
) -> Stored | None:
    """Return the login at *path* with another access token than *stale*, refreshed where nobody
    else has done it; None where only the user can do something. *report* is told of tokens that
    are good and cannot be kept.

    Raises:
        Unavailable: trying again later may help.
    """
    lock = files.alone(path)
    try:
        held = await asyncio.to_thread(lock.__enter__)
    except OSError as error:
        raise Unavailable(f"the tokens cannot be locked: {error}") from error
    try:
        stored = files.load(path)
        if stored is None or stored.url != url or files.access_token(stored) != stale:
            return stored
        if not held:
            raise Unavailable("another program has locked the tokens; is one stopped?")
        renewed = await _refresh(url, stored)
        if renewed is not None:
            try:
                await asyncio.to_thread(files.save, path, renewed)
            except OSError as error:  # the old ones are void already
                report("while new tokens were kept; the next relay has to log in anew", error)
        return renewed
    finally:
        lock.__exit__(None, None, None)


async def _refresh(url: str, stored: Stored) -> Stored | None:
    memory = Memory(stored)
    provider = refresher(url, stored, memory)
    request = httpx2.Request("POST", url)
    flow = provider.async_auth_flow(request)
    try:
        async with (
            asyncio.timeout(HTTP_SECONDS_MAX),
            httpx2.AsyncClient(timeout=HTTP_SECONDS_MAX) as client,
        ):
            outgoing = await anext(flow)
            while outgoing is not request:
                response = await client.send(outgoing)
                await response.aread()
                if response.status_code >= 500 or response.status_code == 429:
                    raise Unavailable(
                        f"its authorization server answered HTTP {response.status_code}"
                    )
                outgoing = await flow.asend(response)
    except TimeoutError as error:
        text = f"its authorization server has not answered within {HTTP_SECONDS_MAX:g} s"
        raise Unavailable(text) from error
    except httpx2.HTTPError as error:
        text = str(error) or type(error).__name__
        raise Unavailable(f"its authorization server cannot be reached ({text})") from error
    finally:
        await flow.aclose()
    if not memory.learned:
        return None
    return to_store(url, memory, provider.context)
