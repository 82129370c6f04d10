"""`relayctl releases` and `relayctl release prune`: what is listed, and what is never removed."""

import json
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result

from relay_supervisor.ctl.main import relayctl
from relay_supervisor.ctl.releases import Release, Releases
from tests.unit.relay_supervisor.ctl.fake_relay import FakeRelay, golden_status
from tests.unit.relay_supervisor.ctl.test_releases import write_release

NAMES = ("one", "two", "three", "four", "five", "six")
OK = golden_status("starting", health="ok")


def run(*args: str) -> Result:
    return CliRunner().invoke(relayctl, args)


def names(releases: Releases) -> list[str]:
    return [one.name for one in releases.all()]


@pytest.fixture
def releases(state: Path, runtime: Path) -> Releases:
    releases = Releases(state)
    for day, name in enumerate(NAMES, start=10):
        created = f"2026-11-{day}T10:00:00+00:00"
        write_release(releases, Release(name=name, version="1.0", created=created, source="/src"))
    return releases


@pytest.mark.usefixtures("utc")
def test_they_are_listed_the_oldest_first_with_their_uses(state: Path, runtime: Path) -> None:
    releases = Releases(state)
    one = Release("one", "1.0", "/src", "a" * 40, True, "d", "2026-11-10T10:00:00+00:00", "3.11.7")
    write_release(releases, one)
    write_release(releases, Release(name="two", version="1\x1b[2J", created="2026-11-11"))
    releases.make_current("two")
    releases.make_current("one")
    assert run("releases").stdout.splitlines() == [
        "one  (current)",
        "  version 1.0, python 3.11.7, made 2026-11-10 10:00:00",
        "  of /src, commit aaaaaaaaaaaa and more",
        "two  (previous)",
        "  version 1, python , made 2026-11-11 00:00:00",
        "  of",
    ]
    found = json.loads(run("releases", "--json").stdout)
    assert found["current"] == "one"
    assert found["releases"][0]["commit"] == "a" * 40 and found["releases"][0]["dirty"]
    assert [one["uses"] for one in found["releases"]] == [["current"], ["previous"]]


def test_there_are_none_yet(state: Path, runtime: Path) -> None:
    result = run("releases")
    assert result.exit_code == 0
    assert "There are no releases yet" in result.stdout and "what is installed" in result.stdout
    assert run("release", "prune").stdout == "0 releases left.\n"
    assert not state.exists()


def test_a_current_release_that_is_gone_is_told(releases: Releases) -> None:
    (releases.directory / "current").write_text("seven\n")
    assert "seven is current and not there" in run("releases").stdout
    releases.make_current("six")
    assert "not there" not in run("releases").stdout


def test_prune_keeps_the_newest(releases: Releases) -> None:
    result = run("release", "prune")
    assert result.exit_code == 0
    assert names(releases) == ["four", "five", "six"]
    assert result.stdout.splitlines() == [
        *("one: removed.", "two: removed.", "three: removed.", "3 releases left.")
    ]
    run("release", "prune", "--keep", "1")
    assert names(releases) == ["six"]
    run("release", "prune", "--keep", "0")
    assert names(releases) == []


def test_prune_never_removes_what_is_in_use(
    releases: Releases, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases.make_current("one")
    releases.make_current("two")
    worker = {"generation": 1, "pid": 1, "state": "standby", "release": "three"}

    def processes(attrs: list[str]) -> list[psutil.Process]:
        words = [[releases.python("four"), "-m", "relay_worker"], None, ["sh", "/five/six"]]
        found = []
        for cmdline in words:
            process = psutil.Process()
            process.info = {"cmdline": cmdline}  # type: ignore[attr-defined]
            found.append(process)
        return found

    monkeypatch.setattr(psutil, "process_iter", processes)
    kept = ["three", "six", "gone"]
    with FakeRelay(runtime, "a", {**OK, "workers": [worker], "releases_kept": kept}):
        uses = {
            one["name"]: one["uses"]
            for one in json.loads(run("releases", "--json").stdout)["releases"]
        }
        result = run("release", "prune", "--keep", "0")
    assert result.exit_code == 0
    assert names(releases) == ["one", "two", "three", "four", "six"]
    assert uses["one"] == ["previous"] and uses["two"] == ["current"]
    assert uses["three"] == uses["four"] == ["running"] and uses["five"] == []
    assert uses["six"] == ["remembered"], "a relay may go back to it, or start it after a crash"


def test_prune_removes_what_was_never_finished(releases: Releases) -> None:
    (releases.path("torn") / "bin").mkdir(parents=True)
    result = run("release", "prune", "--keep", "9")
    assert result.stdout == "torn: removed, it was never finished.\n6 releases left.\n"
    assert not releases.path("torn").exists()


def test_prune_in_an_unsafe_runtime_directory_removes_nothing(
    releases: Releases, runtime: Path
) -> None:
    runtime.chmod(0o755)
    assert run("release", "prune", "--keep", "0").exit_code == 1
    assert len(names(releases)) == len(NAMES)


@pytest.mark.parametrize(
    "args", [("add",), ("add", "x", "--name", "a/b"), ("prune", "--keep", "-1")]
)
def test_wrong_command_lines(state: Path, args: tuple[str, ...]) -> None:
    assert run("release", *args).exit_code in (1, 2)


def test_a_bad_name_is_a_wrong_command_line(state: Path, tmp_path: Path) -> None:
    wheel = tmp_path / "mcp_relay-1.0-py3-none-any.whl"
    wheel.write_bytes(b"")
    result = run("release", "add", str(wheel), "--name", "current")
    assert result.exit_code == 2 and not state.exists()
