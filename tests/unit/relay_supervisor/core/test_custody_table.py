"""The table of what can happen to a charge: all of it, and nothing else."""

import itertools
import re

import pytest

from relay_supervisor.core.charges import TRANSITIONS, Move, advance
from relay_supervisor.core.state import Charge, Hold
from relay_supervisor.errors import LocalProtocolError

LEGAL = {
    (Hold.HELD, Move.FREEZE): Hold.FREEZING,
    (Hold.HELD, Move.LOST): Hold.FREE,
    (Hold.FREEZING, Move.FROZEN): Hold.FREE,
    (Hold.FREEZING, Move.LOST): Hold.FREE,
    (Hold.FREE, Move.GIVEN): Hold.ADOPTING,
    (Hold.FREE, Move.GRANTED): Hold.HELD,
    (Hold.ADOPTING, Move.TAKEN): Hold.HELD,
    (Hold.ADOPTING, Move.REFUSED): Hold.FREE,
    (Hold.ADOPTING, Move.LOST): Hold.FREE,
}
EVERY = list(itertools.product(Hold, Move))


def name_of(value: Hold | Move) -> str:
    return value.name


@pytest.mark.parametrize(("hold", "move"), EVERY, ids=name_of)
def test_a_move_leads_where_the_contract_says_or_nowhere(hold: Hold, move: Move) -> None:
    charge = Charge("files", "spec", hold)
    if (hold, move) in LEGAL:
        advance(charge, move)
        assert charge.hold is LEGAL[hold, move]
    else:
        said = f"files cannot be {move.value} while it is {hold.value}"
        with pytest.raises(LocalProtocolError, match=re.escape(said)):
            advance(charge, move)
        assert charge.hold is hold, "what is refused changes nothing"


def test_nobody_takes_a_backend_over_but_one_that_is_free() -> None:
    """Or two workers could have it."""
    before = [hold for hold, moves in TRANSITIONS.items() if Hold.ADOPTING in moves.values()]
    assert before == [Hold.FREE]


def test_from_everywhere_a_death_sets_free() -> None:
    held = TRANSITIONS.keys() - {Hold.FREE}
    assert all(TRANSITIONS[hold][Move.LOST] is Hold.FREE for hold in held)
