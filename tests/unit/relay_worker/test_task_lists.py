"""One list of the tasks of several backends, whatever each of them makes of the question."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from relay_supervisor.wire import v1
from relay_worker import task_lists
from relay_worker.backends import frames
from relay_worker.backends.base import State
from tests.unit.relay_worker.router_stage import LISTS, FakeBackend, Stage

TASKS = b'{"tools":{},"tasks":{"list":{}}}'


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    one = Stage(monkeypatch)
    for backend in (one.one, one.two):
        backend.lists = msgspec.structs.replace(LISTS, capabilities=TASKS)
    one.known["two"] = LISTS
    one.adopt()
    yield one
    one.loop.close()
    assert one.errors == []


def asked(backend: FakeBackend) -> list[tuple[int, Any]]:
    """The questions a backend has got: number and params."""
    return [(number, params) for number, method, params in backend.told if method == "tasks/list"]


def answers(stage: Stage, backend: FakeBackend, **members: Any) -> None:
    """Answer the latest question of a backend's."""
    number = asked(backend)[-1][0]
    body = members if "error" in members else {"result": members}
    text = b'{"id":%b,%b' % (frames.call_id(number), json.dumps(body).encode()[1:])
    stage.reply(backend, number, text)


def test_it_is_put_together_in_the_order_of_the_configuration(stage: Stage) -> None:
    stage.call(7, "tasks/list")
    answers(stage, stage.two, tasks=[{"taskId": "t3", "n": 1.0}])
    answers(stage, stage.one, tasks=[{"taskId": "t1"}], nextCursor="")
    assert [params for _, params in asked(stage.one)] == [{}, {"cursor": ""}]
    assert stage.answers() == {}
    answers(stage, stage.one, tasks=[{"taskId": "t2"}])
    listed = stage.answers()[7]["result"]["tasks"]
    assert listed == [{"taskId": "t1"}, {"taskId": "t2"}, {"taskId": "t3", "n": 1.0}]


def test_the_numbers_of_its_questions_are_nobody_elses(stage: Stage) -> None:
    for call in (7, 8):
        stage.call(call, "tasks/list")
    numbers = [number for one in (stage.one, stage.two) for number, _ in asked(one)]
    assert len(set(numbers)) == 4 and all(n < -task_lists.NUMBERS_FROM for n in numbers)
    assert all(len(str(-n)) <= 18 for n in numbers), "or it would be no id of the relay's"


@pytest.mark.parametrize("odd", [{"error": {"code": -1, "message": "no"}}, {"tasks": 5}])
def test_one_that_does_not_answer_is_left_out(stage: Stage, odd: dict[str, Any]) -> None:
    stage.call(7, "tasks/list")
    answers(stage, stage.one, **odd)
    answers(stage, stage.two, tasks=[{"taskId": "t"}])
    assert stage.answers()[7] == {"result": {"tasks": [{"taskId": "t"}]}}


def test_where_nobody_answers_that_is_the_answer(stage: Stage) -> None:
    stage.call(7, "tasks/list")
    for backend, code in ((stage.one, -1), (stage.two, -2)):
        answers(stage, backend, error={"code": code, "message": "no"})
    assert stage.answers()[7]["error"]["code"] == -1


def test_one_that_is_silent_does_not_hide_the_others(stage: Stage) -> None:
    """What it says too late is for nobody."""
    for call in (7, 8):
        stage.call(call, "tasks/list")
        stage.clock += task_lists.LIST_SECONDS_MAX - 1
        stage.loop.turn(0)
        if call == 7:
            answers(stage, stage.two, tasks=[{"taskId": "t"}])
        assert call not in stage.answers()
        stage.clock += 1
        stage.loop.turn(0)
        answers(stage, stage.one, tasks=[{"taskId": "late"}])
    assert stage.answers()[7] == {"result": {"tasks": [{"taskId": "t"}]}}
    assert "did not answer tasks/list within 30 s" in stage.answers()[8]["error"]["message"]


def test_one_that_goes_to_another_worker_takes_the_call_along(stage: Stage) -> None:
    """Whatever the others say after that."""
    stage.call(7, "tasks/list")
    stage.router.frozen(stage.one, [asked(stage.one)[0][0]])
    stage.router.frozen(stage.two, [asked(stage.two)[0][0]])
    answers(stage, stage.two, tasks=[])
    assert stage.answers() == {}
    assert [m for m, _ in stage.sent if isinstance(m, v1.Returned)] == [v1.Returned([7])]


def test_one_that_waits_for_its_backend_goes_with_it(stage: Stage) -> None:
    stage.one.state = State.AWAITED
    stage.call(7, "tasks/list")
    stage.router.give_back(["one"])
    assert [m for m, _ in stage.sent if isinstance(m, v1.Returned)] == [v1.Returned([7])]


def test_only_those_are_asked_that_have_a_list(stage: Stage) -> None:
    stage.one.lists = msgspec.structs.replace(LISTS, capabilities=b'{"tasks":{}}')
    stage.call(7, "tasks/list", {"cursor": "its own"})
    assert asked(stage.one) == [] and asked(stage.two) == [(7, {"cursor": "its own"})]
    stage.two.lists = stage.one.lists
    stage.call(8, "tasks/list")
    assert asked(stage.one) == [(8, {})], "it says itself that it has none"


def test_pages_have_an_end(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_lists, "CALLS_MAX", 5)
    stage.call(7, "tasks/list")
    answers(stage, stage.two, tasks=[])
    for page in range(3):
        answers(stage, stage.one, tasks=[{"taskId": str(page)}], nextCursor="more")
    assert [one["taskId"] for one in stage.answers()[7]["result"]["tasks"]] == ["0", "1", "2"]


def test_there_is_one_page(stage: Stage) -> None:
    stage.call(7, "tasks/list", {"cursor": "c"})
    assert stage.answers()[7]["error"]["code"] == -32602
    stage.call(8, "tasks/list", {"cursor": None})
    assert asked(stage.one)
