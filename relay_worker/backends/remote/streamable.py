"""Streamable HTTP: a request is a POST, its answer the body or a stream of events.

A stream that breaks off is gone on with where the server numbers its events (Last-Event-ID). What
the server says by itself comes on a stream of its own (GET), which is kept open.
"""

import asyncio
import contextlib
import random
from collections.abc import Mapping
from functools import partial
from typing import Final

import httpx2

from relay_worker.backends.remote.channel import LISTEN, HttpChannel, Wiring
from relay_worker.backends.remote.client import Failed, Trace, check, exchange, make, media_type
from relay_worker.backends.remote.delivery import EVENT_STREAM, JSON, wrong_type
from relay_worker.backends.remote.messages import (
    EVENT_HEADER,
    SESSION_HEADER,
    Failure,
    Fault,
    Post,
)
from relay_worker.backends.remote.sse import Events
from relay_worker.backends.remote.thread import LAST_WORDS_SECONDS_MAX

DELAY_SECONDS: Final = 1.0
"""Before a stream is opened again where the server says nothing about it; doubled each time."""

DELAY_SECONDS_MIN: Final = 0.01
"""Also where the server says that it may be opened at once, and ends it at once again."""

RESUME_ATTEMPTS_MAX: Final = 4
"""In a row without a single event, for a stream that is to bring an answer."""

DOUBLINGS_MAX: Final = 10

ASK: Final = {"accept": f"{JSON}, {EVENT_STREAM}", "content-type": JSON}


class StreamableChannel(HttpChannel):
    """Implements `messages.Channel`."""

    def __init__(self, wiring: Wiring) -> None:
        super().__init__(wiring)
        self._calls = make(wiring.address.headers, wiring.auth)
        # Of its own, so that an answer to the server never waits behind the call that needs it.
        self._urgent = make(wiring.address.headers, wiring.auth)

    def listen(self, headers: Mapping[str, str]) -> None:
        """Hear what the server says by itself."""
        self._hear(self._listen(headers))

    def deafen(self) -> None:
        """Hear it no longer."""
        self._stop_hearing()

    async def _leave(self, farewell: Mapping[str, str] | None) -> None:
        if farewell is not None:
            with contextlib.suppress(Failed, TimeoutError):
                async with (
                    asyncio.timeout(LAST_WORDS_SECONDS_MAX),
                    self._exchange(self._urgent, "DELETE", farewell, Trace()),
                ):
                    pass  # whatever it says to that
        await self._calls.aclose()
        await self._urgent.aclose()

    # ---- frames -----------------------------------------------------------------------------

    async def _send(self, post: Post) -> None:
        events = self._delivery.events()
        try:
            if await self._ask(post, events):
                return
        except Failed as failed:
            if failed.body and await self._delivery.refusal(failed.body, post.tag):
                return
            if failed.failure.fault is not Fault.CUT or not events.last_id:
                raise
        await self._resume(post, events)

    async def _ask(self, post: Post, events: Events) -> bool:
        """Send a frame; return whether all is said and done, else its stream has broken off."""
        client = self._urgent if post.urgent else self._calls
        headers = {**ASK, **post.headers}
        trace = self._trace(post)
        async with self._exchange(client, "POST", headers, trace, post.body) as response:
            await check(response, session=SESSION_HEADER in headers)
            if post.tag is None:
                return True
            if SESSION_HEADER not in headers and (name := response.headers.get(SESSION_HEADER)):
                self._inlet.tell(partial(self._listener.opened, name))
            kind = media_type(response)
            if kind == JSON:
                await self._delivery.answer(response, post.tag)
                return True
            if kind != EVENT_STREAM:
                raise wrong_type(response, "JSON or a stream of events")
            return await self._delivery.stream(response, events, post.tag)

    async def _resume(self, post: Post, events: Events) -> None:
        """Go on with a stream that has broken off before the answer.

        Raises:
            Failed: it cannot be gone on with.
        """
        reason = "it ended the stream before it had answered"
        failures = 0
        while events.last_id and failures < RESUME_ATTEMPTS_MAX:
            await self._pause(events, failures)
            before, events = events.last_id, events.onward()
            headers = {**LISTEN, **post.headers, EVENT_HEADER: events.last_id.decode("latin-1")}
            try:
                async with self._exchange(self._calls, "GET", headers, Trace()) as response:
                    await check(response, session=SESSION_HEADER in headers)
                    if await self._follow(response, events, post.tag):
                        return
            except Failed as failed:
                reason = failed.failure.text
                if failed.failure.fault is Fault.UNREADABLE:
                    raise
                if not failed.failure.passing:
                    break
            failures = 0 if events.last_id != before else failures + 1
        raise Failed(Failure(Fault.CUT, reason))

    # ---- what the server says by itself -------------------------------------------------------

    async def _listen(self, headers: Mapping[str, str]) -> None:
        events = self._delivery.events()
        failures = opened = 0
        while True:
            before, events = events.last_id, events.onward()
            again = {EVENT_HEADER: events.last_id.decode("latin-1")} if events.last_id else {}
            request = {**LISTEN, **headers, **again}
            failure = None
            try:
                async with self._exchange(self._urgent, "GET", request, Trace()) as response:
                    await check(response, session=SESSION_HEADER in headers)
                    self._tell_listening(None, gap=bool(opened and not before))
                    opened += 1
                    await self._follow(response, events, None)
            except Failed as failed:
                failure = failed.failure
                self._tell_listening(failure)
                if not failure.passing:
                    return
            failures = 0 if events.last_id != before else failures + 1
            await self._pause(events, failures)

    def _tell_listening(self, failure: Failure | None, *, gap: bool = False) -> None:
        self._inlet.tell(partial(self._listener.listening, failure, gap=gap))

    # ---- both -------------------------------------------------------------------------------

    async def _follow(
        self, response: httpx2.Response, events: Events, tag: int | str | None
    ) -> bool:
        if media_type(response) != EVENT_STREAM:
            raise wrong_type(response, "a stream of events")
        return await self._delivery.stream(response, events, tag)

    async def _pause(self, events: Events, failures: int) -> None:
        """Wait before a stream is opened again: as long as the server says, or longer each time."""
        delay = events.retry_seconds
        if delay is None or failures:
            ceiling = DELAY_SECONDS * 2 ** min(failures, DOUBLINGS_MAX)
            delay = max(delay or 0.0, random.uniform(ceiling / 2, ceiling))
        delay = min(delay, self._address.delay_seconds_max)
        await asyncio.sleep(max(delay, DELAY_SECONDS_MIN))

    def _exchange(
        self,
        client: httpx2.AsyncClient,
        method: str,
        headers: Mapping[str, str],
        trace: Trace,
        body: bytes | None = None,
    ) -> contextlib.AbstractAsyncContextManager[httpx2.Response]:
        return exchange(client, method, self._address.url, headers=headers, body=body, trace=trace)
