"""All that a relay knows, as plain data: it can be written to a memfd and read back.

Rooms of the core hold references into this tree and nothing beside it but what follows from it.
Times are of the monotonic clock, in seconds.
"""

import enum
from typing import Final

import msgspec

from relay_supervisor.core.mcp import Id
from relay_supervisor.wire import v1


class Phase(enum.Enum):
    """Where a client request is. It leaves the table when it is answered or cancelled."""

    GREETING = "greeting"  # initialize or discover, until the instructions are known
    LISTING = "listing"  # a list, until the first catalogue is there
    HELD = "held"  # to be carried out, no worker is up
    CALLING = "calling"  # carried out by a backend
    LISTENING = "listening"  # subscriptions/listen, answered only at the end


CALLING: Final = Phase.CALLING
"""For the path of every call: to get at an enum's member takes as long as a call."""


class ClientRequest(msgspec.Struct):
    """What the client asked and has no answer to yet."""

    id: Id
    raw_id: bytes
    method: str
    era: int
    phase: Phase
    arrived: float
    token: bytes = b""
    """The progress token as the client wrote it, empty where it sent none."""
    name: str = ""
    params: bytes = b""
    call: int = 0
    batch: int = 0
    attempts: int = 0
    held_since: float = 0.0
    ticket: int = 0
    """Of its `Parked`, once the client was asked something in it; with no `raw_id` it is parked."""
    log_level: str = ""
    """From which level on a modern client wants to hear what its backend logs; empty: nothing."""


class BackendCall(msgspec.Struct):
    """One attempt at carrying out a client request."""

    number: int
    request: Id
    generation: int
    backend: str
    sent: float
    attempt: int = 1
    deadline: float | None = None
    pid: int = 0
    """The process that works on it, while no worker has that (`generation` is 0 then)."""
    written: bool = False
    """A worker before the present one gave it to its backend."""
    begun: bool = False
    """Its backend has answered it by asking for more, and is given it once more."""
    progress: bytes = b""
    """The params of what the client is not told yet, and since when: see `racing`."""
    progress_at: float = 0.0


class Ask(msgspec.Struct):
    """A request of a backend's that the client has to answer."""

    number: int
    method: str
    generation: int
    backend: str
    backend_id: bytes
    pid: int
    params: bytes = b""
    """Kept until the question is put to the client; of one with a ticket, until it is answered."""
    ticket: int = 0
    """Of the parked request whose retry brings the answer; 0: the client is asked by a request."""
    call: int = 0
    """In which it was asked, where its backend has said so; 0: nobody knows."""


class Seat(enum.Enum):
    """How the client stands to a request in which it was asked something."""

    OPEN = "open"  # it waits for the answer, and has nothing to say
    PARKED = "parked"  # it was told what is asked, and is to retry; the call goes on meanwhile
    KEPT = "kept"  # the same, and the answer is there already


class Parked(msgspec.Struct):
    """A modern client's request in which a legacy backend has asked something."""

    ticket: int
    method: str
    name: str
    capabilities: bytes
    """What the client has declared in the last envelope."""
    seat: Seat = Seat.OPEN
    turn: int = 0
    """How often it was parked: a retry counts for the last time only."""
    answer: bytes = b""
    """The members that are kept for the retry."""


class ParkingState(msgspec.Struct):
    """All of them, by their tickets."""

    secret: bytes = b""
    """What states given to the client are authenticated with."""
    last: int = 0
    open: dict[int, Parked] = {}


class Hold(enum.Enum):
    """Where a charge is."""

    HELD = "held"  # its holder may start it and speak with it
    FREEZING = "freezing"  # its holder is to give it back
    FREE = "free"  # nobody's; its process may go on running
    ADOPTING = "adopting"  # given to its holder, which has not said yet that it can use it


class Charge(msgspec.Struct):
    """A stdio backend as started by one specification: one worker at most has it."""

    backend: str
    spec_hash: str
    hold: Hold = Hold.HELD
    holder: int = 0
    """The generation that has it, 0 for none."""
    pid: int = 0
    """Its process, 0 for none."""
    exit_status: int | None = None
    """Its process is dead, and whoever has it next is to be told."""
    ending: bool = False
    """Its process has to go before anybody can have it."""
    left: bytes = b""
    """The custody it was left in."""
    joined: bytes = b""
    """The custody to go on from if its holder is killed; empty before its handshake is complete."""
    crashed: bool = False
    """The last one to have it was killed."""
    moved_at: int = 0
    """The last call number when it was asked back or given: later ones came after that."""
    last_pid: int = 0
    seen: int = -1
    """Offset in the output of `last_pid` of the last message that was passed on."""
    deaths: int = 0
    """Of workers, one after another, while they took its process over."""

    @property
    def key(self) -> str:
        """What is at most one of."""
        return f"{self.backend} {self.spec_hash}"


