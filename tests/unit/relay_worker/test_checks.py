"""Checks take the way of the client's calls, each is answered for once, in time."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from relay_supervisor.wire import v1
from relay_worker.backends.base import State
from relay_worker.checks import DETAIL_CHARS_MAX, SKIPPED, Checks, verdict
from relay_worker.config.model import CheckSpec, Expectation
from tests.unit.relay_worker.router_stage import FakeBackend, Stage

SECONDS_MAX = 10.0


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    one = Stage(monkeypatch)
    one.known["two"] = one.known["one"]
    one.adopt()
    yield one
    assert one.errors == []
    assert not one.router._own and not one.router._flights and not one.router._waiting
    one.loop.close()


def checks(stage: Stage, *specs: CheckSpec, generation: int = 3) -> Checks:
    return Checks(
        specs,
        stage.router,
        stage.loop,
        generation=generation,
        seconds_max=SECONDS_MAX,
        redact=lambda text: text.replace("secret", "***"),
    )


def run(checks: Checks, **how: Any) -> list[list[v1.CheckResult]]:
    """Run checks; what comes back is filled in when they are done."""
    done: list[list[v1.CheckResult]] = []
    checks.run(done.append, **{"serving": False, **how})
    return done


def later(stage: Stage, seconds: float) -> None:
    stage.clock += seconds
    stage.loop.turn(0)


def answer(backend: FakeBackend, stage: Stage, text: str = "fine", **result: Any) -> None:
    """Answer the last call of a backend."""
    call = [one for one in backend.told if isinstance(one, tuple) and isinstance(one[0], int)][-1][
        0
    ]
    body = {"content": [{"type": "text", "text": text}], **result}
    stage.reply(backend, call, json.dumps({"jsonrpc": "2.0", "id": 0, "result": body}).encode())


def test_a_check_calls_its_tool_and_passes(stage: Stage) -> None:
    spec = CheckSpec("one__echo", {"a": [1, "ü"]}, Expectation("fin"))
    done = run(checks(stage, spec))
    ((call, method, params),) = stage.one.told
    assert call < 0 and method == "tools/call"
    assert params == {"name": "echo", "arguments": {"a": [1, "ü"]}}
    later(stage, 0.25)
    assert done == []
    answer(stage.one, stage)
    assert done == [[v1.CheckResult("one__echo", True, 0.25)]]
    assert stage.sent == [], "the supervisor knows nothing of these calls"


def test_without_checks_all_is_well_at_once(stage: Stage) -> None:
    assert run(checks(stage)) == [[]]


def test_results_come_together_and_in_order(stage: Stage) -> None:
    done = run(checks(stage, CheckSpec("one__echo"), CheckSpec("two__echo"), CheckSpec("none")))
    answer(stage.two, stage, "no", isError=True)
    assert done == []
    answer(stage.one, stage)
    (results,) = done
    assert [(result.tool, result.ok) for result in results] == [
        ("one__echo", True),
        ("two__echo", False),
        ("none", False),
    ]
    assert results[1].detail == "no" and "Unknown tool" in results[2].detail


def test_no_two_generations_use_the_same_numbers(stage: Stage) -> None:
    for generation in (3, 4):
        run(checks(stage, *[CheckSpec("one__echo")] * 3, generation=generation))
    numbers = [told[0] for told in stage.one.told]
    assert len(set(numbers)) == 6 and all(number < 0 for number in numbers)
    for number in numbers:
        stage.router.cancel(v1.Cancel(number), b"")


def test_a_check_that_is_not_answered_fails_and_is_cancelled(stage: Stage) -> None:
    done = run(checks(stage, CheckSpec("one__echo")))
    later(stage, SECONDS_MAX - 1)
    assert done == []
    later(stage, 1)
    ((result,),) = done
    assert not result.ok and "no answer within 10 s" in result.detail
    what, call, params = stage.one.told[-1]
    assert what == "cancel" and params["requestId"] == f"relay-call-{-call}"
    answer_late = json.dumps({"jsonrpc": "2.0", "id": 0, "result": {}}).encode()
    stage.reply(stage.one, call, answer_late)
    assert len(done) == 1


def test_the_start_of_a_backend_does_not_count(stage: Stage) -> None:
    stage.one.state = State.SPAWNING
    done = run(checks(stage, CheckSpec("one__echo")))
    later(stage, 2.5 * SECONDS_MAX)
    assert done == []
    stage.one.state = State.READY
    stage.router.look_again()
    answer(stage.one, stage)
    assert done[0][0].ok


def test_no_check_outlasts_its_limit_even_if_its_backend_is_starting(stage: Stage) -> None:
    stage.one.state = State.SPAWNING
    done = run(checks(stage, CheckSpec("one__echo")), until=stage.clock + 12)
    later(stage, SECONDS_MAX)
    assert done == []
    later(stage, 2)
    assert not done[0][0].ok and "12 s" in done[0][0].detail


def test_a_backend_that_does_not_come_up_fails_its_check(stage: Stage) -> None:
    stage.one.state, stage.one.after_want = State.FAILED, None
    done = run(checks(stage, CheckSpec("one__echo")))
    assert not done[0][0].ok and done[0][0].detail == "trouble with one"


@pytest.mark.parametrize("state", [State.IDLE, State.AWAITED])
def test_what_cannot_be_checked_yet_waits_until_the_worker_serves(
    stage: Stage, state: State
) -> None:
    stage.two.state = state
    both = checks(stage, CheckSpec("one__echo"), CheckSpec("two__echo"))
    first = run(both)
    answer(stage.one, stage)
    skipped = first[0][1]
    assert skipped.ok and skipped.detail.startswith(SKIPPED) and "two" in skipped.detail
    assert stage.two.told == []
    second = run(both, serving=True)
    assert stage.two.told == ["want"], "the other one has run"
    stage.two.state = State.READY
    stage.router.look_again()
    answer(stage.two, stage, "bad", isError=True)
    assert [(result.tool, result.ok) for result in second[0]] == [("two__echo", False)]
    assert run(both, serving=True) == [[]]


def test_without_a_client_there_is_nothing_to_check_with(stage: Stage) -> None:
    stage.router.catalogue = None
    early = checks(stage, CheckSpec("one__echo"))
    assert run(early)[0][0].detail.startswith(SKIPPED)
    stage.adopt()
    done = run(early, serving=True)
    answer(stage.one, stage)
    assert done[0][0].ok


def test_details_are_short_and_tell_no_secrets(stage: Stage) -> None:
    done = run(checks(stage, CheckSpec("one__echo")))
    answer(stage.one, stage, "secret" + "x" * 1000, isError=True)
    detail = done[0][0].detail
    assert detail.startswith("***xxx") and len(detail) == DETAIL_CHARS_MAX


@pytest.mark.parametrize(
    ("members", "wanted", "fault"),
    [
        ('"result":{}}', None, ""),
        ('"result":{"content":[{"type":"image","data":"x"}]}}', None, ""),
        ('"result":{"content":[{"text":"a"},{"text":"b"}]}}', "b", ""),
        ('"result":{"content":[{"text":"a"}],"isError":false}}', "b", "does not contain 'b': a"),
        ('"result":{"content":[]}}', "b", "does not contain"),
        ('"result":{"isError":true}}', None, "reported an error"),
        ('"result":{"isError":true,"content":[{"text":"why"}]}}', "why", "why"),
        ('"error":{"code":-32602,"message":"wrong"}}', None, "wrong (-32602)"),
        ('"error":null,"result":{}}', None, ""),
        ('"error":5}', None, "cannot be read"),
        ('"result":{"content":5}}', None, "no result of a tool"),
        ('"result":7}', None, "no result of a tool"),
        ("}", None, "cannot be read"),
        ('"error":null}', None, "no result of a tool"),
        ("no json", None, "no result of a tool"),
    ],
)
def test_what_an_answer_is_worth(members: str, wanted: str | None, fault: str) -> None:
    found = verdict(members.encode(), Expectation(wanted))
    assert fault in found and bool(fault) == bool(found)
