"""`relayctl rollback` through its command line, on fake relays."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from relay_supervisor.ctl.backups import Backups
from relay_supervisor.ctl.main import relayctl
from relay_supervisor.ctl.releases import Release, Releases
from tests.unit.relay_supervisor.ctl.fake_relay import (
    PHASES,
    FakeRelay,
    golden_status,
    refusal,
    swapped,
    version,
)
from tests.unit.relay_supervisor.ctl.test_releases import write_release

OK = golden_status("starting", health="ok")
BACK = swapped("rolled_back", reason="asked for", serving=version(1, "0.1.0+aaaa", "one"))
NOTHING = refusal("nothing", "there is nothing to go back to")


def run(*args: str) -> Result:
    return CliRunner().invoke(relayctl, ["rollback", *args])


def relay(runtime: Path, name: str = "a", *answer: Any) -> FakeRelay:
    status = {**OK, "id": name}
    return FakeRelay(runtime, name, status, rollback=list(answer or [PHASES[0], BACK]))


@pytest.fixture
def config(state: Path) -> Path:
    """A configuration `new`, that was `old` before."""
    path = state.parent / "relay.yaml"
    for text in ("old", "new"):
        path.write_text(text)
        Backups(state).make(path)
    return path


@pytest.mark.parametrize("outcome", ["rolled_back", "committed", "probation"])
def test_going_back_is_a_success_however_it_ends(runtime: Path, state: Path, outcome: str) -> None:
    with relay(runtime, "a", swapped(outcome)) as fake:
        result = run()
    assert result.exit_code == 0 and result.stderr == ""
    assert "Now serving: " in result.stdout.splitlines()[-1]
    (request,) = fake.asked("rollback")
    assert request.args == {"no_wait": False}


def test_one_that_was_itself_taken_back_has_not_gone_back(runtime: Path, state: Path) -> None:
    """The version before was started anew, and failed: the one that was to be left serves."""
    releases = Releases(state)
    write_release(releases, Release(name="one"))
    taken_back = swapped(
        "rolled_back", op="rollback", reason="it crashed", serving=version(1, "0.1.0+aaaa", "one")
    )
    with relay(runtime, "a", taken_back):
        result = run()
    assert result.exit_code == 1 and releases.current() == ""
    assert "rollback rolled back after 1.50 s: it crashed" in result.stdout


@pytest.mark.parametrize("answer", [NOTHING, swapped("failed", reason="it does not start")])
def test_a_relay_that_cannot_go_back_ends_it(runtime: Path, state: Path, answer: Any) -> None:
    with relay(runtime, "a", answer), relay(runtime, "b") as second:
        result = run()
    assert result.exit_code == 1 and not second.asked("rollback")
    assert "relay b: left as it was" in result.stdout


def test_the_configuration_stays_if_nobody_asks(runtime: Path, config: Path) -> None:
    with relay(runtime):
        assert run().exit_code == 0
    assert config.read_text() == "new"


def test_the_configuration_before_is_put_back_first(runtime: Path, config: Path) -> None:
    with relay(runtime, "a", NOTHING):
        result = run("--config")
    assert result.exit_code == 1
    assert config.read_text() == "old"
    assert result.stdout.startswith(str(config)) and "backed up" in result.stdout


def test_a_second_time_takes_the_configuration_back(runtime: Path, config: Path) -> None:
    with relay(runtime):
        assert run("--config").exit_code == run("--config").exit_code == 0
    assert config.read_text() == "new"


def test_the_configuration_is_that_of_the_relay(runtime: Path, config: Path) -> None:
    other = config.with_name("other.yaml")
    for text in ("older", "newer"):
        other.write_text(text)
        Backups(config.parent / "state").make(other)
    with FakeRelay(runtime, "a", {**OK, "config_path": str(other)}, rollback=[BACK]):
        found = json.loads(run("--config", "--json").stdout)
    assert (config.read_text(), other.read_text()) == ("new", "older")
    assert found["ok"] and len(found["backups"]) == 1


def test_without_a_backup_nothing_is_done(runtime: Path, state: Path) -> None:
    with relay(runtime) as fake:
        result = run("--config")
    assert result.exit_code == 1 and not fake.asked("rollback")
    assert "no backup" in result.stderr and "Now serving: " in result.stderr


def test_without_a_relay_the_configuration_is_put_back_all_the_same(
    runtime: Path, config: Path
) -> None:
    result = run("--config")
    assert result.exit_code == 3 and "No relay is running" in result.stderr
    assert config.read_text() == "old"


def test_fresh_relays_start_what_all_have_gone_back_to(runtime: Path, state: Path) -> None:
    releases = Releases(state)
    for name in ("one", "two"):
        write_release(releases, Release(name=name))
    releases.make_current("two")
    with relay(runtime, "a"), relay(runtime, "b"):
        assert run("--instance", "a").exit_code == 0
        assert releases.current() == "two"
        result = run()
    *_, last = result.stdout.splitlines()
    assert last.startswith(
        "New relays start one from now on. Now serving: a: 0.1.0+aaaa (release one"
    )
    assert (releases.current(), releases.previous()) == ("one", "two")
