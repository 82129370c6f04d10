"""The worker's one loop: ready descriptors and due timers become callbacks, one after another.

It blocks in poll alone, wakes up for nothing but events and due timers, and outlives whatever a
callback raises: the owner of the descriptor is told instead.
"""

import heapq
import os
import select
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

EVENTS_PER_TURN_MAX: Final = 64
"""Descriptors served between two looks at the rest, so that no burst holds up the control pipe."""

WAKE_READ_BYTES: Final = 4096

READ: Final = select.POLLIN
WRITE: Final = select.POLLOUT

Callback = Callable[[], None]
Ready = Callable[[int], None]
"""Called with the events of a descriptor. It may be called with nothing to read: descriptors are
reused, so `BlockingIOError` has to be taken for "not yet".
"""
Failed = Callable[[Exception], None]


class Poller(Protocol):
    """What `select.epoll` and `select.poll` have in common; their event bits are the same."""

    def register(self, fd: int, eventmask: int) -> None: ...
    def modify(self, fd: int, eventmask: int) -> None: ...
    def unregister(self, fd: int) -> None: ...


class Timer:
    """A callback that is due at a time of the monotonic clock, in seconds."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callback) -> None:
        self.when = when
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Never call it; harmless when it was called already."""
        self.callback = None


class _Watch:
    __slots__ = ("failed", "mask", "ready")

    def __init__(self, mask: int, ready: Ready, failed: Failed | None) -> None:
        self.mask = mask
        self.ready = ready
        self.failed = failed


class Loop:
    """A poll loop. Not thread safe, but for `call_from_thread` and `wake`.

    `now` is the time of the turn, in seconds of the monotonic clock. `ends` has what is due at the
    end of the turn: whoever finds it empty is the first to come. `alone`: no other descriptor is
    ready in this turn, so whoever has but one thing to do need not wait for more of its kind.
    """

    def __init__(self, report: Callable[[str, Exception], None]) -> None:
        """*report* is told of every exception that a callback let through."""
        self.now = time.monotonic()
        self._report = report
        self._watches: dict[int, _Watch] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._timers_made = 0
        self.ends: list[Callback] = []
        self.alone = False
        self._posted: deque[Callback] = deque()
        self._running = True
        self._poller, self._poll = _poller()
        self._wake_read, self._wake_write = os.pipe()
        for fd in (self._wake_read, self._wake_write):
            os.set_blocking(fd, False)
        self.watch(self._wake_read, READ, self._woken)

    def watch(self, fd: int, mask: int, ready: Ready, failed: Failed | None = None) -> None:
        """Call *ready* whenever *fd* has an event of *mask* (or hung up). Replaces an earlier
        watch. An exception of *ready* ends the watch, and *failed* is called with it.
        """
        if fd in self._watches:
            self._poller.modify(fd, mask)
        else:
            self._poller.register(fd, mask)
        self._watches[fd] = _Watch(mask, ready, failed)

    def mask(self, fd: int, mask: int) -> None:
        """Change what *fd* is watched for; a mask of 0 reports hang-ups only."""
        watch = self._watches[fd]
        if watch.mask != mask:
            self._poller.modify(fd, mask)
            watch.mask = mask

    def unwatch(self, fd: int) -> None:
        """Forget *fd*; to be called before it is closed. Harmless for an unknown one."""
        if self._watches.pop(fd, None) is not None:
            self._poller.unregister(fd)

    def at(self, when: float, callback: Callback) -> Timer:
        """Call *callback* at *when*, in seconds of the monotonic clock."""
        timer = Timer(when, callback)
        self._timers_made += 1
        heapq.heappush(self._timers, (when, self._timers_made, timer))
        return timer

    def after(self, seconds: float, callback: Callback) -> Timer:
        """Call *callback* in so many seconds."""
        return self.at(self.now + seconds, callback)

    def at_turn_end(self, callback: Callback) -> None:
        """Call *callback* once when all events of this turn are handled: the place to flush."""
        self.ends.append(callback)

    def call_from_thread(self, callback: Callback) -> None:
        """Call *callback* in the loop's thread, soon."""
        self._posted.append(callback)
        self.wake()

    def wake(self) -> None:
        """Make the loop take a turn; from any thread."""
        try:
            os.write(self._wake_write, b"\0")
        except BlockingIOError:
            pass  # a full pipe wakes it as well

    def stop(self) -> None:
        """End `run` after this turn."""
        self._running = False

    def run(self) -> None:
        """Take turns until `stop`."""
        while self._running:
            self.turn()

    def turn(self, wait_seconds_max: float | None = None) -> None:
        """Wait for events, no longer than given, then handle all that is there and due."""
        watches, timers, ends = self._watches, self._timers, self.ends
        wait = wait_seconds_max
        if timers or ends:
            wait = 0.0 if ends else self._wait_seconds(wait)
        ready = self._poll(wait)
        self.now = time.monotonic()
        self.alone = len(ready) == 1
        for fd, events in ready:
            if (watch := watches.get(fd)) is None:
                continue
            try:
                watch.ready(events)
            except Exception as error:  # noqa: BLE001 - one broken backend never ends the worker
                self._fail(fd, watch, error)
        if timers and timers[0][0] <= self.now:
            self._run_timers()
        if ends:
            for callback in ends:  # and what these add
                try:
                    callback()
                except Exception as error:  # noqa: BLE001 - as above
                    self._report(f"in {_name(callback)}", error)
            ends.clear()

    def close(self) -> None:
        """Close the loop's own descriptors."""
        self.unwatch(self._wake_read)
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _wait_seconds(self, wait_seconds_max: float | None) -> float | None:
        timers = self._timers
        while timers and timers[0][2].callback is None:
            heapq.heappop(timers)
        if not timers:
            return wait_seconds_max
        wait = timers[0][0] - time.monotonic()
        if wait < 0.0:
            return 0.0
        return wait if wait_seconds_max is None else min(wait, wait_seconds_max)

    def _run_timers(self) -> None:
        timers = self._timers
        while timers and timers[0][0] <= self.now:
            callback = heapq.heappop(timers)[2].callback
            if callback is not None:
                self._guard(callback)

    def _woken(self, _events: int) -> None:
        try:
            os.read(self._wake_read, WAKE_READ_BYTES)
        except BlockingIOError:
            pass  # a spurious event
        for _ in range(len(self._posted)):
            self._guard(self._posted.popleft())

    def _guard(self, callback: Callback) -> None:
        try:
            callback()
        except Exception as error:  # noqa: BLE001 - see turn
            self._report(f"in {_name(callback)}", error)

    def _fail(self, fd: int, watch: _Watch, error: Exception) -> None:
        self._report(f"in {_name(watch.ready)}", error)
        if self._watches.get(fd) is watch:
            self.unwatch(fd)
        if watch.failed is not None:
            failed = watch.failed
            self._guard(lambda: failed(error))


def _name(callback: object) -> str:
    return str(getattr(callback, "__qualname__", callback))


def _poller() -> tuple[Poller, Callable[[float | None], list[tuple[int, int]]]]:
    """Return the platform's best poller and its poll, for seconds or None for ever."""
    if hasattr(select, "epoll"):
        epoll = select.epoll()
        return epoll, partial(epoll.poll, maxevents=EVENTS_PER_TURN_MAX)
    poll = select.poll()
    return poll, lambda seconds: poll.poll(None if seconds is None else seconds * 1000)
