"""What happened, in the past tense: everything the core ever learns about the world."""

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from relay_supervisor.wire.mailbox import Record


class Event(msgspec.Struct, frozen=True, gc=False):
    """Base of all events."""


class Started(Event, frozen=True):
    """The process is set up; the first event of all."""


class ClientLine(Event, frozen=True):
    """The client wrote a line (without its newline)."""

    line: bytes


class ClientLineTooLong(Event, frozen=True):
    """The client wrote a line over `frame_bytes_max`; it was dropped."""

    limit: int


class ClientClosed(Event, frozen=True):
    """The client closed its end of stdin: no request follows, answers may still be read."""


class ClientGone(Event, frozen=True):
    """The client no longer reads our stdout: it is dead."""


class WorkerSpawned(Event, frozen=True):
    """The process of a generation runs."""

    generation: int
    pid: int
    pidfd: bool = False
    """We hold a descriptor of the process, and need not go by its number."""


class WorkerSpawnFailed(Event, frozen=True):
    """The process of a generation could not be started."""

    generation: int
    reason: str


class WorkerFrame(Event, frozen=True):
    """A frame came through a worker's pipe."""

    generation: int
    header: bytes
    payload: bytes


class WorkerPipeClosed(Event, frozen=True):
    """A worker closed its pipe: most likely it is dead, and its exit is about to be told."""

    generation: int


class WorkerPipeFailed(Event, frozen=True):
    """A worker's pipe carried something that is no frame."""

    generation: int
    reason: str


class BackendSpawned(Event, frozen=True):
    """A backend runs, and its pipe ends are on their way to the worker that asked."""

    generation: int
    token: int
    backend: str
    pid: int
    pidfd: bool = False
    """As in `WorkerSpawned`."""


class BackendSpawnFailed(Event, frozen=True):
    """A backend could not be started."""

    generation: int
    token: int
    backend: str
    reason: str


class ProcessExited(Event, frozen=True):
    """A child is dead and reaped: its exit status, or minus the signal that ended it."""

    pid: int
    status: int
    stages: Mapping[int, int] | None = None
    """Of a worker: what its ledger says of each call (`wire.ledger.Stage`); None: it has none."""
    words: str = ""
    """Of a worker: the last line of its stderr."""
    records: Mapping[int, Record] = {}
    """Of a worker: what the mailboxes say was being written, by the pid of the backend."""


class WorkersUnread(Event, frozen=True):
    """Frames of workers are left unread for now, as the client has too much to read, or are read
    again: a silent worker is not to blame meanwhile.
    """

    unread: bool


class ControlRequested(Event, frozen=True):
    """relayctl sent a request line."""

    connection: int
    line: bytes


class SupervisorChecked(Event, frozen=True):
    """Other code for the supervisor was tried: its version, or why it cannot go on from here."""

    version: str
    refusal: str = ""


class SupervisorReplaced(Event, frozen=True):
    """Other code has taken over in this process; the first thing that it hears of."""


class SupervisorStayed(Event, frozen=True):
    """Other code could not take over; nothing has changed."""

    reason: str


class StopRequested(Event, frozen=True):
    """A signal asks the relay to end."""

    signal: int


class Overslept(Event, frozen=True):
    """The loop ran late by this much: it was stopped or the machine slept. Nobody else is late."""

    seconds: float


class DeadlinePassed(Event, frozen=True):
    """`next_deadline` is reached."""


AnyEvent: TypeAlias = (
    Started
    | ClientLine
    | ClientLineTooLong
    | ClientClosed
    | ClientGone
    | WorkerSpawned
    | WorkerSpawnFailed
    | WorkerFrame
    | WorkerPipeClosed
    | WorkerPipeFailed
    | BackendSpawned
    | BackendSpawnFailed
    | ProcessExited
    | WorkersUnread
    | ControlRequested
    | SupervisorChecked
    | SupervisorReplaced
    | SupervisorStayed
    | StopRequested
    | Overslept
    | DeadlinePassed
)
