"""The life of one worker, as a table. No I/O, no clock, no logging."""

import enum
from collections.abc import Mapping
from typing import Final

import msgspec

from relay_supervisor.errors import LocalProtocolError


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
    # Promoted before it was ready, a generation reports it later.
    _S.ACTIVE: {
        _T.REPORTED_READY: _S.ACTIVE,
        _T.SUPERSEDED: _S.STANDBY,
        _T.RETIRED: _S.DRAINING,
        _T.FAILED: _S.FAILED,
    },
    _S.STANDBY: {_T.PROMOTED: _S.ACTIVE, _T.RETIRED: _S.DRAINING, _T.FAILED: _S.FAILED},
    _S.DRAINING: {_T.EMPTIED: _S.RETIRED, _T.FAILED: _S.FAILED},
    _S.RETIRED: {},
    _S.FAILED: {},
}

GONE: Final = (_S.RETIRED, _S.FAILED)
"""Nothing from a generation in these states counts any more."""

LIMIT_SECONDS: Final[Mapping[Life, float]] = {_S.SPAWNING: 5.0, _S.HANDSHAKING: 10.0}
"""How long a generation may stay in a state."""


class Generation(msgspec.Struct):
    """One worker process, from its start to its end."""

    number: int
    nonce: str
    state: Life = Life.SPAWNING
    pid: int | None = None
    build: str = ""
    version: int = 0

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
