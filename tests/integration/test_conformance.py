"""A handful of the official suite's scenarios through the relay; `make conformance` runs them all.

And what that run fails for: a check that passes directly and not through the relay.
"""

import pytest

from tests.conformance import suite
from tests.conformance.reasons import EXCUSES
from tests.conformance.report import Leg, Row, figures, page
from tests.conformance.suite import Outcome
from tests.conformance.targets import TARGETS, Target, serving

LEGACY, MODERN = suite.REVISIONS
PASSED, FAILED = Outcome("SUCCESS"), Outcome("FAILURE", "it says | no")

SCENARIOS = [
    ("stdio", LEGACY, "tools-call-elicitation"),
    ("http", LEGACY, "tools-call-with-progress"),
    ("stdio", MODERN, "server-stateless"),
    ("http", MODERN, "input-required-result-multi-round"),
]


@pytest.fixture
def installed() -> None:
    """Skip, with the reason, where the suite is not there."""
    try:
        suite.versions()
    except suite.SuiteMissing as missing:
        pytest.skip(str(missing))


def target(backend: str) -> Target:
    """The relay before a fixture of both eras."""
    return next(one for one in TARGETS if one.backend == backend and one.era == "dual")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("backend", "revision", "scenario"), SCENARIOS)
def test_scenario(backend: str, revision: str, scenario: str) -> None:
    with serving(target(backend)) as one:
        words = ["--url", one.url, "--scenario", scenario, "--spec-version", revision]
        found = suite.run(["server", *words])
    counted = {key: outcome for key, outcome in found.items() if outcome.counts}
    assert counted
    assert not {key: outcome for key, outcome in counted.items() if not outcome.passed}


class TestReport:
    def test_a_check_that_is_lost_on_the_way_is_a_difference(self) -> None:
        direct = {("s", "kept"): PASSED, ("s", "lost"): PASSED, ("s", "gone"): PASSED}
        relayed = {("s", "kept"): PASSED, ("s", "lost"): FAILED}
        leg = Leg("t", "", (Row("direct", {LEGACY: direct}), Row("relay", {LEGACY: relayed})))
        assert [each.key[1] for each in leg.differences()] == ["lost", "gone"]
        text = page((leg,), "2026-11-23", {})
        assert "| relay | 1/2 | - |" in text
        assert "s: `lost` | FAILURE: it says \\| no | **not known yet**" in text

    def test_only_what_a_backend_of_the_other_era_cannot_do_is_excused(self) -> None:
        (key, *_) = next(one for one in EXCUSES if one.where == "legacy era only").checks
        rows = [
            Row(name, {MODERN: {key: outcome}})
            for name, outcome in [
                ("direct", PASSED),
                ("legacy era only", FAILED),
                ("relay", FAILED),
            ]
        ]
        excused, lost = Leg("t", "", tuple(rows)).differences()
        assert excused.excuse and not lost.excuse

    def test_one_that_fails_directly_is_none(self) -> None:
        rows = (Row("direct", {LEGACY: {("s", "c"): FAILED}}), Row("relay", {LEGACY: {}}))
        assert list(Leg("t", "", rows).differences()) == []

    def test_what_was_not_put_to_the_test_is_not_counted(self) -> None:
        checks = {("s", "a"): PASSED, ("s", "b"): FAILED, ("s", "c"): Outcome("SKIPPED")}
        assert figures(checks) == "1/2"
