"""Tasks that the client carries out: each is the backend's that has asked for it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from relay_supervisor.wire import v1
from relay_worker.client_tasks import ID_CHARS_MAX, ClientTasks
from tests.unit.relay_worker.router_stage import Stage


@pytest.fixture
def sent() -> list[Any]:
    return []


@pytest.fixture
def tasks(sent: list[Any]) -> ClientTasks:
    return ClientTasks(sent.append)


def made(
    tasks: ClientTasks, backend: str, task: Any, method: str = "sampling/createMessage"
) -> bytes:
    """The client answers a backend's question with a task."""
    members = b'"result":%b}' % json.dumps({"task": {"taskId": task}}).encode()
    return tasks.answered(v1.ClientAnswer(backend, b"1", 5, 6, method), members)


def about(task: str) -> bytes:
    return b'{"taskId":"%b"}' % task.encode()


def test_its_backend_may_ask_for_it_and_nobody_else(tasks: ClientTasks, sent: list[Any]) -> None:
    assert made(tasks, "one", "t") == b'"result":{"task": {"taskId": "t"}}}'
    assert sent == [v1.LearnedLinks("one", ["hosted t"])]
    assert tasks.owner(about("t")) == "one"
    for method in ("tasks/get", "tasks/result", "tasks/cancel"):
        assert tasks.refusal("one", method, about("t")) is None
        assert json.loads(b"{" + (tasks.refusal("two", method, about("t")) or b"")) == {
            "error": {"code": -32602, "message": "Unknown task"}
        }
    assert tasks.refusal("two", "sampling/createMessage", about("t")) is None
    assert tasks.refusal("two", "tasks/get", about("of before")) is None, "the client knows"
    assert tasks.refusal("two", "tasks/list", b"") is None


def test_another_worker_knows_it(tasks: ClientTasks) -> None:
    tasks.known(v1.KnownLinks("one", ["hosted t", "task u", "a://b"]))
    assert tasks.owner(about("t")) == "one"
    assert tasks.owner(about("u")) is None


def test_of_a_list_each_gets_its_own(tasks: ClientTasks) -> None:
    for backend, task in (("one", "t1"), ("two", "t2")):
        made(tasks, backend, task)
    every = [{"taskId": task, "x": 1} for task in ("t1", "t2", "t3")]
    members = b'"result":%b}' % json.dumps({"tasks": every, "y": 2}).encode()
    for backend, own in (("one", every[0]), ("two", every[1])):
        answer = v1.ClientAnswer(backend, b"1", 5, 6, "tasks/list")
        shown = json.loads(b"{" + tasks.answered(answer, members))
        assert shown == {"result": {"tasks": [own, every[2]], "y": 2}}
        other = v1.ClientAnswer(backend, b"1", 5, 6, "sampling/createMessage")
        assert tasks.answered(other, members) == members


@pytest.mark.parametrize("task", ["", 7, None, "x" * (ID_CHARS_MAX + 1)])
def test_what_is_no_task_is_not_remembered(tasks: ClientTasks, sent: list[Any], task: Any) -> None:
    made(tasks, "one", task)
    assert sent == []


@pytest.mark.parametrize(
    "members",
    [
        b'"result":{"taskId"',
        b'"result":{"tasks":5,"taskId":1}}',
        b'"error":{"taskId":1}}',
        b'"taskId"',
    ],
)
@pytest.mark.parametrize("method", ["tasks/list", "sampling/createMessage"])
def test_what_nobody_can_read_passes(tasks: ClientTasks, members: bytes, method: str) -> None:
    assert tasks.answered(v1.ClientAnswer("one", b"1", 5, 6, method), members) == members


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    one = Stage(monkeypatch)
    yield one
    one.loop.close()
    assert one.errors == []


def test_the_router_goes_by_that(stage: Stage) -> None:
    router = stage.router
    answer = v1.ClientAnswer("one", b"1", 1, 0, "sampling/createMessage")
    router.answer(answer, b'"result":{"task":{"taskId":"t"}}}')
    router.asked(stage.two, 2, b"7", "tasks/get", about("t"), 0)
    router.asked(stage.one, 1, b"8", "tasks/get", about("t"), 0)
    asked = [(m.backend, m.id) for m, _ in stage.sent if isinstance(m, v1.BackendRequest)]
    assert asked == [("one", b"8")]
    ((word, pid, raw_id, members),) = stage.two.told
    assert (word, pid, raw_id) == ("answer", 2, b"7") and b"-32602" in members
    stage.one.told.clear()
    for task in ("t", "nobody's"):
        router.notification(v1.ClientNotification("notifications/tasks/status"), about(task))
    assert stage.one.told == [("notify", "notifications/tasks/status", about("t"), None)]
    assert len(stage.two.told) == 1
