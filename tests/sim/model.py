"""What the simulation knows that the core should know, too: who asked what, and who is alive.

Plain data and the rules of a legal world. A broken rule raises `Violation`; nothing here reads the
core's state.
"""

import dataclasses
import random
from typing import Any

Key = int | str


class Violation(AssertionError):
    """The core did what it must never do."""


def must(true: object, what: str) -> None:
    """Raise Violation where something that must be true is not."""
    if not true:
        raise Violation(what)


@dataclasses.dataclass
class Asked:
    """A request of the client's without an answer."""

    key: Key
    method: str
    marker: int
    """In the params, and back in the result: so an answer that got lost and found is noticed."""
    modern: bool
    born: float
    """Seconds awake when it was asked."""
    batch: int = 0


@dataclasses.dataclass
class Sent:
    """A call as a worker got it."""

    number: int
    marker: int
    generation: int


@dataclasses.dataclass
class Child:
    """A process the core believes in."""

    pid: int
    generation: int
    backend: str = ""
    dies: float | None = None


@dataclasses.dataclass
class Worker:
    """A generation as seen from the other end of its pipe."""

    generation: int
    phase: str = "new"
    """new, called, welcomed, configured; lost once the core closed its pipe or it exited."""
    nonce: str = ""
    pid: int = 0
    introduced: bool = False
    open: bool = True
    calls: dict[int, Sent] = dataclasses.field(default_factory=dict)
    answered: list[int] = dataclasses.field(default_factory=list)
    asks: dict[bytes, int] = dataclasses.field(default_factory=dict)
    """Questions of its backends without an answer, with the pid that asked."""
    tokens: int = 0
    spawns: set[int] = dataclasses.field(default_factory=set)


class Dice:
    """Choices from one seed; the weights differ from run to run, so that runs differ in kind."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self._favour: dict[str, float] = {}

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def pick(self, things: Any) -> Any:
        return self.rng.choice(list(things))

    def weigh(self, name: str, weight: float) -> float:
        """The weight of an action in this run."""
        if name not in self._favour:
            self._favour[name] = self.rng.choice((0.0, 0.3, 1.0, 1.0, 3.0))
        return weight * self._favour[name]
