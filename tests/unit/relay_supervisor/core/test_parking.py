"""What a legacy backend asks in a modern client's request: the request is parked and retried."""

import json

import pytest

from relay_supervisor.core import events
from relay_supervisor.core.parking import RETRY_SECONDS_MAX
from relay_supervisor.core.state import Seat
from relay_supervisor.wire import v1
from tests.unit.relay_supervisor.core.driver import notification, request
from tests.unit.relay_supervisor.core.parking_driver import ACCEPTED, QUESTION, ParkingDriver

LEVEL = "io.modelcontextprotocol/logLevel"


@pytest.fixture
def relay() -> ParkingDriver:
    driver = ParkingDriver()
    driver.serve()
    return driver


def test_a_question_is_put_by_answering_the_request(relay: ParkingDriver) -> None:
    number, asked = relay.park(5)
    ((key, posed),) = asked["inputRequests"].items()
    assert posed == {"method": "elicitation/create", "params": QUESTION} and key
    assert list(relay.state.calls) == [number], "the call goes on"
    relay.retry(6, asked)
    assert relay.answered() == [(1, b'"q"', {"result": ACCEPTED})]
    assert relay.frames(v1.Call) == [] and relay.client() == [], "it is no second call"
    relay.reply(number)
    (answer,) = relay.client()
    assert answer == {"jsonrpc": "2.0", "id": 6, "result": {"ok": 1}}
    assert relay.at_rest()


@pytest.mark.parametrize(
    ("method", "params"),
    [("prompts/get", {"name": "files__ask"}), ("resources/read", {"uri": "file:///a"})],
)
def test_prompts_and_resources_the_same(
    relay: ParkingDriver, method: str, params: dict[str, str]
) -> None:
    relay.line(relay.modern("a", method, **params))
    number = relay.one(v1.Call).call
    relay.frame(v1.Routed(number, "files"))
    relay.question()
    state = relay.parked("a")["requestState"]
    relay.line(relay.modern("b", method, **params, requestState=state, inputResponses={}))
    assert relay.parked("b")["inputRequests"]
    relay.reply(number)
    assert relay.client() == []


def test_a_question_without_params_is_put_without(relay: ParkingDriver) -> None:
    relay.begin(5)
    relay.question(method="roots/list", params=None)
    assert [*relay.parked(5)["inputRequests"].values()] == [{"method": "roots/list"}]


def test_the_retry_brings_its_own_progress_token_and_nothing_is_told_without_one(
    relay: ParkingDriver,
) -> None:
    number = relay.begin(5, _meta={"progressToken": "old"})
    relay.question()
    asked = relay.parked(5)
    relay.frame(v1.Progress(number), b'{"progress":1}')
    assert relay.client() == [], "nobody waits"
    relay.retry(6, asked, _meta={"progressToken": 7})
    relay.frame(v1.Progress(number), b'{"progress":2}')
    (told,) = relay.client()
    assert told["params"] == {"progressToken": 7, "progress": 2}


def test_the_retry_says_which_log_messages_it_wants_and_nobody_gets_any_without_one(
    relay: ParkingDriver,
) -> None:
    def log(at: int) -> list[str]:
        message = v1.Notification("files", "notifications/message", relay.pid_of["files"], at)
        relay.frame(message, b'{"level":"info","data":1}')
        return [line["method"] for line in relay.client()]

    relay.begin(5, _meta={LEVEL: "debug"})
    assert log(10) == ["notifications/message"]
    relay.question(at=11)
    asked = relay.parked(5)
    assert log(12) == []
    relay.retry(6, asked)
    assert log(13) == []
    relay.question(at=14)
    relay.retry(7, relay.parked(6), _meta={LEVEL: "info"})
    assert log(15) == ["notifications/message"]


