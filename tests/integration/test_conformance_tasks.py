"""Some of the official suite's scenarios for the tasks extension, through the relay, on the way to
a server on stdio and on HTTP. `make conformance` runs all of them.
"""

import pytest

from tests.conformance import suite
from tests.conformance.extension import TASKS, run_tasks
from tests.conformance.targets import TARGETS, serving

SOME = ("tasks-capability-negotiation", "tasks-mrtr-composition")


@pytest.fixture(autouse=True)
def installed() -> None:
    """Skip, with the reason, where the suite is not there."""
    try:
        suite.versions()
    except suite.SuiteMissing as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("backend", ["stdio", "http"])
def test_every_check_passes(backend: str) -> None:
    target = next(
        one for one in TARGETS if (one.backend, one.era, one.swapped) == (backend, "dual", False)
    )
    with serving(target) as one:
        found = run_tasks(one.url, *SOME)
    counted = {key: outcome for key, outcome in found.items() if outcome.counts}
    assert {scenario for scenario, _ in counted} == set(SOME) <= set(TASKS)
    assert not {key: outcome for key, outcome in counted.items() if not outcome.passed}
