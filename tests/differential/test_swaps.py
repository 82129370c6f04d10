"""Nobody can tell when the worker is another one: sessions at random, and swaps meanwhile."""

import pytest

from tests.differential.features import SWAPPED, By
from tests.differential.stage import stage

SESSIONS = 20
SWAPS = 2
SESSIONS_MAX = 10_000
"""Long before, there must have been so many swaps."""


@pytest.mark.parametrize("by", SWAPPED, ids=str)
def test_client_and_server_see_the_same(by: By) -> None:
    """Nothing is lost and nothing comes twice; when what is no request comes, may differ."""
    with stage(by, 0) as here:
        for seed in range(SESSIONS_MAX):
            session = here.session(seed)
            found = here.differences(session)
            assert not found, f"{here.again(session)}\n{found}"
            if seed >= SESSIONS and here.swaps_done >= SWAPS:
                return
    pytest.fail(f"{SWAPS} swaps take longer than {SESSIONS_MAX} sessions")
