"""What the supervisor says to a worker, version 1. Add-only. See `v1` for the words used here."""

import msgspec

from relay_supervisor.wire.v1_message import Message


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
    """The client no longer wants the answer. Payload: the params of its notification, or empty.

    With `errand` the worker says `Done` once it has told the backend, or need not. With `backend`
    the one before had the call: that backend is told in any case.
    """

    call: int
    errand: int = 0
    backend: str = ""


class ClientAnswer(Message, frozen=True, tag=6):
    """The client's answer to a `BackendRequest`. Payload: members. `id` as the request had it.
    With `errand` the worker says `Done` once the backend has it, or is gone. What it says of one
    for a backend that it has given back does not count: the next one is told. `method`: what it
    answers.
    """

    backend: str
    id: bytes
    pid: int
    errand: int = 0
    method: str = ""


class ClientNotification(Message, frozen=True, tag=7):
    """A notification of the client's that concerns backends. Payload: params."""

    method: str


class SetLevel(Message, frozen=True, tag=8):
    """The client set its log level; tell the backends that log."""

    level: str


class Subscriptions(Message, frozen=True, tag=9):
    """The complete set of resource URIs the client wants updates for, and of tasks it wants to hear
    of, by their ids.
    """

    uris: list[str]
    tasks: list[str] = msgspec.field(default_factory=list)


class Spawned(Message, frozen=True, tag=10):
    """The backend asked for with `Spawn` runs; stdin, stdout and stderr (in this order) came over
    the socketpair with `token` as eight bytes, before this message; and the memory of its mailbox
    as a fourth where `Spawn` asked for one.
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
    """End: let go of the backends and exit with status 0. `for_good`: nobody comes after, so
    servers can forget the sessions.
    """

    for_good: bool = False


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


class Await(Message, frozen=True, tag=20):
    """These backends, all of them, are another worker's for now and will come with `Adopt`: do not
    start them. Sent before `Session`.
    """

    backends: list[str]


class Freeze(Message, frozen=True, tag=21):
    """Give these backends back: stop reading and writing at once, and say `Frozen` for each. Before
    that say `Returned` for the calls that wait in this worker: for one of these, for one that it
    awaits, or for one that is not known yet. Without names: only that, as another worker serves.

    A call that comes after this waits as for a backend that starts: it may be given again.
    """

    backends: list[str]


class Adopt(Message, frozen=True, tag=22):
    """A backend is this worker's from now on. Payload: the `wire.custody.Custody` it was left in,
    or empty. `pid` 0: nothing of it runs. Else its descriptors came with `token` as for `Spawned`,
    always with a mailbox, and the worker answers with `Adopted`.

    `calls` are under way at it. `crashed`: whoever had it before was killed.
    """

    token: int
    backend: str
    pid: int
    calls: list[Call] = msgspec.field(default_factory=list)
    crashed: bool = False


class Stderr(Message, frozen=True, tag=23):
    """What a backend wrote to its stderr while no worker read it. Payload: the bytes."""

    backend: str
    pid: int


class KnownSession(Message, frozen=True, tag=32):
    """The session another worker has with a remote backend. Payload: what `LearnedSession` carried.
    Sent before `Session`.
    """

    backend: str
    spec_hash: str


class Attend(Message, frozen=True, tag=33):
    """Whether this worker is to hear what remote backends say by themselves, as the one that
    serves: a server tells it to only one of those who share a session. Without this message it is.
    """

    attend: bool


class KnownLinks(Message, frozen=True, tag=48):
    """Resources that a backend has named and does not list, as another worker has learned it. At
    the start before `Session`, and whenever there are more.
    """

    backend: str
    uris: list[str]
