"""What the router knows of a backend of any kind, and what a backend knows of the router.

Nothing here does anything: two interfaces and the words they share.
"""

import enum
from typing import Final, Protocol

import msgspec

from relay_supervisor.wire import v1
from relay_worker.backends.client import Client
from relay_worker.lists import RawLists
from relay_worker.repair import Envelope


class State(enum.Enum):
    """The life of a backend."""

    DISABLED = "not to be started at all"
    IDLE = "not started, as nobody needs it"
    SPAWNING = "the supervisor is asked for its process"
    CONNECTING = "initialize and the first lists are under way"
    READY = "takes calls"
    LEAVING = "to be handed over once its process is there, or gone"
    AWAITED = "runs under another worker, and is to be handed over"
    STOPPING = "ending its process, as nobody needs it"
    FALLEN = "has closed a pipe, as every exit begins"
    ENDING = "the supervisor is asked to end what is left of its process"
    BACKING_OFF = "waiting to start it again"
    FAILED = "started again only when a call needs it"

    @property
    def word(self) -> str:
        """Return the word `status` shows."""
        return _WORDS.get(self, self.name.lower())


READY: Final = State.READY
"""For the path of every call: to get at an enum's member takes as long as a call."""

_WORDS = {
    State.SPAWNING: "starting",
    State.CONNECTING: "starting",
    State.FALLEN: "restarting",
    State.ENDING: "restarting",
    State.LEAVING: "awaited",
}


class Backend(Protocol):
    """A backend, whatever carries it."""

    name: str
    kind: str
    state: State
    lists: RawLists | None
    pid: int | None
    restarts: int
    last_error: str | None

    @property
    def skipped_lines(self) -> int:
        """Return how many pieces of its output were no MCP."""

    @property
    def modern(self) -> bool:
        """Return whether it is spoken to in the modern era."""

    @property
    def learning(self) -> bool:
        """Return whether its lists are unknown and still to be expected."""

    @property
    def trouble(self) -> str:
        """Return why it cannot be used just now: a sentence for the client, without secrets."""

    @property
    def start_timeout_seconds(self) -> float:
        """Return how long a call may wait for it to start."""

    def introduce(self, client: Client) -> None:
        """Take the client it is to be initialised for, now known or changed."""

    def want(self) -> None:
        """Start it unless it runs or is on its way: a call needs it."""

    def call(self, call: int, method: str, params: bytes) -> str | None:
        """Send a request with number *call*; READY only. Returns why it was not sent, or None."""

    def cancel(self, call: int, params: bytes, errand: int = 0) -> bool:
        """Withdraw a call that was sent; *params* are the client's, with its own request id.
        Returns whether `Host.done` will be told of the *errand*; else it is void.
        """

    def answer(self, pid: int, raw_id: bytes, members: bytes, errand: int = 0) -> bool:
        """Pass on the client's answer to a request of the backend's process *pid*; the *errand*
        as with `cancel`.
        """

    def notify(self, method: str, params: bytes, capability: str | None = None) -> None:
        """Send a notification, if READY and, where given, if it saw the client's *capability*."""

    def set_level(self, level: str) -> None:
        """Set the log level, now and whenever it is started."""

    def subscribe(self, uris: frozenset[str]) -> None:
        """Have updates of exactly these resources, now and whenever it is started."""

    def subscribed(self, uri: str, *, wanted: bool) -> None:
        """Take note that a call of the client's changed a subscription."""

    def watch(self, tasks: frozenset[str]) -> None:
        """Hear of exactly these tasks of its own, now and whenever it is started."""

    def pause(self, *, paused: bool) -> None:
        """Stop reading from it, or go on."""


class Host(Protocol):
    """Whom a backend tells about calls and messages."""

    def replied(self, backend: Backend, call: int, envelope: Envelope) -> None:
        """A response arrived with a call number for id."""

    def resulted(self, backend: Backend, call: int, result: msgspec.Raw, members: bytes) -> None:
        """The same, for a legacy backend's response with a result that every client can read, and
        small *members* with nothing else.
        """

    def progressed(self, backend: Backend, call: int, params: bytes, at: int) -> None:
        """Progress of a call. *at* is what `wire.v1` says of it, here and below."""

    def asked(
        self,
        backend: Backend,
        pid: int,
        raw_id: bytes,
        method: str,
        params: bytes,
        at: int,
        call: int = 0,
    ) -> None:
        """It asks the client; in this *call*, where that is known."""

    def withdrew(self, backend: Backend, pid: int, raw_id: bytes, params: bytes) -> None:
        """It no longer wants the client's answer."""

    def notified(
        self, backend: Backend, method: str, params: bytes, at: int, call: int = 0
    ) -> None:
        """A notification for the client; in the stream of this *call*, where it has one."""

    def done(self, errand: int) -> None:
        """The backend has been told what *errand* stands for, or will never be."""

    def adopted(self, backend: Backend, calls: list[v1.Call]) -> None:
        """It comes from another worker, and works on these calls."""

    def frozen(self, backend: Backend, calls: list[int]) -> None:
        """It goes to another worker, with these calls."""

    def lost(self, backend: Backend, calls: list[int], reason: str) -> None:
        """It is gone: these calls were sent to it and never will be answered."""

    def unread(self, backend: Backend, calls: list[int], reason: str) -> None:
        """It is gone, and has certainly not read these calls, which were sent to it."""

    def unusable(self, backend: Backend, call: int, fault: str) -> None:
        """The reply to *call* had to be skipped; *fault* says what is wrong with it."""

    def unfinished(self, backend: Backend, call: int, reason: str, *, may_have_run: bool) -> None:
        """It will not answer *call*; the *reason* is a sentence about it."""


class Watcher(Protocol):
    """Whom a backend tells about itself."""

    def learned(self, backend: Backend) -> None:
        """Its `lists` are known or have changed."""

    def changed(self, backend: Backend) -> None:
        """Its state or another figure that `status` shows has changed."""
