"""What the worker's loop and the HTTP thread say to each other about a remote backend. Plain data.

Frozen, as two threads see them at once.
"""

import enum
from collections.abc import Mapping
from typing import Final, Protocol, TypeAlias

import msgspec

from relay_worker.repair import Envelope

SESSION_HEADER: Final = "mcp-session-id"
VERSION_HEADER: Final = "mcp-protocol-version"
EVENT_HEADER: Final = "last-event-id"

Tag: TypeAlias = int | str | None
"""Whose answer a frame is to bring: a call's number, the id of a request of the relay's own, or
nobody's.
"""


class Address(msgspec.Struct, frozen=True):
    """Where a backend is, and what every request to it carries: the values are secrets.

    `tokens` is the file that `relayctl backend login` keeps, empty where the headers say who we
    are.
    """

    url: str
    headers: Mapping[str, str]
    frame_bytes_max: int
    delay_seconds_max: float
    tokens: str = ""

    def __repr__(self) -> str:
        return "Address()"


class Post(msgspec.Struct, frozen=True):
    """A frame to send. `number` is this attempt's. `first`: all later ones wait until the server
    has taken this one. `urgent`: it must not wait for a free connection, as others wait for it.
    """

    number: int
    body: bytes
    headers: Mapping[str, str]
    tag: Tag = None
    first: bool = False
    urgent: bool = False


class Fault(enum.Enum):
    """What went wrong with a frame, by what it means for a call in it."""

    UNREACHED = "the server could not be reached: nothing of it was sent"
    REFUSED = "the server has answered that it does not take it"
    EXPIRED = "the server no longer knows the session, and has not looked at it"
    LOGIN = "the server wants to know who we are"
    CUT = "the connection failed when it may have been sent"
    FAILED = "the server has answered that it failed"
    STRANGE = "what was answered is no MCP, and may be from somebody on the way to the server"
    UNREADABLE = "the answer came, and cannot be passed on"


NOT_RUN: Final = frozenset({Fault.UNREACHED, Fault.REFUSED, Fault.EXPIRED, Fault.LOGIN})
"""After these a call has certainly not run."""


class Failure(msgspec.Struct, frozen=True):
    """`text` is a sentence about "it", the server, or about the answer where that is
    UNREADABLE; it names no secret of ours, but may quote the server. `status` is HTTP's, or 0.
    """

    fault: Fault
    text: str
    status: int = 0
    retry_after_seconds: float = 0.0

    @property
    def passing(self) -> bool:
        """Return whether the same request may well succeed later."""
        return self.fault in _PASSING or self.status in _PASSING_STATUSES


_PASSING: Final = frozenset({Fault.UNREACHED, Fault.CUT, Fault.FAILED})
_PASSING_STATUSES: Final = frozenset({409, 429})
"""Somebody else has the stream still; too many requests."""


class Unusable(Exception):
    """There can be no channel as things are on this machine; the text says why."""


class Listener(Protocol):
    """Whom a channel tells what happens, all in the worker's loop and in order."""

    def received(self, envelope: Envelope, answers: Tag) -> None:
        """A message; it came as the answer to the frame of this tag, or before that in the same
        stream, where that is known.
        """

    def skipped(self, pieces: int) -> None:
        """So many pieces of what the server sent were no MCP."""

    def sent(self, number: int) -> None:
        """All of this frame is on its way."""

    def done(self, number: int, failure: Failure | None) -> None:
        """Nothing more comes of this frame: it is taken, answered, or has failed."""

    def opened(self, session: str) -> None:
        """The server has named the session that the frame just answered began."""

    def listening(self, failure: Failure | None, *, gap: bool) -> None:
        """The stream of what the server says by itself is open, *gap*: for another time, and what
        came meanwhile is lost; or it has failed, and is tried again unless the fault stays.
        """

    def lost(self, failure: Failure) -> None:
        """The channel is of no use any more; nothing else comes of it."""


class Channel(Protocol):
    """One connection to a backend, in the HTTP thread; its methods are called there."""

    def post(self, post: Post) -> None:
        """Send a frame."""

    def abort(self, number: int) -> None:
        """Let go of a frame; `done` is not called for it any more."""

    def listen(self, headers: Mapping[str, str]) -> None:
        """Hear what the server says by itself, with these headers from now on."""

    def deafen(self) -> None:
        """Hear it no longer."""

    def close(self, farewell: Mapping[str, str] | None) -> None:
        """Let go of everything; with *farewell*, the headers of the session, the server may too."""
