"""Messages between supervisor and worker, pipe protocol version 1. Add-only.

A frame is a message (the header, msgpack, array-like with its tag first) and a payload of raw
bytes, mostly JSON that neither side needs to look into. The tag is decoded first: an unknown
one gives `Unknown`, which is logged and skipped, so that either side may be newer.

Words used below:

call      A call number (`int`, 1 … 2^53-1): one attempt at a backend call, unique for the life
          of the supervisor. It is the JSON-RPC id and the progress token towards the backend.
params    JSON text of a `params` member, or empty where there is none.
members   The rest of a JSON-RPC response after its id: `"result":{…}}` or `"error":{…}}`, with
          the closing brace, and any member the peer added. Putting `{"jsonrpc":"2.0","id":7,`
          in front makes the whole response.
backend   The name of a backend in the configuration.
errand    A number of the same row as call numbers, for something else that has to reach a backend
          once: a cancellation, an answer of the client's. It is ledgered like a call.
pid, at   Which process said it, and where in the stream of its stdout: the offset of its line's
          first byte, plus one for each message before it in the same line. It grows from message
          to message, so what is told again by another worker is dropped. 0, 0: not known.
"""

import struct
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from relay_supervisor.wire.errors import UNDECODABLE, RemoteProtocolError
from relay_supervisor.wire.framing import PREFIX_BYTES
from relay_supervisor.wire.v1_message import Message
from relay_supervisor.wire.v1_to_supervisor import (
    Adopted,
    BackendCancel,
    BackendInfo,
    BackendRequest,
    BackendState,
    Begun,
    Catalogue,
    Checked,
    CheckResult,
    ConfigRead,
    Configured,
    Done,
    Frozen,
    Joined,
    LearnedLinks,
    LearnedLists,
    LearnedSession,
    Limits,
    Notification,
    Pong,
    Progress,
    Ready,
    Reply,
    Returned,
    Routed,
    Spawn,
    StatusRequest,
    StopBackend,
)
from relay_supervisor.wire.v1_to_worker import (
    Adopt,
    Attend,
    Await,
    Call,
    Cancel,
    ClientAnswer,
    ClientNotification,
    Configure,
    Exited,
    Freeze,
    Journal,
    KnownLinks,
    KnownLists,
    KnownSession,
    Log,
    Ping,
    Refuse,
    Retire,
    RunChecks,
    Session,
    SetLevel,
    Spawned,
    SpawnRefused,
    StatusReply,
    Stderr,
    Subscriptions,
)

__all__ = [
    "CALL_MAX",
    "LEGACY",
    "MODERN",
    "OUTCOME_BACKEND_ERROR",
    "OUTCOME_REFUSED",
    "OUTCOME_RELAY_ERROR",
    "OUTCOME_RESULT",
    "Adopt",
    "Adopted",
    "Attend",
    "Await",
    "BackendCancel",
    "BackendInfo",
    "BackendRequest",
    "BackendState",
    "Begun",
    "Call",
    "Cancel",
    "Catalogue",
    "CheckResult",
    "Checked",
    "ClientAnswer",
    "ClientNotification",
    "ConfigRead",
    "Configure",
    "Configured",
    "Done",
    "Exited",
    "Freeze",
    "Frozen",
    "Joined",
    "Journal",
    "KnownLinks",
    "KnownLists",
    "KnownSession",
    "LearnedLinks",
    "LearnedLists",
    "LearnedSession",
    "Limits",
    "Log",
    "Message",
    "Notification",
    "Ping",
    "Pong",
    "Progress",
    "Ready",
    "Refuse",
    "Reply",
    "Retire",
    "Returned",
    "Routed",
    "RunChecks",
    "Session",
    "SetLevel",
    "Spawn",
    "SpawnRefused",
    "Spawned",
    "StatusReply",
    "StatusRequest",
    "Stderr",
    "StopBackend",
    "Subscriptions",
    "ToSupervisor",
    "ToWorker",
    "Unknown",
    "decode_to_supervisor",
    "decode_to_worker",
    "encode",
    "reply_frame",
]

