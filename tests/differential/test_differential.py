"""Nobody can tell the relay from the server behind it: sessions at random, held both ways.

More of them, or one again: `python -m tests.differential --sessions N --seed S`.
"""

import pytest

from tests.differential.features import FEATURES, PAIRS, Pair, of
from tests.differential.stage import stage

SESSIONS = 70
HOUSES = 2
"""Each with lists of its own, and its share of the sessions."""


@pytest.mark.parametrize("pair", PAIRS, ids="".join)
def test_client_and_server_see_the_same(pair: Pair) -> None:
    """Lists, results, errors, progress, questions and answers: whatever either of them is told."""
    used: set[str] = set()
    for house in range(HOUSES):
        with stage(pair, house) as here:
            assert not (found := here.first_differences()), f"house {house}:\n{found}"
            for seed in range(house, SESSIONS, HOUSES):
                session = here.session(seed)
                used |= session.features
                found = here.differences(session)
                again = f"python -m tests.differential {''.join(pair)} --seed {seed} --sessions 1"
                assert not found, f"{again} --house {house}\n{found}"
    assert used >= set(of(pair)), f"no session has {set(of(pair)) - used}"


def test_every_feature_is_known_to_some_pair() -> None:
    """Else nobody would notice that it is never tried."""
    assert all(FEATURES.values())
