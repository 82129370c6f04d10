"""Progress of a call that was answered with a task goes on under the client's token."""

from typing import Any

import pytest

from relay_supervisor.core import task_tokens
from relay_supervisor.wire import cache, v1
from tests.unit.relay_supervisor.core.driver import BODY, Driver, call, request

MADE = b'"result":{"task":{"taskId":"t1","status":"working"}}}'


@pytest.fixture
def relay() -> Driver:
    driver = Driver()
    driver.serve()
    return driver


def make(relay: Driver, key: object = "c", token: object = 7) -> int:
    """A call that its backend answers with a task; returns its number."""
    relay.line(call(key, _meta={"progressToken": token}) if token else call(key))
    number = relay.one(v1.Call).call
    relay.frame(v1.Reply(number, v1.OUTCOME_RESULT, "t1"), MADE)
    relay.client()
    return number


def report(relay: Driver, number: int, backend: str = "files") -> list[Any]:
    """Its backend reports progress; what the client hears of that."""
    relay.frame(v1.Progress(number, backend=backend), b'{"progress":1}')
    return [line["params"] for line in relay.client()]


def test_it_has_the_token_of_the_call(relay: Driver) -> None:
    number = make(relay)
    assert report(relay, number) == [{"progressToken": 7, "progress": 1}]
    assert report(relay, number, "another") == []
    assert report(relay, number + 1) == []


def test_a_call_without_a_token_or_a_task_has_none_later(relay: Driver) -> None:
    assert report(relay, make(relay, token=None)) == []
    relay.line(call("d", _meta={"progressToken": 8}))
    number = relay.one(v1.Call).call
    relay.reply(number)
    relay.client()
    assert report(relay, number) == []


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_it_is_over_when_its_backend_says_so(relay: Driver, status: str) -> None:
    number = make(relay)
    told = v1.Notification("files", "notifications/tasks/status")
    relay.frame(told, b'{"taskId":"t1","status":"working"}')
    relay.frame(told, b'{"taskId":"t2","status":"%b"}' % status.encode())
    relay.client()
    assert report(relay, number)
    relay.frame(told, b'{"taskId":"t1","status":"%b"}' % status.encode())
    relay.client()
    assert report(relay, number) == [] and relay.state.task_tokens == {}


@pytest.mark.parametrize("method", task_tokens.ENDING)
def test_it_is_over_with_the_answer_to_a_request_that_ends_it(relay: Driver, method: str) -> None:
    relay.catalogue(cache.Body(tools=BODY.tools, capabilities=b'{"tasks":{}}'), "with tasks")
    number = make(relay)
    for outcome, heard in ((v1.OUTCOME_BACKEND_ERROR, 1), (v1.OUTCOME_RESULT, 0)):
        relay.line(request(f"r{outcome}", method, taskId="t1"))
        relay.reply(relay.one(v1.Call).call, outcome=outcome)
        relay.client()
        assert len(report(relay, number)) == heard


def test_there_is_a_limit_and_the_oldest_goes_first(
    relay: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_tokens, "TASK_TOKENS_MAX", 2)
    numbers = [make(relay, key, token) for key, token in (("a", 1), ("b", 2), ("c", 3))]
    heard = [[one["progressToken"] for one in report(relay, number)] for number in numbers]
    assert heard == [[], [2], [3]]
