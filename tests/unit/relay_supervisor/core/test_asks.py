"""What backends ask the client goes out under ids of the relay's; the answer finds its way back."""

import json
from typing import Any

import pytest

from relay_supervisor.core import events
from relay_supervisor.core.asks import ASKS_MAX
from relay_supervisor.wire import v1
from tests.unit.relay_supervisor.core.driver import Driver, modern, notification, request


def asked(
    backend_id: bytes = b'"q1"', method: str = "elicitation/create", pid: int = 61
) -> v1.BackendRequest:
    """A backend's question."""
    return v1.BackendRequest("files", backend_id, pid, method)


@pytest.fixture
def relay() -> Driver:
    driver = Driver()
    driver.serve(elicitation={}, roots={}, sampling={}, tasks={})
    return driver


def answer(key: object, **members: Any) -> dict[str, Any]:
    """A response of the client's."""
    return {"jsonrpc": "2.0", "id": key, **(members or {"result": {"action": "accept"}})}


METHODS = [
    *("elicitation/create", "sampling/createMessage", "roots/list"),
    *("tasks/get", "tasks/result", "tasks/list", "tasks/cancel"),
]


@pytest.mark.parametrize("method", METHODS)
def test_a_question_goes_out_and_its_answer_comes_back_to_the_process_that_asked(
    relay: Driver, method: str
) -> None:
    relay.frame(asked(b"7", method), b'{"message":"?"}')
    (question,) = relay.client()
    assert question == {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"message": "?"}}
    relay.line(answer(question["id"]))
    ((generation, message, payload),) = relay.frames(v1.ClientAnswer)
    assert (generation, message) == (1, v1.ClientAnswer("files", b"7", 61, method=method))
    assert json.loads(b"{" + payload) == {"result": {"action": "accept"}}
    assert relay.state.asks == {}


def test_an_error_and_unknown_members_are_handed_on_as_they_are(relay: Driver) -> None:
    relay.frame(asked())
    relay.client()
    relay.line(answer(1, error={"code": -1, "message": "no"}, extra=[1]))
    ((_, _, payload),) = relay.frames(v1.ClientAnswer)
    assert json.loads(b"{" + payload) == {
        "error": {"code": -1, "message": "no"},
        "extra": [1],
    }


@pytest.mark.parametrize("key", [99, "1", 0, -1])
def test_an_answer_to_nothing_we_asked_is_dropped(relay: Driver, key: object) -> None:
    relay.frame(asked())
    relay.client()
    relay.line(answer(key))
    assert relay.frames(v1.ClientAnswer) == [] and relay.client() == []
    assert list(relay.state.asks) == [1]


def test_a_second_answer_is_dropped(relay: Driver) -> None:
    relay.frame(asked())
    relay.line(answer(1))
    relay.frames(v1.ClientAnswer)
    relay.line(answer(1))
    assert relay.frames(v1.ClientAnswer) == []


def test_ids_are_never_used_again(relay: Driver) -> None:
    for number in range(1, 4):
        relay.frame(asked())
        (question,) = relay.client()
        assert question["id"] == number
        relay.line(answer(number))


@pytest.mark.parametrize("ready", [False, True])
def test_a_question_before_initialized_waits_for_it(ready: bool) -> None:
    relay = Driver()
    relay.start()
    params = {"protocolVersion": "2025-11-25", "capabilities": {"roots": {}}}
    relay.ask(request(0, "initialize", **params))
    relay.frame(asked(b"1", "roots/list"))
    relay.frame(asked(b"2", "roots/list"), b'{"n":2}')
    assert relay.client() == []
    if ready:
        relay.line(notification("notifications/initialized"))
        first, second = relay.client()
        assert (first["id"], second["id"]) == (1, 2)
        assert "params" not in first and second["params"] == {"n": 2}
        relay.line(notification("notifications/initialized"))
        assert relay.client() == [], "asked once, however often the client says it is ready"
    else:
        relay.frame(v1.BackendCancel("files", b"1", 61))
        assert relay.client() == [], "nothing is taken back that was never asked"
        assert list(relay.state.asks) == [2]


