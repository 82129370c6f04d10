"""What the simulation knows that the core should know, too: who asked what, and who is alive.

Plain data and the rules of a legal world. A broken rule raises `Violation`; nothing here reads the
core's state.
"""

import dataclasses
import random
from typing import Any

from relay_supervisor.wire.ledger import Stage
from tests.sim.setup import Setup

Key = int | str


class Violation(AssertionError):
    """The core did what it must never do."""


def must(true: object, what: str, *about: object) -> None:
    """Raise Violation where something that must be true is not; *what* is filled in only then."""
    if not true:
        raise Violation(what.format(*about) if about else what)


@dataclasses.dataclass(slots=True)
class Asked:
    """A request of the client's without an answer."""

    key: Key
    method: str
    marker: int
    """In the params, and back in the result: so an answer that got lost and found is noticed."""
    modern: bool
    born: float
    """Seconds awake when it was asked."""
    name: str = ""
    batch: int = 0
    parked: bool = False
    """It was answered with what is asked in it, and not retried yet."""
    turns: int = 0
    """How often it was parked."""
    since: float = 0.0
    """When it was parked last."""
    questions: list[str] = dataclasses.field(default_factory=list)
    """What was asked then."""
    worker: int = 0
    """Which generation served then."""
    bad: bool = False
    """A retry that is to be refused."""


@dataclasses.dataclass(slots=True)
class Sent:
    """A call as a worker got it."""

    number: int
    marker: int
    generation: int
    stage: int = 0
    """What the worker's ledger says of it, 0: it has not been taken from the pipe."""
    doubt: bool = False
    """The worker is dead, and a backend may have seen it."""
    returned: bool = False
    """The worker has given it back; no backend has seen it."""


@dataclasses.dataclass(slots=True)
class Child:
    """A process the core believes in."""

    pid: int
    generation: int
    backend: str = ""
    dies: float | None = None


@dataclasses.dataclass(slots=True)
class Worker:
    """A generation as seen from the other end of its pipe."""

    generation: int
    python: str = ""
    phase: str = "new"
    """new, called, welcomed, told (what to read), configured; lost once the core closed its pipe or
    it exited."""
    nonce: str = ""
    pid: int = 0
    setup: Setup | None = None
    """Its code and configuration, once it was told which."""
    has_snapshot: bool = False
    introduced: bool = False
    open: bool = True
    sound: bool = True
    """It is the one that was called, and speaks as it should."""
    deaf: bool = False
    """It was stopped: it says nothing, and may wake."""
    mute: bool = False
    attends: bool = True
    """It hears what remote servers say by themselves."""
    links: dict[str, str] = dataclasses.field(default_factory=dict)
    """Whose the links are that it knows of."""
    """It has closed its pipe."""
    missed: int = 0
    """Pings in a row it had no chance to answer."""
    calls: dict[int, Sent] = dataclasses.field(default_factory=dict)
    answered: list[int] = dataclasses.field(default_factory=list)
    asks: dict[bytes, int] = dataclasses.field(default_factory=dict)
    """Questions of its backends without an answer, with the pid that asked."""
    tokens: int = 0
    spawns: set[int] = dataclasses.field(default_factory=set)
    states: dict[str, str] = dataclasses.field(default_factory=dict)
    """Its backends as it has reported them."""
    learned: set[str] = dataclasses.field(default_factory=set)
    """The backends whose lists it knows."""
    settled: bool = False
    """It has reported a catalogue that lacks nothing."""
    ready: bool = False
    checks: int | None = None
    """Token of checks it was asked for."""
    level: str | None = None
    uris: set[str] = dataclasses.field(default_factory=set)
    """What it knows of the session."""

    def ledger(self) -> dict[int, int]:
        """What is found in its shared memory."""
        return {number: sent.stage for number, sent in self.calls.items() if sent.stage}

    def falls(self, ledger: dict[int, int] | None) -> None:
        """It is dead: what can be known of its calls is known now."""
        self.open, self.phase = False, "lost"
        for sent in self.calls.values():
            sent.doubt = ledger is None or sent.stage > Stage.RECEIVED


class Dice:
    """Choices from one seed; the weights differ from run to run, so that runs differ in kind."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def pick(self, things: Any) -> Any:
        return self.rng.choice(things if isinstance(things, (list, tuple)) else list(things))

    def weigh(self, weight: float, *, off: bool) -> float:
        """The weight of an action in this run; it may be taken not at all where *off* is set."""
        return weight * self.rng.choice((0.0 if off else 1.0, 0.3, 1.0, 1.0, 3.0))
