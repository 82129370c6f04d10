"""What a worker says to the supervisor, version 1. Add-only. See `v1` for the words used here."""

import msgspec

from relay_supervisor.wire.v1_message import Message


class BackendInfo(Message, frozen=True):
    """A backend as configured; `kind` is stdio, http, sse, llm or builtin."""

    name: str
    kind: str
    call_timeout_seconds: float | None = None
    fingerprint: str = ""
    """Changes with whatever the configuration says of this backend."""
    spec_hash: str = ""
    """Changes with how its process is started: with the same one it may go on under a new worker.
    Empty for one that has no process.
    """


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
    problems: list[str] = msgspec.field(default_factory=list)
    broken: bool = False
    """Nothing of the configuration could be used, though there is one."""
    config_digest: str = ""
    adopts: bool = False
    """This worker understands `Await`, `Freeze` and `Adopt`."""


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
    """The answer to a call. Payload: members. `outcome` is one of `OUTCOME_…`. `task`: the id of
    the task that a legacy client's call has made.
    """

    call: int
    outcome: int
    task: str = ""


class Progress(Message, frozen=True, tag=69):
    """Progress of a call. Payload: params without `progressToken`. `pid` and `at`: see `v1`.
    `backend`: who reports it of a call that is not under way there, and may have made a task.
    """

    call: int
    pid: int = 0
    at: int = 0
    backend: str = ""


class Notification(Message, frozen=True, tag=70):
    """A backend's notification for the client. Payload: params. `pid` and `at`: see `v1`. `call`:
    the one in whose own stream it was said, where there is such a thing.
    """

    backend: str
    method: str
    pid: int = 0
    at: int = 0
    call: int = 0


class BackendRequest(Message, frozen=True, tag=71):
    """A backend asks the client (sampling, elicitation, roots). Payload: params. `id` is its raw
    JSON-RPC id and `pid` the process that asked; both come back in `ClientAnswer`. `at`: see `v1`.
    `call`: the one in which it asks, where that is known.
    """

    backend: str
    id: bytes
    pid: int
    method: str
    at: int = 0
    call: int = 0


class BackendCancel(Message, frozen=True, tag=72):
    """A backend withdraws a `BackendRequest`. Payload: the params of its notification."""

    backend: str
    id: bytes
    pid: int


class Spawn(Message, frozen=True, tag=73):
    """Start a backend: in a session of its own, its pipe ends passed back. `mailbox_bytes`: and
    memory of that size (`wire.mailbox`); 0 for none.
    """

    token: int
    backend: str
    argv: list[str]
    env: dict[str, str]
    cwd: str
    mailbox_bytes: int = 0


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


class Frozen(Message, frozen=True, tag=82):
    """A backend is given back, as `Freeze` asked: all that was read of it came before this, and its
    descriptors are closed. Payload: the `wire.custody.Custody` it is left in. `pid` 0: nothing of
    it runs. `unsent` are the calls and errands that are not wholly written to it. The calls it has
    stay in the ledger until this is in the supervisor's pipe to the last byte.
    """

    backend: str
    pid: int
    unsent: list[int] = msgspec.field(default_factory=list)


class Returned(Message, frozen=True, tag=83):
    """These calls wait in this worker, no backend has seen them, and none of them is carried out
    any more: they are for another worker. Comes at once after `Freeze`, and again where more calls
    turn out to be nobody's; always before the `Frozen` of the backend they were for. They stay in
    the ledger until this is in the supervisor's pipe to the last byte.
    """

    calls: list[int]


class Adopted(Message, frozen=True, tag=84):
    """A backend that came with `Adopt` is at work here; or, with `refusal`, cannot be."""

    backend: str
    pid: int
    refusal: str = ""


class Joined(Message, frozen=True, tag=85):
    """A backend's handshake is complete, or what another worker would have to know of it has
    changed. Payload: the `wire.custody.Custody` to adopt it with if this worker is killed.
    """

    backend: str
    pid: int


class Done(Message, frozen=True, tag=86):
    """An errand is done: written whole to the backend, or void as its process is gone."""

    errand: int


class Begun(Message, frozen=True, tag=100):
    """A backend has answered a call by asking for more, and is given it once more under the same
    number: from here on it is never one that no backend has seen.
    """

    call: int


class LearnedSession(Message, frozen=True, tag=96):
    """The session a remote backend is in, to be gone on with by the next worker; it is kept in
    memory only. Payload: the worker's own format, or empty where there is none any more.
    """

    backend: str
    spec_hash: str


class LearnedLinks(Message, frozen=True, tag=112):
    """A backend has named resources that nobody lists: requests for them are its own, also under
    other workers. Sent before the answer that names them. What begins with `task ` is the id of a
    task it has made, with `hosted ` of one that the client carries out for it.
    """

    backend: str
    uris: list[str]
