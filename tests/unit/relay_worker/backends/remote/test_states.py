"""The table of a remote backend's life."""

import pytest

from relay_supervisor.wire.errors import LocalProtocolError
from relay_worker.backends.base import State
from relay_worker.backends.remote.states import STARTING, TRANSITIONS, Event, advance

LEGAL = {
    (State.DISABLED, Event.WANTED): State.DISABLED,
    (State.IDLE, Event.WANTED): State.CONNECTING,
    (State.CONNECTING, Event.WANTED): State.CONNECTING,
    (State.CONNECTING, Event.CONNECTED): State.READY,
    (State.CONNECTING, Event.REOPENED): State.CONNECTING,
    (State.CONNECTING, Event.BROKE): State.BACKING_OFF,
    (State.CONNECTING, Event.STOPPED): State.IDLE,
    (State.READY, Event.WANTED): State.READY,
    (State.READY, Event.REOPENED): State.CONNECTING,
    (State.READY, Event.BROKE): State.BACKING_OFF,
    (State.READY, Event.STOPPED): State.IDLE,
    (State.BACKING_OFF, Event.WANTED): State.BACKING_OFF,
    (State.BACKING_OFF, Event.RETRY): State.CONNECTING,
    (State.BACKING_OFF, Event.GIVEN_UP): State.FAILED,
    (State.FAILED, Event.WANTED): State.CONNECTING,
    (State.FAILED, Event.RETRY): State.CONNECTING,
}


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", TRANSITIONS)
def test_every_state_with_every_event(state: State, event: Event) -> None:
    if (state, event) in LEGAL:
        assert advance(state, event) is LEGAL[state, event]
    else:
        with pytest.raises(LocalProtocolError, match=f"{event.name} while {state.name}"):
            advance(state, event)


def test_a_call_may_come_in_every_state() -> None:
    assert all(Event.WANTED in row for row in TRANSITIONS.values())


def test_what_starts_by_itself_leads_to_ready_without_a_call() -> None:
    assert {State.CONNECTING, State.BACKING_OFF} == STARTING
    assert TRANSITIONS[State.BACKING_OFF][Event.RETRY] in STARTING
    assert TRANSITIONS[State.CONNECTING][Event.CONNECTED] is State.READY
