"""A handful of the official suite's scenarios through the relay; `make conformance` runs them all.

And what that run fails for, what it keeps, and what it says of commits and swaps.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conformance import suite
from tests.conformance.__main__ import verdict
from tests.conformance.commit import CHANGED, UNKNOWN, commit_of, is_certain
from tests.conformance.found import Found, keep, kept
from tests.conformance.page import page
from tests.conformance.reasons import LEGACY_BACKEND, REASONS
from tests.conformance.report import Leg, Row, figures
from tests.conformance.suite import LEGACY, MODERN, Outcome
from tests.conformance.swapping import Swaps
from tests.conformance.targets import TARGETS, Target, serving

PASSED, FAILED = Outcome("SUCCESS"), Outcome("FAILURE", "it says | no")

SCENARIOS = [
    ("stdio", "dual", LEGACY, "tools-call-elicitation"),
    ("http", "dual", LEGACY, "tools-call-with-progress"),
    ("stdio", "dual", MODERN, "server-stateless"),
    ("http", "dual", MODERN, "input-required-result-multi-round"),
    ("stdio", "legacy", MODERN, "input-required-result-multiple-input-requests"),
]


@pytest.fixture
def installed() -> None:
    """Skip, with the reason, where the suite is not there."""
    try:
        suite.versions()
    except suite.SuiteMissing as missing:
        pytest.skip(str(missing))


def target(backend: str, era: str) -> Target:
    """The relay before a fixture."""
    return next(one for one in TARGETS if (one.backend, one.era) == (backend, era))


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("backend", "era", "revision", "scenario"), SCENARIOS)
def test_scenario(backend: str, era: str, revision: str, scenario: str) -> None:
    with serving(target(backend, era)) as one:
        found = suite.run_server(one.url, revision, [scenario])
    counted = {key: outcome for key, outcome in found.items() if outcome.counts}
    assert counted
    assert not {key: outcome for key, outcome in counted.items() if not outcome.passed}


def leg(**rows: Mapping[str, suite.Checks]) -> Leg:
    """Rows by name, measured by the row `direct`, and by `own` if there is one."""
    same = "own" if "own" in rows else "direct"
    found = {
        name: {revision: Found(checks, commit="c0ffee") for revision, checks in by.items()}
        for name, by in rows.items()
    }
    made = [Row(name, name if name in {"direct", "own"} else same, found[name]) for name in found]
    return Leg("t", "", tuple(made))


def shown(*legs: Leg) -> str:
    return page(legs, "2026-11-23", {})


class TestReport:
    def test_a_check_that_is_lost_on_the_way_is_a_difference(self) -> None:
        direct = {("s", "kept"): PASSED, ("s", "lost"): PASSED, ("s", "gone"): PASSED}
        relayed = {("s", "kept"): PASSED, ("s", "lost"): FAILED}
        one = leg(direct={LEGACY: direct}, relay={LEGACY: relayed})
        assert [each.key[1] for each in one.lost()] == ["lost", "gone"]
        assert verdict((one,)) == 1
        assert "| relay | 1/2 | 1/3 | - | - |" in shown(one)
        line = "| 2025-11-25 | s: `lost` | FAILURE: it says \\| no | **not known yet** | relay |"
        assert line in shown(one)

    def test_what_the_same_server_passes_has_no_excuse(self) -> None:
        (key, *_) = next(one for one in REASONS if one.where == LEGACY_BACKEND).checks
        passes, fails = {MODERN: {key: PASSED}}, {MODERN: {key: FAILED}}
        one = leg(direct=passes, own=passes, **{LEGACY_BACKEND: fails})
        (lost,) = one.lost()
        assert lost.than == "own" and not lost.why and verdict((one,)) == 1

    def test_what_only_a_server_of_both_eras_passes_wants_a_reason(self) -> None:
        (key, *_) = next(one for one in REASONS if one.where == LEGACY_BACKEND).checks
        passes, fails = {MODERN: {key: PASSED}}, {MODERN: {key: FAILED}}
        known = leg(direct=passes, own=fails, **{LEGACY_BACKEND: fails})
        odd = leg(direct=passes, own=fails, relay=fails)
        assert not list(known.lost()) and not list(odd.lost())
        assert [bool(each.why) for each in known.untranslated()] == [True]
        assert [bool(each.why) for each in odd.untranslated()] == [False]
        assert (verdict((known,)), verdict((odd,))) == (0, 1)
        assert "| relay | - | - | - | 0/1 | 0/0 | 0/1 |" in shown(odd)

    def test_one_that_fails_directly_is_none(self) -> None:
        one = leg(direct={LEGACY: {("s", "c"): FAILED}}, relay={LEGACY: {}})
        assert not [*one.lost(), *one.untranslated()] and verdict((one,)) == 0

    def test_what_was_not_put_to_the_test_is_not_counted(self) -> None:
        checks = {("s", "a"): PASSED, ("s", "b"): FAILED, ("s", "c"): Outcome("SKIPPED")}
        assert figures(checks) == "1/2"

    def test_a_swap_that_failed_is_on_the_page_and_fails_the_run(self) -> None:
        found = Found({("s", "c"): PASSED}, 3, ("not done | after 120 s",), "c0ffee")
        one = Leg("t", "", (Row("direct", "direct", {LEGACY: found}),))
        assert "direct (3 swaps, 1 failed)" in shown(one) and verdict((one,)) == 1
        assert "- direct, 2025-11-25: not done \\| after 120 s" in shown(one)

    def test_rows_say_of_which_commit_they_are(self) -> None:
        one = leg(direct={LEGACY: {}})
        assert "all rows are of commit c0ffee." in shown(one)
        other = Leg("t", "", (Row("later", "later", {MODERN: Found({}, commit="decaf")}),))
        text = shown(one, other)
        assert "**rows are of different commits (c0ffee, decaf)**" in text
        assert "direct (2025-11-25: commit c0ffee)" in text
        assert "later (2026-07-28: commit decaf)" in text


class TestKept:
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tests.conformance.found.KEPT", tmp_path)

    def test_only_what_is_of_the_same_commit_is_used_again(self) -> None:
        keep(Found({}, swaps=7, commit="c0ffee"), "relay", LEGACY)
        again = kept("c0ffee", "relay", LEGACY)
        assert again is not None and again.swaps == 7
        assert kept("decaf", "relay", LEGACY) is None
        assert kept("c0ffee", "relay", MODERN) is None

    @pytest.mark.parametrize("commit", [UNKNOWN, f"c0ffee{CHANGED}"])
    def test_nothing_is_where_that_is_not_certain(self, commit: str) -> None:
        keep(Found({}, commit=commit), "relay", LEGACY)
        assert kept(commit, "relay", LEGACY) is None

    def test_a_commit_is_named_with_what_is_changed_since_but_for_the_page(
        self, tmp_path: Path
    ) -> None:
        def git(*words: str) -> None:
            name = ["-c", "user.name=a", "-c", "user.email=a@localhost"]
            subprocess.run(["git", "-C", tmp_path, *name, *words], check=True, capture_output=True)

        page = tmp_path / "page.md"
        assert commit_of(tmp_path, but=page) == UNKNOWN
        git("init")
        page.write_text("old")
        git("add", "page.md")
        git("commit", "-m", "one")
        name = commit_of(tmp_path, but=page)
        assert is_certain(name) and len(name) == 12
        page.write_text("new")
        assert commit_of(tmp_path, but=page) == name
        (tmp_path / "more").touch()
        assert commit_of(tmp_path, but=page) == name + CHANGED
        assert not is_certain(name + CHANGED)


class TestSwaps:
    def once(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str) -> Swaps:
        monkeypatch.setattr("tests.conformance.swapping.RELAYCTL", program)
        swaps = Swaps()
        swaps.once(dict(os.environ), tmp_path)
        return swaps

    def test_one_that_is_not_done_in_time_has_failed(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr("tests.conformance.swapping.SWAP_SECONDS_MAX", 0.01)
        swaps = self.once(monkeypatch, tmp_path, "import time; time.sleep(60)")
        assert (swaps.committed, swaps.failed) == (0, ["not done after 0.01 s"])

    @pytest.mark.parametrize(
        ("program", "committed", "failed"),
        [
            ("", 1, []),
            ("import sys; sys.exit('No relay is running.')", 0, []),
            ("import sys; sys.exit('a tool is lost')", 0, ["a tool is lost"]),
        ],
    )
    def test_what_has_become_of_it(
        self,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        program: str,
        committed: int,
        failed: list[str],
    ) -> None:
        swaps = self.once(monkeypatch, tmp_path, program)
        assert (swaps.committed, swaps.failed) == (committed, failed)