def test_questions_that_come_while_it_is_parked_are_put_together_in_the_next_round(
    relay: ParkingDriver,
) -> None:
    number = relay.begin(5)
    relay.question(b"1")
    first = relay.parked(5)
    relay.question(b"2", "sampling/createMessage", params={"messages": [], "maxTokens": 1})
    relay.question(b"3", "roots/list", params={})
    assert relay.client() == []
    relay.retry(6, first)
    assert [(i, a) for _, i, a in relay.answered()] == [(b"1", {"result": ACCEPTED})]
    second = relay.parked(6)
    methods = [posed["method"] for posed in second["inputRequests"].values()]
    assert methods == ["sampling/createMessage", "roots/list"]
    assert not first["inputRequests"].keys() & second["inputRequests"].keys()
    relay.retry("c", second)
    assert [i for _, i, _ in relay.answered()] == [b"2", b"3"]
    relay.question(b"4")
    relay.retry("d", relay.parked("c"))
    relay.reply(number)
    assert [line["id"] for line in relay.client()] == ["d"] and relay.one(v1.ClientAnswer)
    assert relay.at_rest()


def test_what_a_retry_does_not_answer_is_asked_again(relay: ParkingDriver) -> None:
    relay.begin(5)
    relay.question(b"1")
    first = relay.parked(5)
    relay.retry(6, first, {})
    again = relay.parked(6)
    assert again["inputRequests"] == first["inputRequests"]
    assert again["requestState"] != first["requestState"]
    relay.retry(7, again, {"nobody asked": {}})
    assert relay.parked(7) and relay.answered() == []


def test_an_answer_that_comes_first_is_kept_for_the_retry(relay: ParkingDriver) -> None:
    number, asked = relay.park(5)
    relay.reply(number)
    assert relay.client() == [] and relay.state.calls == {}
    relay.retry(6, asked)
    (answer,) = relay.client()
    assert answer["id"] == 6 and answer["result"] == {"ok": 1}
    assert [i for _, i, _ in relay.answered()] == [b'"q"'], "the backend may still want it"
    assert relay.at_rest()


def test_an_answer_too_large_to_keep_is_said_to_be() -> None:
    relay = ParkingDriver()
    relay.serve(limits=v1.Limits(retained_bytes_max=4000))
    number, asked = relay.park(5)
    other = relay.begin("other", "slow__think")
    relay.reply(number, b'"result":{"x":"%s"}}' % (b"x" * 5000))
    relay.retry(6, asked)
    (answer,) = relay.client()
    text = answer["result"]["content"][0]["text"]
    assert answer["result"]["isError"] and "retained_bytes_max" in text and "has run" in text
    relay.answered()
    relay.reply(other)
    assert relay.at_rest()


def test_who_never_comes_back_has_it_cancelled(relay: ParkingDriver) -> None:
    number, asked = relay.park(5)
    relay.wait(RETRY_SECONDS_MAX - 1)
    assert relay.frames(v1.Cancel) == []
    relay.wait(1)
    assert relay.one(v1.Cancel).call == number
    ((_, backend_id, members),) = relay.answered()
    assert backend_id == b'"q"' and "over" in members["error"]["message"]
    assert relay.at_rest()
    relay.retry(6, asked)
    assert "over" in relay.refused() and relay.frames(v1.Call) == []


def test_an_answer_nobody_comes_for_is_dropped(relay: ParkingDriver) -> None:
    number = relay.begin(5)
    relay.question()
    relay.parked(5)
    relay.frame(v1.BackendCancel("files", b'"q"', relay.pid_of["files"]))
    relay.reply(number)
    relay.wait(RETRY_SECONDS_MAX)
    assert relay.client() == [] and relay.at_rest() and relay.frames(v1.Cancel) == []


def test_a_cancelled_retry_cancels_the_call(relay: ParkingDriver) -> None:
    number, asked = relay.park(5)
    relay.line(notification("notifications/cancelled", requestId=5))
    assert relay.frames(v1.Cancel) == [], "that one is answered"
    relay.line(notification("notifications/cancelled", requestId="\x00parked 1"))
    assert relay.frames(v1.Cancel) == [], "and this is no id of the client's"
    relay.retry(6, asked)
    relay.answered()
    relay.line(notification("notifications/cancelled", requestId=6))
    assert relay.one(v1.Cancel).call == number and relay.at_rest()
    relay.reply(number)
    assert relay.client() == []


