"""What both HTTP transports have in common: frames on their way, each a task of its own, so that
none waits for another and none takes another with it. HTTP thread only.

How a frame is sent, and how the server is heard, is each transport's own.
"""

import abc
import asyncio
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import httpx2

from relay_worker.backends.remote.client import Failed, Trace
from relay_worker.backends.remote.delivery import EVENT_STREAM, Delivery
from relay_worker.backends.remote.inlet import Inlet
from relay_worker.backends.remote.messages import Address, Failure, Fault, Listener, Post
from relay_worker.backends.remote.thread import HttpThread

LISTEN: Final = {"accept": EVENT_STREAM, "cache-control": "no-store"}
"""Headers of a request for a stream of events."""


class Wiring(NamedTuple):
    """What a channel is between: its server and how we prove who we are there, and its listener,
    the way to it, and the thread on this side of that.
    """

    address: Address
    auth: httpx2.Auth | None
    listener: Listener
    inlet: Inlet
    thread: HttpThread


class HttpChannel(abc.ABC):
    """The better part of `messages.Channel`."""

    def __init__(self, wiring: Wiring) -> None:
        self._address = wiring.address
        self._inlet = wiring.inlet
        self._listener = wiring.listener
        self._delivery = Delivery(wiring.inlet, wiring.listener, wiring.address.frame_bytes_max)
        self._ear: asyncio.Task[None] | None = None
        self._thread = wiring.thread
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._first: asyncio.Task[None] | None = None

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

    @abc.abstractmethod
    def listen(self, headers: Mapping[str, str]) -> None:
        """Hear what the server says by itself."""

    @abc.abstractmethod
    def deafen(self) -> None:
        """Hear it no longer."""

    def close(self, farewell: Mapping[str, str] | None) -> None:
        """Let go of everything, and have the server forget the session, too."""
        self._stop_hearing()
        for number in list(self._tasks):
            self.abort(number)
        self._thread.say_last(self._leave(farewell))

    @abc.abstractmethod
    async def _send(self, post: Post) -> None:
        """Send a frame, and take in what is answered.

        Raises:
            Failed: it came to nothing.
        """

    @abc.abstractmethod
    async def _leave(self, farewell: Mapping[str, str] | None) -> None:
        """Say farewell, and close all connections."""

    def _hear(self, hearing: Coroutine[Any, Any, None]) -> None:
        """Hear the server by this alone."""
        self._stop_hearing()
        self._ear = asyncio.get_running_loop().create_task(hearing)

    def _stop_hearing(self) -> None:
        if self._ear is not None:
            self._ear.cancel()
            self._ear = None

    def _trace(self, post: Post) -> Trace:
        """Return what tells when all of a frame is on its way."""
        return Trace(lambda: self._inlet.tell(partial(self._listener.sent, post.number)))

    async def _carry(self, post: Post) -> None:
        failure = None
        try:
            if self._first is not None and not (post.first or post.urgent):
                await asyncio.wait({self._first})
            await self._send(post)
        except Failed as failed:
            failure = failed.failure
        except Exception as error:  # noqa: BLE001 - a bug of ours, and the call waits for an answer
            failure = own_failure(error)
        if self._tasks.pop(post.number, None) is not None:
            self._inlet.tell(partial(self._listener.done, post.number, failure))


def own_failure(error: Exception) -> Failure:
    """Return what a bug of the relay's comes to for what was under way."""
    return Failure(Fault.CUT, f"the relay failed ({type(error).__name__}: {error})")
