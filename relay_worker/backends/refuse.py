"""What a backend says that is no MCP, or cannot be passed on: counted, and told of once.

Where it is what is left of a reply, the call that it answers is found by the ends of the line and
answered here, so that nobody waits for it; never where there is a doubt which one it is.
"""

import re
from collections.abc import Callable
from typing import Final

from relay_worker.backends.base import Backend, Host, Watcher
from relay_worker.log import Log

OVERSIZED: Final = "is over the limit of one message (frame_bytes_max)"
UNREADABLE: Final = "cannot be read (it is broken, or nested too deeply)"

_ID: Final = re.compile(rb'"id"[ \t]*:[ \t]*"?(\d{1,16})\b')


class Refuse:
    """The refuse of one connection. *in_flight* are its calls, and *over* is called with one that
    ends by this.
    """

    def __init__(
        self,
        log: Log,
        backend: Backend,
        host: Host,
        watcher: Watcher,
        *,
        in_flight: dict[int, int],
        over: Callable[[int], None],
    ) -> None:
        self.skipped_lines = 0
        self._log = log
        self._backend = backend
        self._host = host
        self._watcher = watcher
        self._in_flight = in_flight
        self._over = over

    def skipped(self, pieces: int) -> None:
        """So many pieces of text were no MCP."""
        if not self.skipped_lines:
            self._log.warning(
                "backend writes something else than MCP to its stdout; it is skipped",
                backend=self._backend.name,
            )
        self._count(pieces)

    def oversized(self, head: bytes, tail: bytes) -> None:
        """A line was dropped: both its ends."""
        self._count(1)
        named = self._named(head, tail)
        if not named and len(self._in_flight) == 1:
            named = set(self._in_flight)
        self._log.warning(f"a line of this backend {OVERSIZED}", backend=self._backend.name)
        self._give_up(named, OVERSIZED)

    def unreadable(self, head: bytes, tail: bytes) -> None:
        """A line was skipped: if it is what is left of a reply, its call waits for nothing."""
        if b'"jsonrpc"' in head + tail and b'"method"' not in head:
            self._give_up(self._named(head, tail), UNREADABLE)

    def _count(self, pieces: int) -> None:
        self.skipped_lines += pieces
        self._watcher.changed(self._backend)

    def _named(self, head: bytes, tail: bytes) -> set[int]:
        """Return the calls under way that both ends of a line name; some servers write ids last."""
        numbers = _ID.findall(head) + _ID.findall(tail)
        return {int(number) for number in numbers} & self._in_flight.keys()

    def _give_up(self, calls: set[int], fault: str) -> None:
        """Answer the call whose reply cannot be passed on, if there is no doubt which one it is."""
        if len(calls) == 1:
            (call,) = calls
            self._over(call)
            self._host.unusable(self._backend, call, fault)
