"""HTTP with server-sent events, as servers of 2024-11-05 have it.

One stream brings all that the server says, answers too; its first event says where to post. The
stream is the session: when it ends, so does all that was under way, and there is no going on.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Final
from urllib.parse import urljoin

import httpx2

from relay_worker.backends.remote.channel import LISTEN, HttpChannel, Wiring, own_failure
from relay_worker.backends.remote.client import Failed, Trace, check, exchange, make, media_type
from relay_worker.backends.remote.delivery import EVENT_STREAM, JSON, wrong_type
from relay_worker.backends.remote.messages import Failure, Fault, Post
from relay_worker.backends.remote.sse import MESSAGE

ENDPOINT: Final = b"endpoint"

HEADERS: Final = {"content-type": JSON}


class SseChannel(HttpChannel):
    """Implements `messages.Channel`; it is lost with its stream."""

    def __init__(self, wiring: Wiring) -> None:
        super().__init__(wiring)
        self._client = make(wiring.address.headers, wiring.auth)
        self._endpoint: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._hear(self._listen())

    def listen(self, headers: Mapping[str, str]) -> None:
        """Nothing to do: it listens from the beginning."""

    def deafen(self) -> None:
        """Nothing to do: answers come the same way."""

    async def _leave(self, farewell: Mapping[str, str] | None) -> None:
        """Close all connections: the end of the stream is the end of the session."""
        await self._client.aclose()

    async def _listen(self) -> None:
        failure = Failure(Fault.CUT, "it ended the stream of events")
        try:
            trace = Trace()
            url = self._address.url
            async with exchange(self._client, "GET", url, headers=LISTEN, trace=trace) as response:
                await check(response, session=False)
                if media_type(response) != EVENT_STREAM:
                    raise wrong_type(response, "a stream of events")
                await self._follow(response)
        except Failed as failed:
            failure = failed.failure
        except Exception as error:  # noqa: BLE001 - a bug of ours, and all calls wait for answers
            failure = own_failure(error)
        self._inlet.tell(partial(self._listener.lost, failure))

    async def _follow(self, response: httpx2.Response) -> None:
        events = self._delivery.events()
        async for part in response.aiter_bytes():
            for event in events.feed(part):
                if event.kind == ENDPOINT and not self._endpoint.done():
                    self._endpoint.set_result(self._place(event.data.decode(errors="replace")))
                elif event.kind == MESSAGE and event.data:
                    await self._delivery.message(event.data, None)
                elif event.oversized:
                    self._inlet.tell(partial(self._listener.skipped, 1))

    def _place(self, given: str) -> str:
        """Return where to post to.

        Raises:
            Failed: it is no address, or another server's, which our headers are not for.
        """
        base = httpx2.URL(self._address.url)
        try:
            place = httpx2.URL(urljoin(self._address.url, given))
        except (ValueError, httpx2.InvalidURL) as error:
            text = "the address it wants messages posted to is none"
            raise Failed(Failure(Fault.REFUSED, text)) from error
        if (place.scheme, place.host, place.port) != (base.scheme, base.host, base.port):
            raise Failed(Failure(Fault.REFUSED, "it wants messages posted to another server"))
        return str(place)

    async def _send(self, post: Post) -> None:
        place = await asyncio.shield(self._endpoint)
        trace = self._trace(post)
        try:
            async with exchange(
                self._client, "POST", place, headers=HEADERS, body=post.body, trace=trace
            ) as response:
                await check(response, session=True)
        except Failed as failed:
            if failed.failure.fault is not Fault.EXPIRED or post.tag is None:
                raise
            self._give_up(failed.failure)
            raise Failed(Failure(Fault.UNREACHED, failed.failure.text)) from failed

    def _give_up(self, failure: Failure) -> None:
        """The server does not know its own stream any more, though that is open: another one may
        be better. What it has refused is told first, as that has certainly not run.
        """
        self._stop_hearing()
        tell = partial(self._inlet.tell, partial(self._listener.lost, failure))
        asyncio.get_running_loop().call_soon(tell)
