"""Nobody can tell the relay from a server reached by HTTP: fewer sessions, as they take longer."""

import pytest

from tests.differential.features import WAYS, By
from tests.differential.stage import assert_same

SESSIONS = 25


@pytest.mark.parametrize("by", [by for by in WAYS if by.web], ids=str)
def test_client_and_server_see_the_same(by: By) -> None:
    """What holds for stdio, but for the order in which different requests are answered."""
    assert_same(by, sessions=SESSIONS, houses=1)