def refusal(relay: Driver) -> dict[str, Any]:
    """The error a backend got for its question; the client must have seen nothing."""
    ((_, _, payload),) = relay.frames(v1.ClientAnswer)
    assert relay.client() == [] and len(relay.state.asks) in {0, ASKS_MAX}
    error: dict[str, Any] = json.loads(b"{" + payload)["error"]
    return error


def test_what_the_client_did_not_declare_it_is_not_asked() -> None:
    relay = Driver()
    relay.serve(roots={})
    relay.frame(asked(method="elicitation/create"))
    error = refusal(relay)
    assert error["code"] == -32601 and "elicitation" in error["message"]


def test_a_method_no_client_has_is_refused(relay: Driver) -> None:
    relay.frame(asked(method="tools/call"))
    assert refusal(relay)["code"] == -32601


def test_a_modern_client_is_never_asked() -> None:
    relay = Driver()
    relay.start()
    relay.ask(modern(1, "tools/list"))
    relay.wanted.clear()
    relay.frame(asked())
    assert refusal(relay)["code"] == -32601


def test_there_is_a_limit_to_open_questions(relay: Driver) -> None:
    for number in range(ASKS_MAX):
        relay.frame(asked(b"%d" % number))
    assert len(relay.client()) == ASKS_MAX
    relay.frame(asked(b"one more"))
    assert str(ASKS_MAX) in refusal(relay)["message"]


def test_a_backend_that_withdraws_its_question_has_it_cancelled_with_its_reason(
    relay: Driver,
) -> None:
    relay.frame(asked(b"1"))
    relay.frame(asked(b"1", pid=62))
    relay.client()
    relay.frame(v1.BackendCancel("files", b"1", 61), b'{"requestId":1,"reason":"late"}')
    (told,) = relay.client()
    assert told["method"] == "notifications/cancelled"
    assert told["params"] == {"requestId": 1, "reason": "late"}
    assert list(relay.state.asks) == [2], "the same id of another process is another question"
    relay.frame(v1.BackendCancel("files", b"1", 61))
    assert relay.client() == []


@pytest.mark.parametrize(
    "payload", [b"", b"null", b"{}", b"[]", b"{broken", b"\xff", b'{"reason":null}']
)
def test_a_withdrawal_needs_no_good_reason(relay: Driver, payload: bytes) -> None:
    relay.frame(asked(b"1"))
    relay.client()
    relay.frame(v1.BackendCancel("files", b"1", 61), payload)
    (told,) = relay.client()
    assert told["params"] == {"requestId": 1}


def test_when_the_backend_that_asked_dies_the_client_is_told(relay: Driver) -> None:
    relay.do(events.BackendSpawned(1, 5, "files", 61))
    relay.frame(asked(b"1", pid=61))
    relay.frame(asked(b"2", pid=62))
    relay.client()
    relay.do(events.ProcessExited(61, 1))
    (told,) = relay.client()
    assert told["params"]["requestId"] == 1 and told["params"]["reason"]
    relay.frames(v1.ClientAnswer)
    relay.line(answer(1))
    assert relay.frames(v1.ClientAnswer) == []


def test_when_the_worker_that_asked_dies_the_client_is_told(relay: Driver) -> None:
    relay.frame(asked(b"1"))
    relay.frame(asked(b"2"))
    relay.client()
    relay.do(events.WorkerPipeFailed(1, "gone"))
    assert [told["params"]["requestId"] for told in relay.client()] == [1, 2]
    assert relay.state.asks == {}


def test_progress_of_the_client_is_for_the_backends(relay: Driver) -> None:
    relay.line(notification("notifications/progress", progressToken=1, progress=3))
    ((_, message, payload),) = relay.frames(v1.ClientNotification)
    assert message.method == "notifications/progress"
    assert json.loads(payload) == {"progressToken": 1, "progress": 3}
