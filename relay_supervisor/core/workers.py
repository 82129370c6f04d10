"""The generations: which one is active, how one comes up, and what follows when it dies."""

import msgspec

from relay_supervisor.core import effects
from relay_supervisor.core.events import ProcessExited
from relay_supervisor.core.generation import (
    COMING,
    GONE,
    LIMIT_SECONDS,
    PAST,
    REMOTE_KINDS,
    Generation,
    Life,
    Source,
    Step,
)
from relay_supervisor.core.outbox import Outbox
from relay_supervisor.core.timers import Timers
from relay_supervisor.errors import RemoteProtocolError
from relay_supervisor.wire import handshake, v1
from relay_supervisor.wire.errors import UNDECODABLE

_decoder = msgspec.msgpack.Decoder(handshake.Welcome)


class Identity(msgspec.Struct, frozen=True):
    """What the relay knows of itself and hands to its workers."""

    instance: str
    build: str
    pid: int
    config_path: str
    config_required: bool
    """The file was asked for, so it is an error if it is missing."""
    started_at: float
    """Wall clock, in seconds of the epoch: only to say when something was."""
    project: str
    state_dir: str
    log_level: str
    log_format: str
    python: str = ""
    """The interpreter it runs on: in its environment there is a worker of its own version."""


class WorkersState(msgspec.Struct):
    """Plain data of this room."""

    generations: dict[int, Generation] = {}
    active: int | None = None
    last: int = 0
    entropy: int = 1


class Workers:
    """Brings generations up and lets them go."""

    def __init__(
        self, identity: Identity, state: WorkersState, timers: Timers, out: Outbox
    ) -> None:
        self.identity = identity
        self.state = state
        self._timers = timers
        self._out = out

    def active(self) -> Generation | None:
        """Return the generation that gets new calls, if there is one."""
        return self.state.generations.get(self.state.active or 0)

    def nobody(self) -> bool:
        """Tell whether no worker serves, and none is on its way to."""
        lives = {generation.state for generation in self.state.generations.values()}
        return not lives & {*COMING, Life.ACTIVE}

    def spawn(self, source: Source, now: float) -> Generation:
        """Begin a new generation."""
        state = self.state
        state.last += 1
        generation = Generation(state.last, f"{self.random(1 << 64):016x}", source)
        state.generations[generation.number] = generation
        self._out.put(effects.SpawnWorker(generation.number, source.python))
        self._limit(generation, now)
        return generation

    def spawned(self, number: int, pid: int, now: float) -> None:
        """The process runs: say hello, and what it is to serve."""
        generation = self.state.generations[number]
        generation.pid = pid
        generation.advance(Step.SPAWNED)
        self._limit(generation, now)
        me = self.identity
        hello = handshake.Hello(handshake.VERSIONS, me.build, number, generation.nonce)
        self._out.worker(number, hello)

    def welcomed(self, generation: Generation, header: bytes, now: float) -> None:
        """The worker's first frame: agree on a version, and configure it.

        Raises:
            RemoteProtocolError: it is not the worker that was called, or speaks otherwise.
        """
        try:
            welcome = _decoder.decode(header)
        except UNDECODABLE as error:
            raise RemoteProtocolError(f"its first frame is no welcome: {error}") from error
        if welcome.generation != generation.number or welcome.nonce != generation.nonce:
            raise RemoteProtocolError("its welcome is for another generation")
        if welcome.version not in handshake.VERSIONS:
            raise RemoteProtocolError(f"it wants pipe version {welcome.version}")
        generation.build = welcome.build
        generation.version = welcome.version
        generation.advance(Step.WELCOMED)
        self._limit(generation, now)
        me = self.identity
        configure = v1.Configure(
            config_path=me.config_path,
            project=me.project,
            state_dir=me.state_dir,
            instance=me.instance,
            log_level=me.log_level,
            log_format=me.log_format,
            has_snapshot=generation.source.config is not None,
            default_if_missing=not me.config_required,
        )
        self._out.worker(generation.number, configure, generation.source.config or b"")

    def configured(self, generation: Generation) -> None:
        """It has read its configuration; from here on it may take the time it needs."""
        self._timers.clear(f"worker#{generation.number}")

    def promote(self, generation: Generation) -> None:
        """Make *generation* the one that gets new calls."""
        generation.advance(Step.PROMOTED)
        self.state.active = generation.number
        for other in self.state.generations.values():
            if other.state in PAST:
                self.attend(other, attend=False)
        self.attend(generation, attend=True)

    def attend(self, generation: Generation, *, attend: bool) -> None:
        """Say whether *generation* is the one to hear what remote backends say by themselves."""
        remote = any(backend.kind in REMOTE_KINDS for backend in generation.offer.backends)
        if remote and generation.attends != attend:
            generation.attends = attend
            self._out.worker(generation.number, v1.Attend(attend))

    def fail(self, generation: Generation, reason: str) -> None:
        """A generation is lost: its pipe is closed; the caller ends its process."""
        if generation.state in GONE:
            return
        generation.advance(Step.FAILED)
        generation.failure = reason
        self._timers.clear(f"worker#{generation.number}")
        if self.state.active == generation.number:
            self.state.active = None
        self._out.put(effects.ClosePipe(generation.number))
        self._out.log("error", f"worker of generation {generation.number} failed: {reason}")

    def forget(self, number: int) -> None:
        """The process of a generation is reaped: nothing of it is left."""
        self.state.generations.pop(number, None)
        self._timers.clear(f"worker#{number}")
        if self.state.active == number:
            self.state.active = None

    def _limit(self, generation: Generation, now: float) -> None:
        name = f"worker#{generation.number}"
        if (seconds := LIMIT_SECONDS.get(generation.state)) is None:
            self._timers.clear(name)
        else:
            self._timers.set(name, now + seconds)

    def random(self, below: int) -> int:
        """Return the next number of a xorshift: repeatable from a seed, unlike `random`."""
        x = self.state.entropy
        x ^= (x << 13) & (2**64 - 1)
        x ^= x >> 7
        x ^= (x << 17) & (2**64 - 1)
        self.state.entropy = x
        return x % below


def how_it_ended(event: ProcessExited) -> str:
    """Return what the exit of a worker says of its end."""
    if event.status < 0:
        return f"it was ended by signal {-event.status}"
    # Who exits by himself says why; last is then the line with the exception.
    words = f": {event.words}" if event.words and event.status else ""
    if event.status == handshake.EXIT_INCOMPATIBLE:
        spoken = ", ".join(map(str, handshake.VERSIONS))
        return (
            f"it is made for another version of Relay than this one, which speaks pipe version "
            f"{spoken}; swap to another release, or start the client anew with that version{words}"
        )
    return f"it exited with status {event.status}{words}"
