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
"""

from typing import Final, TypeAlias

import msgspec

from relay_supervisor.wire.errors import UNDECODABLE, RemoteProtocolError

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


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of all messages of the pipe."""


class Unknown(msgspec.Struct, frozen=True):
    """A message with a tag this release does not know."""

    tag: int


# ---- supervisor to worker -------------------------------------------------------------------


class Configure(Message, frozen=True, tag=1):
    """Read this configuration. Payload: the file's bytes as the supervisor read them at its start
    (the snapshot this generation is made of); without `has_snapshot` the file could not be read,
    and the worker finds out why. `config_path` None: the embedded default.
    """

    config_path: str | None
    project: str
    state_dir: str
    instance: str
    log_level: str
    log_format: str
    has_snapshot: bool
    default_if_missing: bool = False
    """With no file at `config_path` the embedded default is meant, not an error."""


class KnownLists(Message, frozen=True, tag=2):
    """The lists of one backend as learned before. Payload: what `LearnedLists` carried."""

    backend: str
    spec_hash: str


class Session(Message, frozen=True, tag=3):
    """The client is known: connect the backends. Payload: the params of its `initialize`, or for a
    modern client an object of the same shape made from its envelope. Sent again when it changes.

    `cache_path` is where the worker keeps catalogue and lists for this client (`wire.cache`).
    """

    era: int
    protocol: str
    cache_path: str
    log_level: str | None = None


class Call(Message, frozen=True, tag=4):
    """Carry out a client request. Payload: its params, byte for byte.

    `name` is what it is routed by: a tool's or prompt's name or a resource's URI, else empty.
    """

    call: int
    method: str
    name: str
    era: int
    attempt: int = 1
    tell: bool = False
    """Say with `Routed` which backend gets it: the supervisor cannot know by the name."""


class Cancel(Message, frozen=True, tag=5):
    """The client no longer wants the answer. Payload: the params of its notification, or empty."""

    call: int


class ClientAnswer(Message, frozen=True, tag=6):
    """The client's answer to a `BackendRequest`. Payload: members. `id` as the request had it."""

    backend: str
    id: bytes
    pid: int


class ClientNotification(Message, frozen=True, tag=7):
    """A notification of the client's that concerns backends. Payload: params."""

    method: str


class SetLevel(Message, frozen=True, tag=8):
    """The client set its log level; tell the backends that log."""

    level: str


class Subscriptions(Message, frozen=True, tag=9):
    """The complete set of resource URIs the client wants updates for."""

    uris: list[str]


class Spawned(Message, frozen=True, tag=10):
    """The backend asked for with `Spawn` runs; stdin, stdout and stderr (in this order) came over
    the socketpair with `token` as eight bytes, before this message.
    """

    token: int
    backend: str
    pid: int


class SpawnRefused(Message, frozen=True, tag=11):
    """The backend asked for with `Spawn` could not be started."""

    token: int
    backend: str
    reason: str


class Exited(Message, frozen=True, tag=12):
    """A backend's process is gone and reaped: its exit status, or minus the signal."""

    backend: str
    pid: int
    status: int


class StatusReply(Message, frozen=True, tag=13):
    """Answer to `StatusRequest`. Payload: one instance of `relayctl status --json`."""

    token: int


class Ping(Message, frozen=True, tag=14):
    """Heartbeat; to be answered with `Pong`, from the loop that carries the calls."""

    token: int


class Log(Message, frozen=True, tag=15):
    """Lines of the supervisor's for the log file. Payload: whole lines, UTF-8."""

    dropped: int = 0


class Retire(Message, frozen=True, tag=16):
    """End: let go of the backends and exit with status 0."""


class Journal(Message, frozen=True, tag=17):
    """Append to the journal, `journal.jsonl` in the state directory. Payload: whole lines."""


class Refuse(Message, frozen=True, tag=18):
    """This pair of code and configuration failed; no relay is to take it again without force."""

    build: str
    config_digest: str
    reason: str


class RunChecks(Message, frozen=True, tag=19):
    """Run the configured checks now and answer with `Checked`; `token` comes back."""

    token: int


# ---- worker to supervisor -------------------------------------------------------------------


class BackendInfo(Message, frozen=True):
    """A backend as configured; `kind` is stdio, http, sse, llm or builtin."""

    name: str
    kind: str
    call_timeout_seconds: float | None = None
    fingerprint: str = ""
    """Changes with whatever the configuration says of this backend."""


