"""`relayctl swap RELEASE` through its command line, and what fresh relays start afterwards."""

import sys
from pathlib import Path
from typing import Any

import pytest

from relay_supervisor.ctl import client
from relay_supervisor.ctl.releases import Release, Releases
from relay_supervisor.wire.control_v1 import Request
from tests.unit.relay_supervisor.ctl.fake_relay import (
    FakeRelay,
    hung_relay,
    refusal,
    swapped,
    version,
)
from tests.unit.relay_supervisor.ctl.test_releases import write_release
from tests.unit.relay_supervisor.ctl.test_swap import OK, WORKER, args_of, relay, run


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hung relays are given less time than in real life."""
    monkeypatch.setattr(client, "ANSWER_SECONDS_MAX", 0.3)


@pytest.fixture
def releases(state: Path) -> Releases:
    releases = Releases(state)
    for name in ("one", "two"):
        write_release(releases, Release(name=name))
    return releases


def test_its_interpreter_is_sent_and_it_becomes_current(runtime: Path, releases: Releases) -> None:
    serving = version(2, "0.2.0+bbbb", "two")
    with relay(runtime, "a", swapped(serving=serving)) as fake:
        result = run("two")
    args = args_of(fake)
    assert (args["python"], args["release"]) == (releases.python("two"), "two")
    assert "(release two, generation 2)" in result.stdout
    assert result.stdout.endswith(
        "New relays start two from now on. Now serving: 0.2.0+bbbb (release two, generation 2).\n"
    )
    assert (releases.current(), releases.previous()) == ("two", "")


def test_current_and_installed_are_names_too(runtime: Path, releases: Releases) -> None:
    releases.make_current("one")
    one = swapped(serving=version(2, "0.1.0+bbbb", "one"))
    with relay(runtime, "a", one) as fake:
        assert run("current").exit_code == 0
    with relay(runtime, "a") as fake:
        assert run("installed").exit_code == 0
    assert (args_of(fake)["release"], args_of(fake)["python"]) == ("", sys.executable)
    assert (releases.current(), releases.previous()) == ("", "one")


def test_a_relay_that_was_started_meanwhile_has_not_taken_it(
    runtime: Path, releases: Releases
) -> None:
    """It runs what was current when it started, and so will the next one."""
    two = swapped(serving=version(2, "0.2.0+bbbb", "two"))
    late: list[FakeRelay] = []

    def swap(request: Request) -> list[Any]:
        late.append(relay(runtime, "late"))
        return [two]

    fake = FakeRelay(runtime, "a", {**OK, "id": "a", "workers": [WORKER]}, swap=swap)
    with fake:
        result = run("two")
        late[0].stop()
    assert result.exit_code == 0 and releases.current() == ""
    assert "New relays still start what is installed, as relay late runs" in result.stdout


@pytest.mark.parametrize("outcome", ["probation", "committed"])
def test_nor_has_one_that_is_on_probation_with_it(
    runtime: Path, releases: Releases, outcome: str
) -> None:
    """Somebody else has just swapped it, without waiting."""
    two = swapped(serving=version(2, "0.2.0+bbbb", "two"))
    with relay(runtime, "a", two, last_swap={"outcome": outcome}):
        assert run("two").exit_code == 0
    assert releases.current() == ("two" if outcome == "committed" else "")


@pytest.mark.parametrize(
    ("answer", "args"),
    [
        (swapped("failed"), ()),
        (swapped("rolled_back"), ()),
        (swapped("probation"), ("--no-wait",)),
        (refusal("busy", "busy"), ()),
    ],
)
def test_what_is_not_committed_does_not_become_current(
    runtime: Path, releases: Releases, answer: Any, args: tuple[str, ...]
) -> None:
    releases.make_current("one")
    with relay(runtime, "a", answer):
        run("two", *args)
    assert releases.current() == "one"


def test_nor_does_what_only_some_relays_have(runtime: Path, releases: Releases) -> None:
    with relay(runtime, "a"), relay(runtime, "b"):
        result = run("two", "--instance", "a")
        assert result.exit_code == 0 and "other relays have not taken it" in result.stdout
        assert releases.current() == ""
    with relay(runtime, "a"), hung_relay(runtime, "b"):
        result = run("two")
        assert result.exit_code == 1 and "New relays still start what is inst" in result.stdout
        assert releases.current() == ""


def test_the_only_relay_may_be_named(runtime: Path, releases: Releases) -> None:
    with relay(runtime, "a", swapped(serving=version(2, "0.2.0+bbbb", "two"))):
        assert run("two", "--instance", "a").exit_code == 0
    assert releases.current() == "two"


@pytest.mark.parametrize("wanted", ["three", "./missing", "/dev/null", "/", "x.whl"])
def test_what_does_not_exist_is_found_out_before_anything_is_done(
    runtime: Path, releases: Releases, wanted: str
) -> None:
    with relay(runtime, "a") as fake:
        result = run(wanted)
    assert result.exit_code == 1 and not fake.asked("swap")
    assert result.stderr.endswith("Now serving: 0.1.0+aaaa (generation 1).\n")


@pytest.mark.parametrize("wanted", ["previous", "a b", "-x", "ä"])
def test_what_cannot_be_a_name_is_a_wrong_command_line(
    runtime: Path, releases: Releases, wanted: str
) -> None:
    assert run("--", wanted).exit_code == 2
