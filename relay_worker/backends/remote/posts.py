"""Frames on their way to a server: numbered, counted, and known by whose answer they are to bring.

In the loop's thread; the line carries them to the other one.
"""

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from relay_worker.backends.remote.messages import Post, Tag
from relay_worker.backends.speech import Spoken

OUT_BYTES_MAX: Final = 64 << 20
"""Bytes that may wait for a server to take them; beyond one frame, which always may."""


class Out(Protocol):
    """The loop's end of a channel: a `Line`."""

    def post(self, post: Post) -> None:
        """Send a frame."""

    def abort(self, number: int) -> None:
        """Let go of a frame."""

    def listen(self, headers: Mapping[str, str]) -> None:
        """Hear what the server says by itself."""

    def deafen(self) -> None:
        """Hear it no longer."""

    def pause(self, *, paused: bool) -> None:
        """Take nothing in for now, or go on."""

    def close(self, farewell: Mapping[str, str] | None = None) -> None:
        """Let go of everything."""


class Sent(msgspec.Struct, frozen=True):
    """An attempt to send a frame, in the session of that name. `asked_in`: it is the client's
    answer to what was asked in the stream of that call, or in that of none (0).
    """

    tag: Tag
    size: int
    session: str
    asked_in: int | None = None


class Posts:
    """What was given to *line* and has not come to an end."""

    def __init__(self, line: Out) -> None:
        self.line = line
        self._last = 0
        self._sent: dict[int, Sent] = {}
        self._bytes = 0

    def full(self, size: int) -> bool:
        """Return whether a frame of *size* bytes is too much."""
        return bool(self._bytes) and self._bytes + size > OUT_BYTES_MAX

    def add(
        self,
        spoken: Spoken,
        headers: Mapping[str, str],
        session: str,
        asked_in: int | None = None,
    ) -> int:
        """Send a frame; returns the number of this attempt."""
        self._last += 1
        size = len(spoken.body)
        self._sent[self._last] = Sent(spoken.tag, size, session, asked_in)
        self._bytes += size
        self.line.post(
            Post(self._last, spoken.body, headers, spoken.tag, spoken.first, spoken.urgent)
        )
        return self._last

    def tag(self, number: int) -> Tag:
        """Return whose answer an attempt is to bring, None where it is over."""
        sent = self._sent.get(number)
        return sent.tag if sent else None

    def calls(self, session: str) -> list[tuple[int, int]]:
        """Return the attempts to make calls in this session, and the calls."""
        sent = self._sent.items()
        return [
            (number, one.tag)
            for number, one in sent
            if one.session == session and isinstance(one.tag, int)
        ]

    def settle(self, number: int) -> Sent | None:
        """An attempt has come to its end; None where it was let go."""
        sent = self._sent.pop(number, None)
        if sent is not None:
            self._bytes -= sent.size
        return sent

    def abort(self, number: int) -> None:
        """Let go of an attempt."""
        if self.settle(number) is not None:
            self.line.abort(number)

    def abort_own(self) -> None:
        """Let go of the requests of the relay's own: their session is over."""
        for number, sent in list(self._sent.items()):
            if isinstance(sent.tag, str):
                self.abort(number)