class Limits(Message, frozen=True):
    """Settings of the configuration that the supervisor keeps."""

    queue_requests_max: int = 256
    queue_bytes_max: int = 8 << 20
    queue_wait_seconds: float = 10.0
    first_list_wait_seconds: float = 4.0
    frame_bytes_max: int = 64 << 20
    retained_bytes_max: int = 256 << 20
    requests_in_flight_max: int = 10_000
    drain_seconds: float = 30.0
    drain_max_seconds: float = 600.0
    probation_seconds: float = 10.0
    probation_calls: int = 20
    ready_seconds_max: float = 60.0


class Configured(Message, frozen=True, tag=65):
    """The configuration is read: what is valid of it. Payload: the `instructions` text, UTF-8."""

    backends: list[BackendInfo]
    limits: Limits
    problems: list[str] = []
    broken: bool = False
    """Nothing of the configuration could be used, though there is one."""
    config_digest: str = ""


class Catalogue(Message, frozen=True, tag=66):
    """What the client is to see from now on. Payload: `wire.cache.Body`, msgpack.

    `settled`: no backend that is to be learned is still on its way, so nothing is known missing.
    """

    digest: str
    settled: bool


class LearnedLists(Message, frozen=True, tag=67):
    """The raw lists of one backend, to be kept for the next worker. Payload: the worker's own
    format; the supervisor does not look into it.
    """

    backend: str
    spec_hash: str


class Reply(Message, frozen=True, tag=68):
    """The answer to a call. Payload: members. `outcome` is one of `OUTCOME_…`."""

    call: int
    outcome: int


class Progress(Message, frozen=True, tag=69):
    """Progress of a call. Payload: params without `progressToken`."""

    call: int


class Notification(Message, frozen=True, tag=70):
    """A backend's notification for the client. Payload: params."""

    backend: str
    method: str


class BackendRequest(Message, frozen=True, tag=71):
    """A backend asks the client (sampling, elicitation, roots). Payload: params. `id` is its raw
    JSON-RPC id and `pid` the process that asked; both come back in `ClientAnswer`.
    """

    backend: str
    id: bytes
    pid: int
    method: str


class BackendCancel(Message, frozen=True, tag=72):
    """A backend withdraws a `BackendRequest`. Payload: the params of its notification."""

    backend: str
    id: bytes
    pid: int


class Spawn(Message, frozen=True, tag=73):
    """Start a backend: in a session of its own, its pipe ends passed back."""

    token: int
    backend: str
    argv: list[str]
    env: dict[str, str]
    cwd: str


class StopBackend(Message, frozen=True, tag=74):
    """End a backend: close its stdin, then TERM, then KILL its process group."""

    backend: str
    pid: int


class BackendState(Message, frozen=True, tag=75):
    """A backend as it is now, for `status`. `state` is a `relay_worker` word such as `ready`."""

    backend: str
    state: str
    pid: int | None = None
    tools: int = 0
    restarts: int = 0
    last_error: str | None = None
    skipped_lines: int = 0


class StatusRequest(Message, frozen=True, tag=76):
    """A tool of the relay's own wants the status; answered with `StatusReply`."""

    token: int


class Ready(Message, frozen=True, tag=77):
    """The catalogue is built and the checks have passed; the nonce is `Hello`'s."""

    generation: int
    nonce: str


class Pong(Message, frozen=True, tag=78):
    """Answer to `Ping`."""

    token: int


class ConfigRead(Message, frozen=True, tag=79):
    """The configuration file as the worker read it: the snapshot of its generation from now on.
    Payload: the file's bytes.
    """


class CheckResult(Message, frozen=True):
    """How one of the configured checks went; `detail` says why it failed."""

    tool: str
    ok: bool
    seconds: float
    detail: str = ""


class Checked(Message, frozen=True, tag=80):
    """All configured checks have run: before `Ready` (token 0), or as `RunChecks` asked."""

    token: int
    results: list[CheckResult]


class Routed(Message, frozen=True, tag=81):
    """A call that said `tell` is on its way to this backend."""

    call: int
    backend: str


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
)

_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_to_supervisor: msgspec.msgpack.Decoder[ToSupervisor] = msgspec.msgpack.Decoder(ToSupervisor)
_any_message = msgspec.msgpack.Decoder(list[object])


def encode(message: Message) -> bytes:
    """Return the header bytes of *message*."""
    return _encoder.encode(message)


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