CALL_MAX: Final = 2**53 - 1
"""The largest call number; JavaScript servers lose larger integers."""

LEGACY: Final = 0
MODERN: Final = 1
"""Protocol eras of a client request: with handshake, and 2026-07-28 without one."""

OUTCOME_RESULT: Final = 0
OUTCOME_BACKEND_ERROR: Final = 1
OUTCOME_RELAY_ERROR: Final = 2
OUTCOME_REFUSED: Final = 3
"""What a reply is: a result, an error of the backend's, a failure of the relay's or of a backend it
could not use, the refusal of a request that is wrong in itself.
"""


class Unknown(msgspec.Struct, frozen=True):
    """A message with a tag this release does not know."""

    tag: int


ToWorker: TypeAlias = (
    Configure
    | KnownLists
    | Session
    | Call
    | Cancel
    | ClientAnswer
    | ClientNotification
    | SetLevel
    | Subscriptions
    | Spawned
    | SpawnRefused
    | Exited
    | StatusReply
    | Ping
    | Log
    | Retire
    | Journal
    | Refuse
    | RunChecks
    | Await
    | Freeze
    | Adopt
    | Stderr
    | KnownSession
    | Attend
    | KnownLinks
)
ToSupervisor: TypeAlias = (
    Configured
    | Catalogue
    | LearnedLists
    | Reply
    | Progress
    | Notification
    | BackendRequest
    | BackendCancel
    | Spawn
    | StopBackend
    | BackendState
    | StatusRequest
    | Ready
    | Pong
    | ConfigRead
    | Checked
    | Routed
    | Frozen
    | Returned
    | Adopted
    | Joined
    | Done
    | LearnedSession
    | LearnedLinks
    | Begun
)

encode: Final[Callable[[Message], bytes]] = msgspec.msgpack.Encoder().encode
"""Returns the header bytes of a message."""

_SMALL_REPLY: Final = struct.Struct("!IIBBBQB")
"""Prefix of a frame (`framing`) and the msgpack of a `Reply`: array of 3, its tag, call as uint64,
outcome.
"""

_SMALL_REPLY_BYTES: Final = _SMALL_REPLY.size - PREFIX_BYTES
_REPLY_TAG: Final = Reply.__struct_config__.tag
_pack_small_reply: Final = _SMALL_REPLY.pack

_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_to_supervisor: msgspec.msgpack.Decoder[ToSupervisor] = msgspec.msgpack.Decoder(ToSupervisor)
_any_message = msgspec.msgpack.Decoder(list[object])


def reply_frame(call: int, outcome: int, members: bytes) -> bytes:
    """Return the frame of a `Reply` with small members, in half the time that it takes otherwise.
    A call of the relay's own (a negative number) is answered by nobody with this.
    """
    return (
        _pack_small_reply(_SMALL_REPLY_BYTES, len(members), 0x93, _REPLY_TAG, 0xCF, call, outcome)
        + members
    )


def decode_to_worker(header: bytes) -> ToWorker | Unknown:
    """Decode a header that the supervisor sent.

    Raises:
        RemoteProtocolError: the bytes are no message, or a known one with a broken field.
    """
    try:
        return _to_worker.decode(header)
    except UNDECODABLE as error:
        return _unknown(header, ToWorker, error)


def decode_to_supervisor(header: bytes) -> ToSupervisor | Unknown:
    """Decode a header that a worker sent.

    Raises:
        RemoteProtocolError: the bytes are no message, or a known one with a broken field.
    """
    try:
        return _to_supervisor.decode(header)
    except UNDECODABLE as error:
        return _unknown(header, ToSupervisor, error)


def _unknown(header: bytes, known: object, error: Exception) -> Unknown:
    """Tell a message of a newer peer from a broken one."""
    try:
        tag = _any_message.decode(header)[0]
    except (*UNDECODABLE, IndexError):
        tag = None
    tags = {kind.__struct_config__.tag for kind in known.__args__}  # type: ignore[attr-defined]
    if type(tag) is not int or tag in tags:
        raise RemoteProtocolError(f"broken message on the worker pipe: {error}") from error
    return Unknown(tag)
