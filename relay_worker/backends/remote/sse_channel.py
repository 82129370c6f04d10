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

from relay_worker.backends.remote.client import Failed, Trace, check, exchange, make, media_type
from relay_worker.backends.remote.delivery import EVENT_STREAM, JSON, Delivery, wrong_type
from relay_worker.backends.remote.inlet import Inlet
from relay_worker.backends.remote.messages import Address, Failure, Fault, Listener, Post
from relay_worker.backends.remote.sse import MESSAGE
from relay_worker.backends.remote.thread import HttpThread

ENDPOINT: Final = b"endpoint"

HEADERS: Final = {"content-type": JSON}
LISTEN: Final = {"accept": EVENT_STREAM, "cache-control": "no-store"}


class SseChannel:
    """Implements `messages.Channel`; it is lost with its stream."""

    def __init__(
        self,
        address: Address,
        thread: HttpThread,
        inlet: Inlet,
        listener: Listener,
        auth: httpx2.Auth | None,
    ) -> None:
        self._address = address
        self._thread = thread
        self._inlet = inlet
        self._listener = listener
        self._delivery = Delivery(inlet, listener, address.frame_bytes_max)
        self._client = make(address.headers, auth)
        loop = asyncio.get_running_loop()
        self._endpoint: asyncio.Future[str] = loop.create_future()
        self._first: asyncio.Task[None] | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._ear = loop.create_task(self._listen())

    def post(self, post: Post) -> None:
        """Send a frame."""
        task = asyncio.get_running_loop().create_task(self._carry(post))
        self._tasks[post.number] = task
        if post.first:
            self._first = task

    def abort(self, number: int) -> None:
        """Let go of a frame."""
        if task := self._tasks.pop(number, None):
            task.cancel()

    def listen(self, headers: Mapping[str, str]) -> None:
        """Nothing to do: it listens from the beginning."""

    def deafen(self) -> None:
        """Nothing to do: answers come the same way."""

    def close(self, farewell: Mapping[str, str] | None) -> None:
        """Let go of everything; the end of the stream is the end of the session."""
        self._ear.cancel()
        for number in list(self._tasks):
            self.abort(number)
        self._thread.say_last(self._client.aclose())

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
            failure = Failure(Fault.CUT, f"the relay failed ({type(error).__name__}: {error})")
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
            Failed: it is another server, which our headers are not for.
        """
        base = httpx2.URL(self._address.url)
        place = httpx2.URL(urljoin(self._address.url, given))
        if (place.scheme, place.host, place.port) != (base.scheme, base.host, base.port):
            raise Failed(Failure(Fault.REFUSED, "it wants messages posted to another server"))
        return str(place)

    async def _carry(self, post: Post) -> None:
        failure = None
        try:
            place = await asyncio.shield(self._endpoint)
            if self._first is not None and not (post.first or post.urgent):
                await asyncio.wait({self._first})
            trace = Trace(lambda: self._inlet.tell(partial(self._listener.sent, post.number)))
            async with exchange(
                self._client, "POST", place, headers=HEADERS, body=post.body, trace=trace
            ) as response:
                await check(response, session=True)
        except Failed as failed:
            failure = failed.failure
        except Exception as error:  # noqa: BLE001 - a bug of ours, and the call waits for an answer
            failure = Failure(Fault.CUT, f"the relay failed ({type(error).__name__}: {error})")
        if self._tasks.pop(post.number, None) is not None:
            self._inlet.tell(partial(self._listener.done, post.number, failure))
