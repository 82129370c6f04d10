"""The table of a backend's life: every state with every event."""

import pytest

from relay_supervisor.wire.errors import LocalProtocolError
from relay_worker.backends.base import State
from relay_worker.backends.states import STARTING, TRANSITIONS, Event, advance

LEGAL = {
    (State.DISABLED, Event.WANTED): State.DISABLED,
    (State.IDLE, Event.WANTED): State.SPAWNING,
    (State.SPAWNING, Event.WANTED): State.SPAWNING,
    (State.SPAWNING, Event.SPAWNED): State.CONNECTING,
    (State.SPAWNING, Event.REFUSED): State.BACKING_OFF,
    (State.SPAWNING, Event.GIVEN_UP): State.FAILED,
    (State.CONNECTING, Event.WANTED): State.CONNECTING,
    (State.CONNECTING, Event.CONNECTED): State.READY,
    (State.CONNECTING, Event.FELL): State.FALLEN,
    (State.CONNECTING, Event.BROKE): State.ENDING,
    (State.CONNECTING, Event.STOPPED): State.STOPPING,
    (State.CONNECTING, Event.EXITED): State.BACKING_OFF,
    (State.READY, Event.WANTED): State.READY,
    (State.READY, Event.FELL): State.FALLEN,
    (State.READY, Event.BROKE): State.ENDING,
    (State.READY, Event.STOPPED): State.STOPPING,
    (State.READY, Event.EXITED): State.BACKING_OFF,
    (State.STOPPING, Event.WANTED): State.STOPPING,
    (State.STOPPING, Event.EXITED): State.IDLE,
    (State.FALLEN, Event.WANTED): State.FALLEN,
    (State.FALLEN, Event.LINGERED): State.ENDING,
    (State.FALLEN, Event.EXITED): State.BACKING_OFF,
    (State.ENDING, Event.WANTED): State.ENDING,
    (State.ENDING, Event.EXITED): State.BACKING_OFF,
    (State.BACKING_OFF, Event.WANTED): State.BACKING_OFF,
    (State.BACKING_OFF, Event.RETRY): State.SPAWNING,
    (State.BACKING_OFF, Event.GIVEN_UP): State.FAILED,
    (State.FAILED, Event.WANTED): State.SPAWNING,
    # Handing over: what has a process that is neither coming nor going is given back at once.
    (State.DISABLED, Event.FREEZE): State.DISABLED,
    (State.DISABLED, Event.FREED): State.DISABLED,
    (State.IDLE, Event.FREEZE): State.AWAITED,
    (State.CONNECTING, Event.FREEZE): State.AWAITED,
    (State.READY, Event.FREEZE): State.AWAITED,
    (State.BACKING_OFF, Event.FREEZE): State.AWAITED,
    (State.FAILED, Event.FREEZE): State.AWAITED,
    (State.SPAWNING, Event.FREEZE): State.LEAVING,
    (State.STOPPING, Event.FREEZE): State.LEAVING,
    (State.FALLEN, Event.FREEZE): State.LEAVING,
    (State.ENDING, Event.FREEZE): State.LEAVING,
    (State.LEAVING, Event.WANTED): State.LEAVING,
    (State.LEAVING, Event.SPAWNED): State.AWAITED,
    (State.LEAVING, Event.REFUSED): State.AWAITED,
    (State.LEAVING, Event.EXITED): State.AWAITED,
    (State.AWAITED, Event.WANTED): State.AWAITED,
    (State.AWAITED, Event.ADOPTED): State.CONNECTING,
    (State.AWAITED, Event.FREED): State.IDLE,
}


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", State)
def test_every_state_with_every_event(state: State, event: Event) -> None:
    if (state, event) in LEGAL:
        assert advance(state, event) is LEGAL[state, event]
    else:
        with pytest.raises(LocalProtocolError, match=f"{event.name} while {state.name}"):
            advance(state, event)


def test_a_call_may_come_in_every_state() -> None:
    assert all(Event.WANTED in TRANSITIONS[state] for state in State)


def test_every_state_but_disabled_is_reached_and_left() -> None:
    reached = {after for row in TRANSITIONS.values() for after in row.values()}
    assert reached == set(State)
    for state in set(State) - {State.DISABLED}:
        assert set(TRANSITIONS[state].values()) - {state}, f"{state.name} is a dead end"


def test_what_starts_by_itself_leads_to_ready_without_a_call() -> None:
    for state in STARTING:
        seen, frontier = {state}, [state]
        while frontier:
            row = TRANSITIONS[frontier.pop()]
            new = {after for event, after in row.items() if event is not Event.WANTED} - seen
            seen |= new
            frontier += new
        assert State.READY in seen


def test_status_has_a_word_for_every_state() -> None:
    words = {state.word for state in State}
    assert words == {
        "disabled",
        "idle",
        "starting",
        "ready",
        "stopping",
        "backing_off",
        "restarting",
        "failed",
        "awaited",
    }