def test_a_question_that_is_withdrawn_needs_no_answer(relay: ParkingDriver) -> None:
    number, asked = relay.park(5)
    relay.frame(v1.BackendCancel("files", b'"q"', relay.pid_of["files"]), b"{}")
    assert relay.client() == [], "a modern client is told nothing"
    relay.retry(6, asked)
    assert relay.answered() == [] and relay.client() == []
    relay.reply(number)
    assert [line["id"] for line in relay.client()] == [6]


def test_where_the_stream_says_in_which_call_it_is_asked_it_is_that_one(
    relay: ParkingDriver,
) -> None:
    number = relay.begin(5)
    relay.begin(6)
    relay.question(b"1", call=number)
    assert relay.parked(5)
    relay.question(b"2", call=999)
    ((_, _, members),) = relay.answered()
    assert members["error"]["code"] == -32601


def test_a_question_left_over_is_put_in_another_call_of_the_backend(relay: ParkingDriver) -> None:
    """So the guess on stdio was wrong."""
    fast, slow = relay.begin(5), relay.begin(6)
    relay.question(b"1")
    asked = relay.parked(5)
    relay.frame(v1.BackendCancel("files", b"1", relay.pid_of["files"]))
    relay.begin(7, "slow__think")
    relay.state.calls[slow].backend = "elsewhere"
    relay.question(b"2")
    relay.state.calls[slow].backend = "files"
    relay.reply(fast)
    relay.retry(8, asked, {})
    assert [line["id"] for line in relay.client()] == [8]
    told = relay.parked(6)
    assert relay.answered() == []
    relay.retry(9, told)
    assert relay.answered() and relay.client() == []


def test_a_question_left_over_is_not_put_to_who_cannot_be_asked_that(relay: ParkingDriver) -> None:
    number = relay.begin(5)
    able, relay.capabilities = relay.capabilities, {}
    relay.begin(6)
    relay.capabilities = able
    relay.question()
    asked = relay.parked(5)
    relay.reply(number)
    relay.retry(7, asked, {})
    assert [line["id"] for line in relay.client()] == [7] and 6 in relay.state.requests
    ((_, _, members),) = relay.answered()
    assert "elicitation" in members["error"]["message"]


def test_a_question_left_over_with_nobody_to_ask_is_refused(relay: ParkingDriver) -> None:
    number = relay.begin(5)
    relay.question(b"1")
    asked = relay.parked(5)
    relay.reply(number)
    relay.retry(6, asked, {})
    ((_, _, members),) = relay.answered()
    assert "over" in members["error"]["message"] and relay.at_rest()


def test_who_has_shaken_hands_is_asked_by_a_request_but_where_the_call_is_known(
    relay: ParkingDriver,
) -> None:
    info = {"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}}}
    relay.line(request("init", "initialize", **info))
    relay.line(notification("notifications/initialized"))
    relay.wanted.clear()
    number = relay.begin(5)
    relay.question(b"1")
    (told,) = relay.client()
    assert told["method"] == "elicitation/create" and told["id"] == 1
    relay.question(b"2", call=number)
    assert relay.parked(5)
    relay.line({"jsonrpc": "2.0", "id": 2, "result": {}})
    assert relay.answered() == [], "no response answers what is asked in a parked request"
    relay.line(notification("notifications/initialized"))
    relay.line({"jsonrpc": "2.0", "id": 1, "result": {}})
    assert relay.client() == [] and [i for _, i, _ in relay.answered()] == [b"1"]


def test_the_end_does_not_wait_for_a_retry(relay: ParkingDriver) -> None:
    relay.begin(5)
    relay.question()
    relay.parked(5)
    relay.do(events.ClientClosed())
    assert relay.relay.ending.pace is not None and relay.client() == []


def test_the_limit_of_the_backend_holds_for_a_parked_call(relay: ParkingDriver) -> None:
    relay.begin(5, "slow__think")
    relay.question(backend="slow")
    asked = relay.parked(5)
    relay.wait(30)
    assert relay.one(v1.Cancel) and relay.client() == []
    (parked,) = relay.relay.shared.memory.parking.open.values()
    assert parked.seat is Seat.KEPT
    relay.retry(6, asked, name="slow__think")
    (answer,) = relay.client()
    assert answer["id"] == 6 and "call_timeout_seconds" in json.dumps(answer)
