"""What to do, in the imperative: everything the core can make happen."""

from typing import Literal, TypeAlias

import msgspec

from relay_supervisor.wire import handshake, v1
from relay_supervisor.wire.framing import Buffer


class Effect(msgspec.Struct, frozen=True, gc=False):
    """Base of all effects."""


class SendToClient(Effect, frozen=True):
    """Write these buffers, one whole line, to the client."""

    buffers: tuple[bytes, ...]


class SpawnWorker(Effect, frozen=True):
    """Start the process of a generation; `WorkerSpawned` or `WorkerSpawnFailed` follows."""

    generation: int
    python: str
    """The interpreter to run it with."""


class SendToWorker(Effect, frozen=True):
    """Send a message and its payload to a generation. One that is gone is skipped."""

    generation: int
    message: v1.Message | handshake.Hello
    payload: Buffer = b""


class ClosePipe(Effect, frozen=True):
    """Close both pipes of a generation; its process sees the end of its input."""

    generation: int


class SpawnBackend(Effect, frozen=True):
    """Start a backend for a generation; `BackendSpawned` or `BackendSpawnFailed` follows."""

    generation: int
    request: v1.Spawn


class GiveBackend(Effect, frozen=True):
    """Pass a backend's descriptors to a generation, then this message; and what it wrote to stderr
    while it was tended.
    """

    generation: int
    message: v1.Adopt
    payload: Buffer


class TendStderr(Effect, frozen=True):
    """Nobody reads a backend's stderr for now: read it, or the backend would stop one day."""

    pid: int


class ReleasePipes(Effect, frozen=True):
    """Close what we have of the descriptors of a backend that is gone; nobody needs them."""

    pid: int


class CloseStdin(Effect, frozen=True):
    """Close our duplicates of a backend's pipe ends, so that it can see the end of its input."""

    pid: int


class Signal(Effect, frozen=True):
    """Send a signal to the process group that *pid* leads."""

    pid: int
    signal: int


class ReplyToControl(Effect, frozen=True):
    """Send a line to relayctl; `done` ends the conversation."""

    connection: int
    line: bytes
    done: bool = True


class Journal(Effect, frozen=True):
    """Add an event to the journal; the time and the relay's name are added on the way."""

    event: str
    fields: dict[str, object]


class CheckSupervisor(Effect, frozen=True):
    """See whether this interpreter's code for the supervisor can go on from here;
    `SupervisorChecked` follows.
    """

    python: str
    """Empty: the one that runs now."""


class StopCheck(Effect, frozen=True):
    """Nobody wants to know any more."""


class ReplaceSupervisor(Effect, frozen=True):
    """Go on in this process with other code; `SupervisorReplaced` or `SupervisorStayed` follows."""

    python: str


class LimitLines(Effect, frozen=True):
    """Drop lines of the client's over this length from now on."""

    line_bytes_max: int


class Log(Effect, frozen=True):
    """Tell the user, on stderr and in the log file."""

    level: Literal["debug", "info", "warning", "error"]
    text: str


class Exit(Effect, frozen=True):
    """End this process, once the client has what was sent to it."""

    status: int


AnyEffect: TypeAlias = (
    SendToClient
    | SpawnWorker
    | SendToWorker
    | ClosePipe
    | SpawnBackend
    | GiveBackend
    | TendStderr
    | ReleasePipes
    | CloseStdin
    | Signal
    | ReplyToControl
    | Journal
    | CheckSupervisor
    | StopCheck
    | ReplaceSupervisor
    | LimitLines
    | Log
    | Exit
)
