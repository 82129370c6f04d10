"""The life of a backend process, as a table. No I/O, no clock.

IDLE, FAILED      ──WANTED──▶ SPAWNING ──SPAWNED──▶ CONNECTING ──CONNECTED──▶ READY
CONNECTING, READY ──STOPPED─▶ STOPPING ──EXITED──▶ IDLE
CONNECTING, READY ──FELL────▶ FALLEN ──LINGERED──▶ ENDING
CONNECTING, READY ──BROKE───▶ ENDING
all with a process ──EXITED─▶ BACKING_OFF ──RETRY──▶ SPAWNING
SPAWNING          ──REFUSED─▶ BACKING_OFF ──GIVEN_UP──▶ FAILED

A backend that moves to another worker:

CONNECTING, READY, all without a process ──FREEZE─▶ AWAITED
all others ──FREEZE─▶ LEAVING ──SPAWNED, REFUSED, EXITED─▶ AWAITED
AWAITED    ──ADOPTED─▶ CONNECTING
AWAITED    ──FREED───▶ IDLE
"""

import enum
from collections.abc import Mapping
from typing import Final

from relay_supervisor.wire.errors import LocalProtocolError
from relay_worker.backends.base import State


class Event(enum.Enum):
    """What happens to a backend."""

    WANTED = "a call or the first look at its lists needs it"
    SPAWNED = "its process runs"
    REFUSED = "its process could not be started"
    CONNECTED = "it has answered initialize and all lists"
    FELL = "it closed a pipe, as every exit begins"
    LINGERED = "its exit did not follow"
    BROKE = "it spoke nonsense or took too long"
    STOPPED = "it is to stop, though nothing is wrong with it"
    EXITED = "its process is gone"
    RETRY = "the back-off is over"
    GIVEN_UP = "starting it again by itself is no use"
    FREEZE = "it is another worker's from now on, or was before"
    ADOPTED = "it comes from another worker, with its process"
    FREED = "no other worker has it any more, and nothing of it runs"


_S, _E = State, Event

# An absent pair is a bug of the relay's, never a silent no-op.
TRANSITIONS: Final[Mapping[State, Mapping[Event, State]]] = {
    _S.DISABLED: {
        _E.WANTED: _S.DISABLED,
        _E.FREEZE: _S.DISABLED,
        _E.FREED: _S.DISABLED,
    },
    _S.IDLE: {_E.WANTED: _S.SPAWNING, _E.FREEZE: _S.AWAITED},
    _S.SPAWNING: {
        _E.WANTED: _S.SPAWNING,
        _E.SPAWNED: _S.CONNECTING,
        _E.REFUSED: _S.BACKING_OFF,
        _E.GIVEN_UP: _S.FAILED,  # the command does not even exist
        _E.FREEZE: _S.LEAVING,
    },
    _S.CONNECTING: {
        _E.WANTED: _S.CONNECTING,
        _E.CONNECTED: _S.READY,
        _E.FELL: _S.FALLEN,
        _E.BROKE: _S.ENDING,
        _E.STOPPED: _S.STOPPING,
        _E.EXITED: _S.BACKING_OFF,
        _E.FREEZE: _S.AWAITED,
    },
    _S.READY: {
        _E.WANTED: _S.READY,
        _E.FELL: _S.FALLEN,
        _E.BROKE: _S.ENDING,
        _E.STOPPED: _S.STOPPING,
        _E.EXITED: _S.BACKING_OFF,
        _E.FREEZE: _S.AWAITED,
    },
    # Never two processes of one backend: what waits for the exit waits, wanted or not.
    _S.STOPPING: {_E.WANTED: _S.STOPPING, _E.EXITED: _S.IDLE, _E.FREEZE: _S.LEAVING},
    _S.FALLEN: {
        _E.WANTED: _S.FALLEN,
        _E.LINGERED: _S.ENDING,
        _E.EXITED: _S.BACKING_OFF,
        _E.FREEZE: _S.LEAVING,
    },
    _S.ENDING: {
        _E.WANTED: _S.ENDING,
        _E.EXITED: _S.BACKING_OFF,
        _E.FREEZE: _S.LEAVING,
    },
    _S.BACKING_OFF: {
        _E.WANTED: _S.BACKING_OFF,
        _E.RETRY: _S.SPAWNING,
        _E.GIVEN_UP: _S.FAILED,
        _E.FREEZE: _S.AWAITED,
    },
    _S.FAILED: {_E.WANTED: _S.SPAWNING, _E.FREEZE: _S.AWAITED},
    _S.LEAVING: {
        _E.WANTED: _S.LEAVING,
        _E.SPAWNED: _S.AWAITED,
        _E.REFUSED: _S.AWAITED,
        _E.EXITED: _S.AWAITED,
    },
    _S.AWAITED: {
        _E.WANTED: _S.AWAITED,
        _E.ADOPTED: _S.CONNECTING,
        _E.FREED: _S.IDLE,
    },
}

STARTING: Final = frozenset({_S.SPAWNING, _S.CONNECTING, _S.FALLEN, _S.ENDING, _S.BACKING_OFF})
"""States that lead to READY without further ado, if all goes well."""


def advance(state: State, event: Event) -> State:
    """Return the state after *event*.

    Raises:
        LocalProtocolError: the event cannot happen in this state.
    """
    after = TRANSITIONS[state].get(event)
    if after is None:
        raise LocalProtocolError(f"backend event {event.name} while {state.name}")
    return after