class CustodyState(msgspec.Struct):
    """What is to be done about charges."""

    served: int | None = None
    """The generation that was active when it was looked at last."""
    stale: bool = True
    """Something has changed since."""


class Errand(msgspec.Struct):
    """Something other than a call that a backend has to be told once, until it is."""

    number: int
    backend: str
    generation: int
    """Whom it was given to, 0 for nobody."""
    message: v1.Cancel | v1.ClientAnswer
    payload: bytes
    pid: int = 0
    """The process it is for, while no worker has that."""
    carried: bool = False
    """The custody its backend was left in has it already."""
    reached: bool = False
    """The call that it cancels may have reached the backend through a worker before this one."""


class TaskToken(msgspec.Struct):
    """The progress token of a call that was answered with a task, by the call's number."""

    task: str
    backend: str
    token: bytes


class BatchReply(msgspec.Struct):
    """The answer to a batch, as far as it is known."""

    waiting: int
    parts: list[bytes] = []


class Listen(msgspec.Struct):
    """An open `subscriptions/listen`: what the client wants to hear of."""

    raw_id: bytes
    tools: bool = False
    prompts: bool = False
    resources: bool = False
    uris: list[str] = []
    tasks: list[str] = []


class Peer(msgspec.Struct):
    """Who the client is, and what is replayed to every new worker."""

    era: int | None = None
    protocol: str = ""
    name: str = ""
    version: str = ""
    params: bytes = b""
    """The params of `initialize`, or what stands for them with a modern client."""
    capabilities: list[str] = []
    greeted: bool = False
    """A legacy client got its answer to initialize."""
    ready: bool = False
    """A legacy client sent `notifications/initialized`."""
    log_level: str | None = None
    uris: list[str] = []
    listens: dict[Id, Listen] = {}
    met: float | None = None
    """When the client was first heard of: the first lists are waited for from then on."""

    def subscriptions(self) -> list[str]:
        """Return all URIs the client wants to hear of, in either era."""
        uris = dict.fromkeys(self.uris)
        for listen in self.listens.values():
            uris |= dict.fromkeys(listen.uris)
        return list(uris)

    def tasks(self) -> list[str]:
        """Return the ids of all tasks the client wants to hear of."""
        return list(dict.fromkeys(task for one in self.listens.values() for task in one.tasks))


class Backend(msgspec.Struct):
    """A backend as last reported, and what its calls came to."""

    name: str
    kind: str
    call_timeout_seconds: float | None = None
    state: str = "unknown"
    pid: int | None = None
    tools: int = 0
    restarts: int = 0
    last_error: str | None = None
    skipped_lines: int = 0
    calls: int = 0
    errors: int = 0


class Counts(msgspec.Struct):
    """Totals since the start. `latencies` is a ring of the last answers, in seconds."""

    total: int = 0
    retried: int = 0
    unknown_outcome: int = 0
    late_replies: int = 0
    handed_over: int = 0
    """Calls that went from one worker to another with the backend that works on them."""
    latencies: list[float] = []
    position: int = 0


class State(msgspec.Struct):
    """The whole of it, but for generations, processes and catalogue, which their rooms define."""

    peer: Peer = msgspec.field(default_factory=Peer)
    requests: dict[Id, ClientRequest] = {}
    calls: dict[int, BackendCall] = {}
    asks: dict[int, Ask] = {}
    charges: dict[str, Charge] = {}
    custody: CustodyState = msgspec.field(default_factory=CustodyState)
    errands: dict[int, Errand] = {}
    batches: dict[int, BatchReply] = {}
    backends: dict[str, Backend] = {}
    counts: Counts = msgspec.field(default_factory=Counts)
    limits: v1.Limits = msgspec.field(default_factory=v1.Limits)
    problems: list[str] = []
    broken: bool = False
    worker_trouble: str = ""
    """Why the last worker failed, until one serves again."""
    last_call: int = 0
    last_ask: int = 0
    last_token: int = 1 << 62
    """Of descriptors; workers choose their own from 1 on."""
    last_batch: int = 0
    retained_bytes: int = 0
    started: float = 0.0
    stderr_dropped: int = 0
    task_tokens: dict[int, TaskToken] = {}
