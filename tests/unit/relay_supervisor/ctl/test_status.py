"""`relayctl status` through its command line: output and exit code in every situation."""

import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from relay_supervisor.ctl import client, status
from relay_supervisor.ctl.main import relayctl
from tests.unit.relay_supervisor.ctl.fake_relay import (
    FakeRelay,
    golden_status,
    hung_relay,
    mad_relay,
)

OK = golden_status("starting", health="ok")


def run(*args: str) -> Result:
    return CliRunner().invoke(relayctl, ["status", *args])


def printed(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    assert result.stderr == ""
    return found


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hung relays are given less time than in real life."""
    monkeypatch.setattr(client, "ANSWER_SECONDS_MAX", 0.3)


@pytest.mark.parametrize(("health", "code"), [("ok", 0), ("starting", 0), ("degraded", 4)])
@pytest.mark.parametrize("args", [(), ("--json",)])
def test_exit_codes(runtime: Path, health: str, code: int, args: tuple[str, ...]) -> None:
    with FakeRelay(runtime, "a", {**OK, "health": health}):
        result = run(*args)
    assert result.exit_code == code
    assert health in result.stdout


def test_one_degraded_relay_among_several_counts(runtime: Path) -> None:
    with FakeRelay(runtime, "a", OK), FakeRelay(runtime, "b", golden_status()):
        assert run("--json").exit_code == 4


def test_no_relay(runtime: Path) -> None:
    result = run()
    assert result.exit_code == 3
    assert str(runtime) in result.stdout and "mcp-relay" in result.stdout
    result = run("--json")
    assert result.exit_code == 3
    assert printed(result) == {"instances": [], "unreachable": []}


def test_what_the_relay_sends_is_printed_as_it_is(runtime: Path) -> None:
    sent = golden_status()
    with FakeRelay(runtime, "a1b2c3d4", sent) as relay:
        found = printed(run("--json"))
    assert relay.requests == [b'{"op":"status"}']
    assert found == {"instances": [sent], "unreachable": []}


def test_memory_is_filled_in(runtime: Path) -> None:
    sent = golden_status("starting")
    sent["supervisor"]["pid"] = os.getpid()
    with FakeRelay(runtime, "e5f6a7b8", sent):
        (instance,) = printed(run("--json"))["instances"]
    assert instance["supervisor"].pop("rss_bytes") > 1 << 20
    del sent["supervisor"]["rss_bytes"]
    assert instance == sent


def test_the_table_is_for_people(runtime: Path) -> None:
    with FakeRelay(runtime, "a1b2c3d4", golden_status()):
        result = run()
    assert result.exit_code == 4
    assert result.stdout.startswith("relay a1b2c3d4  degraded  up 2 h 13 min\n")
    assert "\x1b" not in result.stdout


def test_a_hung_relay_is_reported_beside_the_others(runtime: Path) -> None:
    with FakeRelay(runtime, "a", OK), hung_relay(runtime, "b"):
        result = run("--json")
    assert result.exit_code == 4
    found = printed(result)
    assert [instance["id"] for instance in found["instances"]] == [OK["id"]]
    (silent,) = found["unreachable"]
    assert silent["id"] == "b" and "stopped or hung" in silent["reason"]


def test_only_a_hung_relay_is_no_relay_reached(runtime: Path) -> None:
    with hung_relay(runtime, "b"):
        result = run()
    assert result.exit_code == 3
    assert "relay b  unreachable" in result.stdout


@pytest.mark.parametrize(
    "sent",
    [7, [], None, {}, {"id": "a"}, {"id": 1, "health": "ok"}, {**OK, "workers": None}],
)
def test_a_status_of_another_shape_is_reported(runtime: Path, sent: object) -> None:
    with FakeRelay(runtime, "a", sent):
        result = run("--json")
    assert result.exit_code == 3
    (silent,) = printed(result)["unreachable"]
    assert "not the shape" in silent["reason"]


def test_a_relay_that_sends_no_more_than_it_must_can_be_shown(runtime: Path) -> None:
    with FakeRelay(runtime, "old", {"id": "old", "health": "ok"}):
        result = run()
    assert result.exit_code == 0
    assert "relay old  ok" in result.stdout


def test_garbage_instead_of_a_relay(runtime: Path) -> None:
    with mad_relay(runtime, "mad", b"\x00\xff\n"):
        result = run()
    assert result.exit_code == 3
    assert "relay mad  unreachable" in result.stdout


def test_an_instance_is_chosen_by_its_id_or_its_beginning(runtime: Path) -> None:
    with ExitStack() as stack:
        for name in ("aa1", "aa12", "b1"):
            stack.enter_context(FakeRelay(runtime, name, {**OK, "id": name}))
        for wanted, found in (("aa1", "aa1"), ("aa12", "aa12"), ("b", "b1")):
            instances = printed(run("--json", "--instance", wanted))["instances"]
            assert [instance["id"] for instance in instances] == [found]
        ambiguous = run("--instance", "a")
        missing = run("--instance", "c")
    assert ambiguous.exit_code == 2 and "aa1, aa12" in ambiguous.stderr
    assert missing.exit_code == 3 and "aa1, aa12, b1" in missing.stdout


def test_an_unsafe_directory_is_an_error_that_says_what_to_do(runtime: Path) -> None:
    runtime.chmod(0o755)
    result = run()
    assert result.exit_code == 1
    assert "chmod 0700" in result.stderr and result.stdout == ""


def test_a_bad_environment_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_LOG_LEVEL", "loud")
    result = run()
    assert result.exit_code == 1
    assert "RELAY_LOG_LEVEL" in result.stderr


@pytest.mark.parametrize("args", [("--nonsense",), ("extra",), ("--instance",)])
def test_a_wrong_command_line(args: tuple[str, ...]) -> None:
    assert run(*args).exit_code == 2


class Clock:
    """Stands in for the pause of a watch: runs what is to happen between two looks."""

    def __init__(self, *between: Callable[[], object]) -> None:
        self.between = list(between)
        self.seconds: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if not self.between:
            raise KeyboardInterrupt
        self.between.pop(0)()


@pytest.mark.parametrize("args", [("--json",), ()])
def test_a_watch_looks_again_until_interrupted(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    relay = FakeRelay(runtime, "a", {**OK, "id": "a"})
    clock = Clock(relay.stop)
    monkeypatch.setattr(status, "time", clock)
    result = run("--watch", *args)
    assert result.exit_code == 0 and result.stderr == ""
    assert clock.seconds == [status.WATCH_SECONDS] * 2
    if args:
        looks = [json.loads(line)["instances"] for line in result.stdout.splitlines()]
        assert [[instance["id"] for instance in look] for look in looks] == [["a"], []]
    else:
        assert result.stdout.index("relay a  ok") < result.stdout.index("No relay is running")
