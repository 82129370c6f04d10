"""The table of what can happen to a parked request, and the states it is found by."""

import itertools

import pytest

from relay_supervisor.core import request_state
from relay_supervisor.core.seats import TRANSITIONS, Step, advance
from relay_supervisor.core.state import Parked, Seat
from relay_supervisor.errors import LocalProtocolError

ALLOWED = {
    (Seat.OPEN, Step.ASKED): Seat.PARKED,
    (Seat.PARKED, Step.SETTLED): Seat.KEPT,
    (Seat.PARKED, Step.RETRIED): Seat.OPEN,
    (Seat.KEPT, Step.RETRIED): Seat.OPEN,
}


@pytest.mark.parametrize(("seat", "step"), [*itertools.product(Seat, Step)])
def test_only_what_is_in_the_table_can_happen(seat: Seat, step: Step) -> None:
    parked = Parked(1, "tools/call", "t", b"{}", seat)
    if (after := ALLOWED.get((seat, step))) is None:
        with pytest.raises(LocalProtocolError):
            advance(parked, step)
    else:
        advance(parked, step)
        assert parked.seat is after
    assert set(TRANSITIONS) == set(Seat)


def test_a_state_is_read_by_whoever_has_the_secret() -> None:
    state = request_state.write(b"secret", 7, 2)
    assert request_state.read(b"secret", state) == (7, 2)
    assert request_state.read(b"another", state) is None, "a relay may be behind a relay"


@pytest.mark.parametrize("state", ["", "7", "e30.", "relay", "relay:1.1.0", "relay-:1.1.0"])
def test_what_a_server_has_written_is_not_ours(state: str) -> None:
    assert request_state.read(b"secret", state) is None


@pytest.mark.parametrize("rest", ["", "1.1", "1.1.", "-1.1.0", "a.b.c", "1.1.ü"])
def test_what_only_looks_like_ours_is_forged(rest: str) -> None:
    prefix, colon, _ = request_state.write(b"secret", 1, 1).partition(":")
    with pytest.raises(request_state.Forged):
        request_state.read(b"secret", prefix + colon + rest)


def test_no_two_turns_have_the_same_state() -> None:
    pairs = itertools.product(range(1, 30), repeat=2)
    assert len({request_state.write(b"s", *pair).rpartition(".")[2] for pair in pairs}) == 29**2
