"""Ready is said once: after the checks, and in time whatever is missing."""

from collections.abc import Iterator
from typing import Any

import pytest

from relay_supervisor.wire import handshake, v1
from relay_worker.checks import DETAIL_CHARS_MAX, Checks
from relay_worker.config.model import CheckSpec, RelaySettings
from relay_worker.readiness import CONFIGURATION, Readiness
from tests.unit.relay_worker.router_stage import Stage

READY = v1.Ready(3, "nonce")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    one = Stage(monkeypatch)
    yield one
    assert one.errors == []
    one.loop.close()


def readiness(stage: Stage, *tools: str, broken: str | None = None) -> Readiness:
    checks = Checks(
        [CheckSpec(tool) for tool in tools],
        stage.router,
        stage.loop,
        generation=3,
        seconds_max=30.0,
        redact=str,
    )
    return Readiness(
        checks,
        stage.loop,
        stage.send,
        hello=handshake.Hello((1,), "build", 3, "nonce"),
        settings=RelaySettings(ready_seconds_max=100.0),
        broken=broken,
    )


def told(stage: Stage) -> list[Any]:
    return [message for message, _ in stage.sent]


def later(stage: Stage, seconds: float) -> None:
    stage.clock += seconds
    stage.loop.turn(0)


def test_ready_follows_the_checks_and_is_said_once(stage: Stage) -> None:
    one = readiness(stage, "none")
    assert told(stage) == []
    one.begin()
    checked, ready = told(stage)
    assert (checked.token, [result.ok for result in checked.results]) == (0, [False])
    assert ready == READY
    one.begin()
    later(stage, 1000)
    assert len(told(stage)) == 2


def test_it_is_not_said_before_a_check_is_answered(stage: Stage) -> None:
    readiness(stage, "one__echo").begin()
    assert told(stage) == []
    (call, *_), *_ = stage.one.told
    stage.reply(stage.one, call, b'{"jsonrpc":"2.0","id":0,"result":{}}')
    assert [type(message) for message in told(stage)] == [v1.Checked, v1.Ready]


def test_lists_that_do_not_come_are_not_waited_for_for_ever(stage: Stage) -> None:
    readiness(stage)
    later(stage, 74)
    assert told(stage) == []
    later(stage, 1)
    assert told(stage) == [v1.Checked(0, []), READY]


def test_it_is_said_before_the_supervisor_gives_up(stage: Stage) -> None:
    readiness(stage, "one__echo")
    later(stage, 75)
    assert told(stage) == []
    later(stage, 20)
    checked, ready = told(stage)
    assert not checked.results[0].ok and ready == READY


def test_a_configuration_that_says_nothing_is_a_failed_check(stage: Stage) -> None:
    readiness(stage, broken="relay.yaml:1: " + "x" * 1000).begin()
    (result,) = told(stage)[0].results
    assert (result.tool, result.ok) == (CONFIGURATION, False)
    assert result.detail.startswith("relay.yaml:1") and len(result.detail) == DETAIL_CHARS_MAX


def test_checks_on_demand_are_answered_with_their_token(stage: Stage) -> None:
    one = readiness(stage)
    one.begin()
    stage.sent.clear()
    one.run_checks(v1.RunChecks(7), b"")
    assert told(stage) == [v1.Checked(7, [])]
