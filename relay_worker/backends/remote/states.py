"""The life of a remote backend, as a table. No I/O, no clock. The states are `base.State`.

IDLE, FAILED      ──WANTED──▶ CONNECTING ──CONNECTED──▶ READY
READY             ──REOPENED─▶ CONNECTING, as its session was lost
CONNECTING, READY ──BROKE────▶ BACKING_OFF ──RETRY──▶ CONNECTING
CONNECTING, READY ──STOPPED──▶ IDLE
BACKING_OFF       ──GIVEN_UP─▶ FAILED
"""

import enum
from collections.abc import Mapping
from typing import Final

from relay_supervisor.wire.errors import LocalProtocolError
from relay_worker.backends.base import State


class Event(enum.Enum):
    """What happens to a remote backend."""

    WANTED = "a call or the first look at its lists needs it"
    CONNECTED = "it has answered initialize and all lists"
    REOPENED = "its session is lost, and another one is being begun"
    BROKE = "it cannot be reached, or spoke nonsense, or took too long"
    STOPPED = "the session is to end, though nothing is wrong with it"
    RETRY = "the back-off is over"
    GIVEN_UP = "trying again by itself is no use"


_S, _E = State, Event

# An absent pair is a bug of the relay's, never a silent no-op.
TRANSITIONS: Final[Mapping[State, Mapping[Event, State]]] = {
    _S.DISABLED: {_E.WANTED: _S.DISABLED},
    _S.IDLE: {_E.WANTED: _S.CONNECTING},
    _S.CONNECTING: {
        _E.WANTED: _S.CONNECTING,
        _E.CONNECTED: _S.READY,
        _E.REOPENED: _S.CONNECTING,  # the session handed over was not there any more
        _E.BROKE: _S.BACKING_OFF,
        _E.STOPPED: _S.IDLE,
    },
    _S.READY: {
        _E.WANTED: _S.READY,
        _E.REOPENED: _S.CONNECTING,
        _E.BROKE: _S.BACKING_OFF,
        _E.STOPPED: _S.IDLE,
    },
    _S.BACKING_OFF: {
        _E.WANTED: _S.BACKING_OFF,
        _E.RETRY: _S.CONNECTING,
        _E.GIVEN_UP: _S.FAILED,
    },
    _S.FAILED: {_E.WANTED: _S.CONNECTING, _E.RETRY: _S.CONNECTING},
}

STARTING: Final = frozenset({_S.CONNECTING, _S.BACKING_OFF})
"""States that lead to READY without further ado, if all goes well."""


def advance(state: State, event: Event) -> State:
    """Return the state after *event*.

    Raises:
        LocalProtocolError: the event cannot happen in this state.
    """
    after = TRANSITIONS[state].get(event)
    if after is None:
        raise LocalProtocolError(f"remote backend event {event.name} while {state.name}")
    return after
