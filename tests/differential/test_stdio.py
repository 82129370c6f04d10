"""Nobody can tell the relay from a server on stdio behind it: sessions at random, held both ways.

More of them, or one again: `python -m tests.differential --sessions N --seed S`.
"""

import pytest

from tests.differential.features import FEATURES, WAYS, By
from tests.differential.stage import assert_same

SESSIONS = 50


@pytest.mark.parametrize("by", [by for by in WAYS if not by.web], ids=str)
def test_client_and_server_see_the_same(by: By) -> None:
    """Lists, results, errors, progress, questions and answers: whatever either of them is told."""
    assert_same(by, sessions=SESSIONS, houses=2)


def test_every_feature_is_tried_in_some_way() -> None:
    """Else it would be no more than a word in a table."""
    assert {feature for by in WAYS for feature in by.features} == set(FEATURES)
