"""Nobody can tell the relay from the server behind it: sessions at random, held both ways.

More of them, or one again: `python -m tests.differential --sessions N --seed S`.
"""

import pytest

from tests.differential.features import FEATURES, WAYS, By
from tests.differential.stage import stage

SESSIONS = 60
SESSIONS_BY_HTTP = 30
HOUSES = 2
"""Each with lists of its own, and its share of the sessions."""


@pytest.mark.parametrize("by", WAYS, ids=str)
def test_client_and_server_see_the_same(by: By) -> None:
    """Lists, results, errors, progress, questions and answers: whatever either of them is told."""
    used: set[str] = set()
    sessions = SESSIONS_BY_HTTP if by.web else SESSIONS
    for house in range(HOUSES):
        with stage(by, house) as here:
            assert not (found := here.first_differences()), f"house {house}:\n{found}"
            for seed in range(house, sessions, HOUSES):
                session = here.session(seed)
                used |= session.features
                found = here.differences(session)
                assert not found, f"{here.again(session)}\n{found}"
    assert used >= set(by.features), f"no session has {set(by.features) - used}"


def test_every_feature_is_tried_in_some_way() -> None:
    """Else it would be no more than a word in a table."""
    assert {feature for by in WAYS for feature in by.features} == set(FEATURES)
