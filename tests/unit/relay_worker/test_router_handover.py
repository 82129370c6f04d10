"""Calls whose backend is, was, or will be another worker's."""

from collections.abc import Iterator
from typing import Any

import pytest

from relay_supervisor.wire import v1
from relay_worker.backends.base import State
from tests.unit.relay_worker.router_stage import LISTS, Stage


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    one = Stage(monkeypatch)
    one.known["two"] = LISTS
    one.adopt()
    yield one
    one.loop.close()
    assert one.errors == []


def returned(stage: Stage) -> list[int]:
    messages = [message for message, _ in stage.sent if isinstance(message, v1.Returned)]
    return [call for message in messages for call in message.calls]


def waiting_for(stage: Stage, state: State) -> None:
    stage.one.state, stage.one.after_want = state, state
    stage.tool(7)


def test_calls_wait_for_a_backend_that_is_to_come_and_not_for_ever(stage: Stage) -> None:
    waiting_for(stage, State.AWAITED)
    assert stage.sent == []
    stage.one.state = State.READY
    stage.router.look_again()
    assert stage.one.told[-1][:2] == (7, "tools/call")
    stage.tool(8)
    stage.one.state = State.AWAITED
    stage.tool(9)
    stage.clock += 31
    stage.loop.turn(0)
    assert list(stage.answers()) == [9]
    assert "trouble with one" in stage.answers()[9]["result"]["content"][0]["text"]


@pytest.mark.parametrize("state", [State.AWAITED, State.SPAWNING, State.LEAVING])
def test_calls_that_wait_for_what_is_given_back_are_returned(stage: Stage, state: State) -> None:
    waiting_for(stage, state)
    stage.tool(8, "two__echo")
    stage.router.give_back(["one"])
    assert returned(stage) == [7] and not stage.router.waits(7)
    stage.one.state = State.READY
    stage.router.look_again()
    stage.clock += 1000
    stage.loop.turn(0)
    assert not [told for told in stage.one.told if told != "want"], "nobody carries it out here"
    assert stage.answers() == {}


def test_calls_for_another_backend_that_starts_are_not_returned(stage: Stage) -> None:
    waiting_for(stage, State.SPAWNING)
    stage.two.state = State.AWAITED
    stage.tool(8, "two__echo")
    stage.router.give_back([])
    assert returned(stage) == [8] and stage.router.waits(7)


def test_calls_for_nobody_knows_whom_are_returned(stage: Stage) -> None:
    stage.one.learning = True
    stage.tool(7, "of_whom")
    assert stage.router.waits(7)
    stage.router.give_back([])
    assert returned(stage) == [7]
    stage.router.give_back([])
    assert returned(stage) == [7], "once"


def test_a_call_that_comes_after_that_waits(stage: Stage) -> None:
    stage.router.give_back(["one"])
    waiting_for(stage, State.AWAITED)
    assert returned(stage) == [] and stage.router.waits(7)


def test_an_unknown_name_waits_for_lists_that_another_worker_brings(stage: Stage) -> None:
    stage.one.state, stage.one.lists = State.AWAITED, None
    stage.tool(7, "of_whom")
    assert stage.router.waits(7)
    stage.one.lists = stage.two.lists
    stage.router.look_again()
    assert stage.answers()[7]["error"]["code"] == -32602


@pytest.mark.parametrize("state", [State.AWAITED, State.LEAVING])
def test_calls_that_were_not_read_before_it_left_are_returned(stage: Stage, state: State) -> None:
    stage.tool(7)
    stage.one.state = state
    stage.router.unread(stage.one, [7], "it was ended by SIGKILL")
    assert returned(stage) == [7] and not stage.router.waits(7)


def test_replies_to_adopted_calls_are_passed_on(stage: Stage) -> None:
    adopted = [
        v1.Call(7, "tools/call", "one__echo", v1.LEGACY),
        v1.Call(8, "resources/subscribe", "a://b", v1.LEGACY),
    ]
    stage.router.adopted(stage.one, adopted)
    for call in (7, 8, 9):
        stage.reply(stage.one, call, b'{"jsonrpc":"2.0","id":%d,"result":{}}' % call)
    assert stage.answers() == {7: {"result": {}}, 8: {"result": {}}}
    assert ("subscribed", "a://b", True) in stage.one.told
    stage.router.adopted(stage.one, adopted[:1])
    stage.router.unread(stage.one, [7], "it was ended by SIGKILL")
    text = stage.sent[-1][1]
    assert b"has not run" in text, "its params are not known here, so it cannot be sent again"


def test_what_goes_to_another_worker_is_not_answered_here(stage: Stage) -> None:
    outcomes: list[tuple[int, bytes]] = []

    def done(outcome: int, members: bytes) -> None:
        outcomes.append((outcome, members))

    def own(number: int) -> None:
        message = v1.Call(number, "tools/call", "one__echo", v1.LEGACY)
        stage.router.call_for(message, b'{"name":"one__echo"}', done)

    stage.tool(7)
    own(-5)
    stage.router.frozen(stage.one, [7, -5])
    ((outcome, members),) = outcomes
    assert outcome == v1.OUTCOME_RELAY_ERROR and b"handed over" in members
    stage.router.lost(stage.one, [7, -5], "it died")
    stage.one.state = State.AWAITED
    own(-6)
    stage.router.give_back([])
    assert len(outcomes) == 2 and returned(stage) == [] and stage.answers() == {}


# ---- errands ------------------------------------------------------------------------------------


def done(stage: Stage) -> list[int]:
    return [message.errand for message, _ in stage.sent if isinstance(message, v1.Done)]


def test_an_errand_that_the_backend_takes_is_not_done_yet(stage: Stage) -> None:
    stage.tool(7)
    stage.router.cancel(v1.Cancel(7, errand=70), b"")
    stage.router.answer(v1.ClientAnswer("one", b"1", 1, errand=71), b'"result":{}}')
    assert done(stage) == []
    stage.router.done(70)
    assert done(stage) == [70]


@pytest.mark.parametrize("waits", [True, False])
def test_a_cancellation_that_no_backend_has_to_hear_of_is_done(stage: Stage, waits: bool) -> None:
    if waits:
        waiting_for(stage, State.AWAITED)
    stage.router.cancel(v1.Cancel(7, errand=70, backend="one" if waits else ""), b"")
    assert done(stage) == [70] and not [told for told in stage.one.told if told != "want"]
    stage.router.cancel(v1.Cancel(7), b"")
    assert done(stage) == [70]


def test_what_the_worker_before_had_is_cancelled_all_the_same(stage: Stage) -> None:
    stage.router.cancel(v1.Cancel(7, errand=70, backend="one"), b'{"requestId":"x"}')
    assert stage.one.told == [("cancel", 7, {"requestId": 7})]


def test_an_errand_for_whom_it_cannot_reach_is_void(stage: Stage) -> None:
    stage.one.takes_errands = False
    stage.tool(7)
    messages: list[Any] = [
        v1.Cancel(7, errand=70),
        v1.Cancel(8, errand=71, backend="gone"),
        v1.ClientAnswer("one", b"1", 1, errand=72),
        v1.ClientAnswer("gone", b"1", 1, errand=73),
    ]
    for message in messages:
        act = stage.router.cancel if isinstance(message, v1.Cancel) else stage.router.answer
        act(message, b'"result":{}}')
    assert done(stage) == [70, 71, 72, 73]
