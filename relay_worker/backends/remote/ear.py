"""Hears what a server says by itself, for the worker that serves. In the loop's thread.

A legacy server says it on a stream of the channel's, a modern one as the answer to a request that
stays open. When either is heard again after a gap the lists are to be looked at again.
"""

from collections.abc import Callable, Mapping
from typing import Final

from relay_worker.backends.remote.messages import Failure, Fault
from relay_worker.backends.remote.posts import Posts
from relay_worker.backends.speech import Spoken
from relay_worker.loop import Loop, Timer

DELAY_SECONDS: Final = 1.0
"""Before a request that was to stay open is sent again; doubled each time, up to the maximum."""

DOUBLINGS_MAX: Final = 10


class Ear:
    """*send* posts a frame and returns its number, *missed* is called when something may have been
    missed. `heard`: the server does speak by itself, in this session.
    """

    def __init__(
        self,
        posts: Posts,
        loop: Loop,
        delay_seconds_max: float,
        *,
        send: Callable[[Spoken], int],
        missed: Callable[[], None],
    ) -> None:
        self.attending = True
        self.heard = False
        self._posts = posts
        self._loop = loop
        self._delay_seconds_max = delay_seconds_max
        self._send = send
        self._missed = missed
        self._gap = False
        self._number = 0
        self._before = 0  # the request that stays open until the next one is heard
        self._failures = 0
        self._request: Callable[[], Spoken | None] | None = None
        self._timer: Timer | None = None

    def forget(self) -> None:
        """Another session begins."""
        self._stop()
        self.heard = False
        self._failures = 0

    def listen(self, headers: Mapping[str, str], request: Callable[[], Spoken | None]) -> None:
        """Hear the server from now on: on its stream, or by what *request* gives."""
        if not self.attending:
            return
        spoken = request()
        if spoken is None:
            self._posts.line.listen(headers)
            return
        if self._timer:
            self._timer.cancel()
        if self._number:
            self._release()
            self._before = self._number
        self._request = request
        self._number = self._send(spoken)

    def attend(self, *, attending: bool) -> bool:
        """Be the one to hear it, or not; returns whether that is new."""
        if attending == self.attending:
            return False
        self.attending = attending
        if attending:
            self._gap = True
        else:
            self._stop()
            self._posts.line.deafen()
        return True

    def opened(self, *, gap: bool) -> None:
        """The server is heard."""
        self.heard = True
        self._failures = 0
        self._release()
        missed, self._gap = self._gap or gap, False
        if missed:
            self._missed()

    def ended(self, number: int, failure: Failure | None) -> bool:
        """A frame has come to its end; returns whether it was the one that stays open."""
        if not number or number != self._number:
            return False
        self._number = 0
        self._gap = True
        lasting = failure is not None and failure.fault in {Fault.REFUSED, Fault.LOGIN}
        if self.attending and not (lasting and not self.heard):
            delay = DELAY_SECONDS * 2 ** min(self._failures, DOUBLINGS_MAX)
            self._failures += 1
            self._timer = self._loop.after(min(delay, self._delay_seconds_max), self._again)
        return True

    def close(self) -> None:
        """It is over."""
        self.attending = False
        self._stop()

    def _again(self) -> None:
        if self.attending and self._request and (spoken := self._request()):
            self._number = self._send(spoken)

    def _stop(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._release()
        number, self._number = self._number, 0
        if number:
            self._posts.abort(number)

    def _release(self) -> None:
        before, self._before = self._before, 0
        if before:
            self._posts.abort(before)
