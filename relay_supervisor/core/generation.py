"""The life of one worker, as a table. No I/O, no clock, no logging."""

import enum
from collections.abc import Mapping
from typing import Final

import msgspec

from relay_supervisor.errors import LocalProtocolError
from relay_supervisor.wire import cache, v1


class Life(enum.Enum):
    """Where a generation is; see the table."""

    SPAWNING = "spawning"
    HANDSHAKING = "handshaking"
    WARMING = "warming"
    READY = "ready"
    ACTIVE = "active"
    STANDBY = "standby"
    DRAINING = "draining"
    RETIRED = "retired"
    FAILED = "failed"


class Step(enum.Enum):
    """What moves a generation on."""

    SPAWNED = "spawned"
    WELCOMED = "welcomed"
    REPORTED_READY = "reported ready"
    PROMOTED = "promoted"
    SUPERSEDED = "superseded"
    RETIRED = "told to retire"
    EMPTIED = "emptied"
    FAILED = "failed"


_S, _T = Life, Step
# An absent pair is a bug of ours or a lie of the worker's, never a silent no-op.
TRANSITIONS: Final[Mapping[Life, Mapping[Step, Life]]] = {
    _S.SPAWNING: {_T.SPAWNED: _S.HANDSHAKING, _T.FAILED: _S.FAILED},
    _S.HANDSHAKING: {_T.WELCOMED: _S.WARMING, _T.FAILED: _S.FAILED},
    # Only replacements are gated: with no active generation a warming one is promoted at once.
    _S.WARMING: {_T.REPORTED_READY: _S.READY, _T.PROMOTED: _S.ACTIVE, _T.FAILED: _S.FAILED},
    _S.READY: {_T.PROMOTED: _S.ACTIVE, _T.FAILED: _S.FAILED},
    # Promoted before it was ready, a generation reports it later; it may be replaced by then.
    _S.ACTIVE: {
        _T.REPORTED_READY: _S.ACTIVE,
        _T.SUPERSEDED: _S.STANDBY,
        _T.RETIRED: _S.DRAINING,
        _T.FAILED: _S.FAILED,
    },
    _S.STANDBY: {
        _T.REPORTED_READY: _S.STANDBY,
        _T.PROMOTED: _S.ACTIVE,
        _T.RETIRED: _S.DRAINING,
        _T.FAILED: _S.FAILED,
    },
    _S.DRAINING: {
        _T.REPORTED_READY: _S.DRAINING,
        _T.EMPTIED: _S.RETIRED,
        _T.FAILED: _S.FAILED,
    },
    _S.RETIRED: {},
    _S.FAILED: {},
}

GONE: Final = (_S.RETIRED, _S.FAILED)
"""Nothing from a generation in these states counts any more."""

REMOTE_KINDS: Final = ("http", "sse")
"""Backends that no process of ours is; several workers may share a session with one."""

PAST: Final = (_S.STANDBY, _S.DRAINING)
"""One that has served; what it has under way is still answered."""

COMING: Final = (_S.SPAWNING, _S.HANDSHAKING, _S.WARMING, _S.READY)
"""One that is going to serve, if all goes well."""

LIMIT_SECONDS: Final[Mapping[Life, float]] = {
    _S.SPAWNING: 5.0,
    _S.HANDSHAKING: 10.0,
    _S.WARMING: 60.0,
}
"""How long a generation may stay in a state; while it warms up, without having reported its
configuration."""


class Source(msgspec.Struct, frozen=True):
    """What a generation is made of, enough to make it again: code and configuration."""

    python: str
    """Path of the interpreter that runs the worker; its environment is the release."""
    release: str
    """The release's name; empty for the environment the relay itself runs in."""
    config: bytes | None = None
    """The configuration file's bytes; None: the worker is to read the file as it is then."""


class Offer(msgspec.Struct):
    """What a worker has reported of itself: it takes effect when its generation is active."""

    configured: bool = False
    backends: list[v1.BackendInfo] = []
    limits: v1.Limits = msgspec.field(default_factory=v1.Limits)
    problems: list[str] = []
    broken: bool = False
    instructions: str = ""
    config_digest: str = ""
    catalogue: v1.Catalogue | None = None
    body: bytes = b""
    """The catalogue's payload."""
    states: dict[str, v1.BackendState] = {}
    lists: dict[str, cache.Lists] = {}
    sessions: dict[str, cache.Lists] = {}
    checks: list[v1.CheckResult] = []
    adopts: bool = False
    """It can take backends over from another worker, and give them back."""
    ready: bool = False
    """It has said so; until then its catalogue may lack what it has yet to learn."""


ACTIVE: Final = Life.ACTIVE
HANDSHAKING: Final = Life.HANDSHAKING
FAILED: Final = Life.FAILED
RETIRED: Final = Life.RETIRED
"""For the path of every call: to get at an enum's member takes as long as a call."""


class Generation(msgspec.Struct):
    """One worker process, from its start to its end."""

    number: int
    nonce: str
    source: Source
    offer: Offer = msgspec.field(default_factory=Offer)
    state: Life = Life.SPAWNING
    pid: int | None = None
    build: str = ""
    version: int = 0
    unanswered_pings: int = 0
    attends: bool = True
    """It hears what remote backends say by themselves."""
    failure: str = ""
    """Why it was given up."""

    @property
    def pair(self) -> tuple[str, str]:
        """What it is made of, as it says itself: its build, and its configuration's digest."""
        return self.build, self.offer.config_digest

    def advance(self, step: Step) -> None:
        """Go to the next state.

        Raises:
            LocalProtocolError: the table knows no such step from here.
        """
        after = TRANSITIONS[self.state].get(step)
        if after is None:
            raise LocalProtocolError(
                f"generation {self.number} cannot be {step.value} while {self.state.value}"
            )
        self.state = after
