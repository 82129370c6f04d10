"""The bench runs, and its figures are where they are looked for. No figure is judged here."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench import forwarder, markdown, measure, metrics, opcodes, report
from tests.bench.contestants import FLOOR, RELAY, Contestant, Unavailable, module
from tests.bench.peers import pip

REPOSITORY = Path(__file__).parents[2]
SECONDS_MAX = 240
SMALL = ("p50_us", "p99_us", "cpu_us", "spread_p50_us", "spread_cpu_us", "rate", "cpu64_us")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """What a quick run prints, and its JSON."""
    file = tmp_path_factory.mktemp("bench") / "figures.json"
    only = [f"--only={name}" for name in ("one-hop", "floor", "relay")]
    options = ["--quick", "--rounds=1", "--calls=100", "--idle-seconds=0.1", f"--json={file}"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", *options, *only],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(file.read_bytes())


def test_every_figure_is_there(run: tuple[str, dict[str, Any]]) -> None:
    contestants = run[1]["contestants"]
    assert set(contestants) == {"one-hop", "floor", "relay"}
    for name, each in contestants.items():
        assert each["failures"] == {}
        alone = {"second_mb"} if name == "one-hop" else set()
        assert set(each["medians"]) == set(metrics.METRICS) - alone
        assert len(each["rounds"]) == 1
    assert set(contestants["relay"]["ratios_to_floor"]) == set(metrics.METRICS) - metrics.ABSOLUTE


def test_what_a_swap_does_is_measured(run: tuple[str, dict[str, Any]]) -> None:
    found = run[1]["disturbance"]
    assert {"quiet", "swap"} <= set(found)
    assert all(
        set(each) == {"gap_ms", "gap_max_ms", "p99_ms", "windows"} for each in found.values()
    )
    assert set(found) | set(run[1]["not_disturbed"]) == {"quiet", "swap", "re-exec"}
    assert run[1]["huge_line_decode_ms"] > 0


def test_every_aim_is_judged_whose_contestants_took_part(run: tuple[str, dict[str, Any]]) -> None:
    judged = {each["aim"]: each for each in run[1]["aims"]}
    expected = {aim.what for aim in metrics.AIMS if aim.of == "relay"}
    assert expected <= set(judged)
    assert all(isinstance(each["met"], bool) for each in judged.values())


def test_the_page_has_a_table_of_each_group(run: tuple[str, dict[str, Any]]) -> None:
    assert all(f"## {title}\n" in run[0] for title in metrics.GROUPS)
    assert "| **relay** |" in run[0]


def test_a_contestant_that_fails_says_why_and_the_rest_is_kept(tmp_path: Path) -> None:
    # It serves small calls as the others do, but dies of large ones: its reader has a limit.
    weak = Contestant("weak", "dies of large lines", "echo", lambda *_: module("weak_peer"))
    found = measure.one_round(weak, tmp_path, measure.Options(calls=100))
    assert set(found.failures) == {"large results"}
    assert set(SMALL) <= set(found.figures)
    assert {"mb1_ms", "mb10_ms"}.isdisjoint(found.figures)
    results = {"weak": report.Results(weak, rounds=[found])}
    page = markdown.page(report.Report({}, {}, results))
    assert "- weak, large results: " in page


def test_the_page_says_where_others_used_the_machine() -> None:
    quiet, busy = ({markdown.LOAD: load} for load in (0.1, 3.0))
    assert markdown.NOT_ALONE in markdown.page(report.Report(busy, {}, {}))
    assert markdown.NOT_ALONE not in markdown.page(report.Report(quiet, {}, {}))


def test_who_cannot_be_installed_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bench.cache.FOLDER", tmp_path)
    with pytest.raises(Unavailable, match="cannot be installed here"):
        pip("nothing", str(tmp_path / "there-is-no-such-package"))()
    assert not (tmp_path / "nothing" / "installed").exists()


def test_without_a_compiler_there_is_no_forwarder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarder, "PROGRAM", tmp_path / "forwarder")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert forwarder.build() == "no C compiler on PATH (cc, gcc, clang)"


def test_opcodes_are_counted_of_both_processes(tmp_path: Path) -> None:
    found = dict(opcodes.count(REPOSITORY, tmp_path))
    assert found["supervisor"]["relay.py:handle"] > 0 and found["worker"]["router.py:resulted"] > 0


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    floor = [measure.Round({"p50_us": value}) for value in (10.0, 20.0, 40.0)]
    relay = [measure.Round({"p50_us": value}) for value in (20.0, 60.0, 40.0)]
    there = report.Results(FLOOR[-1], rounds=floor)
    assert report.Results(RELAY, rounds=relay).ratio("p50_us", there) == 2.0
