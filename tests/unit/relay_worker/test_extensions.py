"""Requests the protocol itself does not have, and which backend gets them."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from relay_supervisor.wire import v1
from relay_worker import extensions
from relay_worker.backends.base import State
from tests.unit.relay_worker.router_stage import LISTS, FakeBackend, Stage

TASKS = b'{"tools":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}'
SHOP = b'{"tools":{},"experimental":{"shop":{}}}'


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    one = Stage(monkeypatch)
    yield one
    one.loop.close()
    assert one.errors == []


def declare(backend: FakeBackend, capabilities: bytes) -> None:
    backend.lists = msgspec.structs.replace(LISTS, capabilities=capabilities)


def makes(stage: Stage, backend: FakeBackend, call: int, text: bytes) -> None:
    """A tool of this backend answers with a task."""
    stage.tool(call, f"{backend.name}__echo")
    stage.reply(backend, call, b'{"id":%d,"result":%b}' % (call, text))


def asked(backend: FakeBackend) -> list[Any]:
    return [one[:2] for one in backend.told if one[1] != "tools/call"]


@pytest.mark.parametrize(
    "text", [b'{"resultType":"task","taskId":"t2","ttlMs":1}', b'{"task":{"taskId":"t2"}}']
)
def test_a_task_is_whose_it_was_made_by(stage: Stage, text: bytes) -> None:
    stage.adopt()
    stage.known["two"] = LISTS
    stage.adopt()
    for backend in (stage.one, stage.two):
        declare(backend, TASKS)
    makes(stage, stage.two, 1, text)
    learned = v1.LearnedLinks("two", ["task t2"])
    kinds = [type(message) for message, _ in stage.sent]
    assert stage.sent[0][0] == learned and kinds.index(v1.Reply) == 1, "before the answer"
    for call, method in enumerate(("tasks/get", "tasks/update", "tasks/cancel"), 2):
        stage.call(call, method, {"taskId": "t2"})
    assert [number for number, _ in asked(stage.two)] == [2, 3, 4] and asked(stage.one) == []
    stage.call(9, "tasks/get", {"taskId": "t3"})
    assert stage.answers()[9]["error"] == {"code": -32602, "message": "Unknown task: t3"}


def test_another_worker_knows_it(stage: Stage) -> None:
    for backend in (stage.one, stage.two):
        declare(backend, TASKS)
    for desk in (stage.router.resources, stage.router.extensions):
        desk.known(v1.KnownLinks("two", ["task t2", "a://linked"]))
    stage.call(2, "tasks/get", {"taskId": "t2"})
    assert asked(stage.two) == [(2, "tasks/get")]
    assert list(stage.router.resources._links) == ["a://linked"]


def test_where_there_is_no_choice_no_task_is_unknown(stage: Stage) -> None:
    declare(stage.two, TASKS)
    stage.call(2, "tasks/get", {"taskId": "of before"})
    assert asked(stage.two) == [(2, "tasks/get")]


def test_a_task_waits_for_its_maker_and_is_no_other_ones(stage: Stage) -> None:
    """The other one may have a task of the same id."""
    declare(stage.one, TASKS)
    stage.two.lists, stage.two.learning, stage.two.state = None, True, State.SPAWNING
    stage.router.extensions.known(v1.KnownLinks("two", ["task 1"]))
    stage.call(2, "tasks/cancel", {"taskId": "1"})
    assert asked(stage.one) == [] and stage.router.waits(2)
    declare(stage.two, TASKS)
    stage.two.learning, stage.two.state = False, State.READY
    stage.router.look_again()
    assert asked(stage.two)[-1] == (2, "tasks/cancel") and asked(stage.one) == []
    declare(stage.two, SHOP)
    stage.call(3, "tasks/get", {"taskId": "1"})
    assert stage.answers()[3]["error"]["code"] == -32602


def test_any_other_extension_is_the_first_ones_that_declares_it(stage: Stage) -> None:
    for backend in (stage.one, stage.two):
        declare(backend, SHOP)
    stage.call(2, "shop/buy", {"x": 1})
    assert asked(stage.one) == [(2, "shop/buy")] and asked(stage.two) == []


def test_a_backend_that_has_to_start_is_waited_for(stage: Stage) -> None:
    stage.one.lists, stage.one.learning, stage.one.state = None, True, State.SPAWNING
    stage.call(2, "shop/buy")
    assert stage.answers() == {} and stage.router.waits(2)
    declare(stage.one, SHOP)
    stage.one.learning, stage.one.state = False, State.READY
    stage.router.look_again()
    assert asked(stage.one) == [(2, "shop/buy")]


def test_what_is_no_task_is_not_remembered(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    makes(stage, stage.one, 7, b'{"taskId":"of one that declares none"}')
    declare(stage.one, TASKS)
    for number, text in enumerate((b'{"taskId":7}', b'{"taskId":""}', b'{"x":"taskId"}'), 1):
        makes(stage, stage.one, number, text)
    monkeypatch.setattr(extensions, "TASK_BYTES_MAX", 10)
    makes(stage, stage.one, 8, b'{"taskId":"a"}')
    monkeypatch.undo()
    makes(stage, stage.one, 9, b'{"taskId":"%b"}' % (b"a" * 2049))
    assert not any(isinstance(message, v1.LearnedLinks) for message, _ in stage.sent)


def test_each_backend_tells_of_its_own_tasks(stage: Stage) -> None:
    router = stage.router
    for backend, task in ((stage.one, "t1"), (stage.two, "t2")):
        router.extensions.known(v1.KnownLinks(backend.name, [f"task {task}"]))
    router.extensions.watch(["t1", "t2", "unknown"], router.backends)
    router.extensions.watch(["t2"], router.backends)
    assert stage.one.told == [("watch", ["t1"]), ("watch", [])]
    assert stage.two.told == [("watch", ["t2"]), ("watch", ["t2"])]


LEGACY_TASKS = b'{"tools":{},"tasks":{}}'
MADE = b'{"task":{"taskId":"t1"}}'


def test_the_answer_says_which_task_it_has_made(stage: Stage) -> None:
    """Of tasks of 2025-11-25, under whose calls progress is still reported."""
    declare(stage.one, LEGACY_TASKS)
    makes(stage, stage.one, 1, MADE)
    stage.tool(2)
    members = b'"result":%b}' % MADE
    stage.router.resulted(stage.one, 2, msgspec.Raw(MADE), members)
    makes(stage, stage.one, 3, b'{"taskId":"t1","status":"working"}')
    stage.call(4, "tasks/get", {"taskId": "t1"})
    stage.reply(stage.one, 4, b'{"id":4,"result":%b}' % MADE)
    replies = [message for message, _ in stage.sent if isinstance(message, v1.Reply)]
    assert [reply.task for reply in replies] == ["t1", "t1", "", ""]
    assert [payload for message, payload in stage.sent if message == replies[1]] == [members]
