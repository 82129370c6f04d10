"""How the client stands to a request in which it was asked something: all that can happen to that.

    OPEN ──ASKED──▶ PARKED ──SETTLED──▶ KEPT
    PARKED, KEPT ──RETRIED──▶ OPEN

Nothing is decided here, and nobody is told: that is `parking`.
"""

import enum
from collections.abc import Mapping
from typing import Final

from relay_supervisor.core.state import Parked, Seat
from relay_supervisor.errors import LocalProtocolError


class Step(enum.Enum):
    """What happens to it."""

    ASKED = "parked"
    SETTLED = "answered for a retry"
    RETRIED = "retried"


# An absent pair is a bug of ours.
TRANSITIONS: Final[Mapping[Seat, Mapping[Step, Seat]]] = {
    Seat.OPEN: {Step.ASKED: Seat.PARKED},
    Seat.PARKED: {Step.SETTLED: Seat.KEPT, Step.RETRIED: Seat.OPEN},
    Seat.KEPT: {Step.RETRIED: Seat.OPEN},
}


def advance(parked: Parked, step: Step) -> None:
    """Take it to its next state.

    Raises:
        LocalProtocolError: the table knows no such step from here.
    """
    after = TRANSITIONS[parked.seat].get(step)
    if after is None:
        raise LocalProtocolError(
            f"request {parked.ticket} cannot be {step.value} while it is {parked.seat.value}"
        )
    parked.seat = after
