"""What a server has sent, made into messages and handed to the worker's loop. HTTP thread only."""

from functools import partial
from typing import Final

import httpx2

from relay_worker.backends import frames
from relay_worker.backends.refuse import OVERSIZED, UNREADABLE
from relay_worker.backends.remote.client import Failed, media_type, read
from relay_worker.backends.remote.inlet import Inlet
from relay_worker.backends.remote.messages import Failure, Fault, Listener, Tag
from relay_worker.backends.remote.sse import MESSAGE, Event, Events
from relay_worker.repair import Envelope, clean_line

JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"

OWN: Final = "relay-"
"""What the ids of requests of the relay's own begin with."""

_NO_BREAKS: Final = bytes.maketrans(b"\r\n", b"  ")


class Delivery:
    """Hands messages over to *listener*, of which none is longer than *bytes_max*."""

    def __init__(self, inlet: Inlet, listener: Listener, bytes_max: int) -> None:
        self._inlet = inlet
        self._listener = listener
        self._bytes_max = bytes_max

    def events(self) -> Events:
        """Return the events of a new stream."""
        return Events(self._bytes_max)

    async def answer(self, response: httpx2.Response, tag: Tag) -> None:
        """Take in a body that answers a request.

        Raises:
            Failed: it does not, or cannot be read.
        """
        body = await read(response, self._bytes_max)
        if body is None:
            raise Failed(Failure(Fault.UNREADABLE, OVERSIZED))
        if not await self.message(body, tag):
            raise Failed(Failure(Fault.UNREADABLE, UNREADABLE))

    async def refusal(self, body: bytes, tag: Tag) -> bool:
        """Take in the body of an HTTP error, if it answers a request; return whether it does."""
        cleaned = clean_line(body.translate(_NO_BREAKS))
        if tag is None or len(cleaned.frames) != 1:
            return False
        envelope = cleaned.frames[0][1]
        if "method" in envelope or "error" not in envelope:
            return False
        return await self.message(body, tag)

    async def stream(self, response: httpx2.Response, events: Events, tag: Tag) -> bool:
        """Take in a stream to its end, or until it has answered the request of *tag*; return
        whether it has.

        Raises:
            Failed: the answer cannot be read, or the connection failed.
        """
        async for part in response.aiter_bytes():
            for event in events.feed(part):
                if await self._event(event, tag):
                    return True
        return False

    async def message(self, data: bytes, tag: Tag, *, alone: bool = True) -> bool:
        """Hand over the messages in *data*; return whether one answers the request of *tag*, as any
        answer does that comes *alone*.
        """
        # Between the members of an object a line break is only space, in a frame it is the end.
        cleaned = clean_line(data.translate(_NO_BREAKS))
        answered = False
        for text, envelope in cleaned.frames:
            says = "method" in envelope
            heard = tag if says or alone or _may_be(tag, envelope) else None
            answered = answered or (heard is not None and not says)
            callback = partial(self._listener.received, envelope, heard)
            await self._inlet.hand(len(text), callback)
        if cleaned.skipped:
            self._inlet.tell(partial(self._listener.skipped, cleaned.skipped))
        return answered

    async def _event(self, event: Event, tag: Tag) -> bool:
        if event.kind != MESSAGE or not (event.data or event.oversized):
            return False
        if event.oversized and tag is not None:
            raise Failed(Failure(Fault.UNREADABLE, OVERSIZED))
        if event.oversized:
            self._inlet.tell(partial(self._listener.skipped, 1))
            return False
        answered = await self.message(event.data, tag, alone=False)
        if tag is not None and not answered and not _is_message(event.data):
            raise Failed(Failure(Fault.UNREADABLE, UNREADABLE))
        return answered


def _is_message(data: bytes) -> bool:
    return b'"method"' in data or bool(clean_line(data.translate(_NO_BREAKS)).frames)


def _may_be(tag: Tag, envelope: Envelope) -> bool:
    """Return whether a response in the stream of *tag* can be its answer: servers that have lost an
    id send another one, or none; but that of another request is that one's, even if it went astray.
    """
    raw_id = envelope.get("id")
    if tag is None or raw_id is None:
        return tag is not None
    named = frames.call_number(raw_id) or frames.text_of(raw_id)
    return named == tag or not (isinstance(named, int) or (named or "").startswith(OWN))


def wrong_type(response: httpx2.Response, expected: str) -> Failed:
    """Return what is wrong with a response that is not *expected*."""
    if response.status_code == 202:
        text = "it only accepted the request, and its answer never comes"
        return Failed(Failure(Fault.STRANGE, text))
    found = media_type(response) or "something of no type"
    return Failed(Failure(Fault.STRANGE, f"it answered with {found} instead of {expected}"))
