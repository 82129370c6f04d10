"""A legacy backend's error that wants a page opened, and a modern client's retry after it."""

import json
from typing import Any

import pytest

from relay_supervisor.wire import v1
from relay_worker.backends.client import ENVELOPE_KEYS, MODERN_PROTOCOL, client_of
from relay_worker.flights import AGAIN_BYTES_MAX
from tests.unit.relay_worker.router_stage import Stage

PAGE = {"mode": "url", "url": "https://x/login", "message": "log in", "elicitationId": "e1"}
ERROR = {"code": -32042, "message": "log in first", "data": {"elicitations": [PAGE]}}


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage(monkeypatch)
    introduce(stage, {"elicitation": {"url": {}}})
    return stage


def introduce(stage: Stage, capabilities: dict[str, Any]) -> None:
    """Let the client be one that can do so much."""
    payload = json.dumps({"capabilities": capabilities}).encode()
    stage.router.client = client_of(v1.Session(v1.MODERN, MODERN_PROTOCOL, ""), payload)


def envelope(capabilities: dict[str, Any]) -> dict[str, Any]:
    """The `_meta` of a modern request that declares these."""
    client = {"name": "c", "version": "1"}
    return dict(zip(ENVELOPE_KEYS, (MODERN_PROTOCOL, capabilities, client), strict=True))


def call(stage: Stage, number: int = 7, era: int = v1.MODERN, **more: Any) -> None:
    more.setdefault("_meta", envelope({"elicitation": {"url": {}}}))
    stage.call(number, "tools/call", {"name": "one__echo", "arguments": {}, **more}, era)


def fail(stage: Stage, error: object = ERROR) -> Any:
    """The backend answers with this error; what the client gets."""
    text = json.dumps({"jsonrpc": "2.0", "id": 7, "error": error}).encode()
    stage.reply(stage.one, 7, text)
    return stage.answers()[7]


def test_the_error_asks_the_client_to_open_the_page(stage: Stage) -> None:
    call(stage)
    result = fail(stage)["result"]
    assert result["resultType"] == "input_required" and "requestState" not in result
    assert [*result["inputRequests"].values()] == [{"method": "elicitation/create", "params": PAGE}]
    assert stage.sent[-1][0] == v1.Reply(7, v1.OUTCOME_RESULT)


def test_a_legacy_client_gets_the_error_as_it_is(stage: Stage) -> None:
    call(stage, era=v1.LEGACY)
    assert fail(stage)["error"] == ERROR


@pytest.mark.parametrize("capabilities", [{}, {"elicitation": {}}, {"elicitation": {"form": {}}}])
def test_who_cannot_open_pages_is_told_what_it_would_have_to_declare(
    stage: Stage, capabilities: dict[str, Any]
) -> None:
    call(stage, _meta=envelope(capabilities))
    assert fail(stage)["error"] == {
        "code": -32021,
        "message": "log in first",
        "data": {"requiredCapabilities": {"elicitation": {"url": {}}}},
    }


def test_each_request_says_what_the_client_can(stage: Stage) -> None:
    introduce(stage, {})
    call(stage, _meta=envelope({"elicitation": {"url": {}}}))
    assert fail(stage)["result"]["resultType"] == "input_required"


def test_of_a_request_that_is_not_kept_the_first_one_tells(stage: Stage) -> None:
    call(stage, _meta=envelope({}), arguments={"long": "x" * AGAIN_BYTES_MAX})
    assert fail(stage)["result"]["resultType"] == "input_required"


@pytest.mark.parametrize("data", [None, [], {}, {"elicitations": []}, {"elicitations": [5]}])
def test_an_error_that_names_no_page_stays_one(stage: Stage, data: object) -> None:
    call(stage)
    assert fail(stage, {**ERROR, "data": data})["error"]["code"] == -32603


def test_the_retry_is_a_call_without_what_no_legacy_backend_knows(stage: Stage) -> None:
    call(stage, inputResponses={"url-0": {"action": "accept"}})
    assert stage.one.told == [(7, "tools/call", {"name": "echo", "arguments": {}})]


@pytest.mark.parametrize("action", ["decline", "cancel"])
def test_who_does_not_want_to_is_not_asked_again(stage: Stage, action: str) -> None:
    call(stage, inputResponses={"url-0": {"action": action}})
    assert action in stage.answers()[7]["error"]["message"] and stage.one.told == []


def test_a_state_that_nobody_has_given_runs_nothing(stage: Stage) -> None:
    call(stage, requestState="of another relay", inputResponses={})
    assert stage.answers()[7]["error"]["code"] == -32602 and stage.one.told == []


def test_an_argument_may_be_called_the_same(stage: Stage) -> None:
    call(stage, arguments={"requestState": 1, "inputResponses": {"a": {"action": "decline"}}})
    assert stage.answers() == {} and len(stage.one.told) == 1


def test_a_modern_backend_gets_its_state_back(stage: Stage) -> None:
    stage.one.modern = True
    call(stage, requestState="its own")
    ((_, _, params),) = stage.one.told
    assert params["requestState"] == "its own"
