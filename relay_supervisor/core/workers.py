"""The generations: which one is active, how one comes up, and what follows when it dies."""

from typing import Final

import msgspec

from relay_supervisor.core import effects
from relay_supervisor.core.generation import GONE, LIMIT_SECONDS, Generation, Step
from relay_supervisor.core.outbox import Outbox
from relay_supervisor.core.timers import Timers
from relay_supervisor.errors import RemoteProtocolError
from relay_supervisor.wire import handshake, v1
from relay_supervisor.wire.errors import UNDECODABLE

BACKOFF_SECONDS_FIRST: Final = 0.1
BACKOFF_SECONDS_MAX: Final = 10.0
BACKOFF_DOUBLINGS_MAX: Final = 10
STEADY_SECONDS: Final = 60.0
"""A worker that served this long has not failed at its start: the back-off begins anew."""

_decoder = msgspec.msgpack.Decoder(handshake.Welcome)


class Identity(msgspec.Struct, frozen=True):
    """What the relay knows of itself and hands to its workers."""

    instance: str
    build: str
    pid: int
    config_path: str | None
    """The configuration file; None: there is none, the embedded default is served."""
    config: bytes | None
    """The file's bytes as they were at the start; None: it could not be read, or there is none."""
    project: str
    state_dir: str
    log_level: str
    log_format: str


class WorkersState(msgspec.Struct):
    """Plain data of this room."""

    generations: dict[int, Generation] = {}
    active: int | None = None
    last: int = 0
    failures: int = 0
    promoted: float = 0.0
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

    def spawn(self, now: float) -> Generation:
        """Begin a new generation."""
        state = self.state
        state.last += 1
        generation = Generation(state.last, f"{self._random(1 << 64):016x}")
        state.generations[generation.number] = generation
        self._out.put(effects.SpawnWorker(generation.number))
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
            has_snapshot=me.config is not None,
        )
        self._out.worker(generation.number, configure, me.config or b"")

    def promote(self, generation: Generation, now: float) -> None:
        """Make *generation* the one that gets new calls."""
        generation.advance(Step.PROMOTED)
        self.state.active = generation.number
        self.state.promoted = now

    def fail(self, generation: Generation, reason: str) -> None:
        """A generation is lost: its pipe is closed; the caller ends its process."""
        if generation.state in GONE:
            return
        generation.advance(Step.FAILED)
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

    def respawn_later(self, now: float) -> None:
        """Start another worker after a full-jitter back-off."""
        state = self.state
        if state.promoted and now - state.promoted > STEADY_SECONDS:
            state.failures = 0
        state.promoted = 0.0
        # Capped before it is a float: 2**1024, a night of crashes, would be none.
        doubled = BACKOFF_SECONDS_FIRST * 2 ** min(state.failures, BACKOFF_DOUBLINGS_MAX)
        ceiling = min(BACKOFF_SECONDS_MAX, doubled)
        state.failures += 1
        delay = ceiling * self._random(1000) / 1000
        self._timers.set("respawn", now + delay)

    def _limit(self, generation: Generation, now: float) -> None:
        name = f"worker#{generation.number}"
        if (seconds := LIMIT_SECONDS.get(generation.state)) is None:
            self._timers.clear(name)
        else:
            self._timers.set(name, now + seconds)

    def _random(self, below: int) -> int:
        """Return the next number of a xorshift: repeatable from a seed, unlike `random`."""
        x = self.state.entropy
        x ^= (x << 13) & (2**64 - 1)
        x ^= x >> 7
        x ^= (x << 17) & (2**64 - 1)
        self.state.entropy = x
        return x % below
