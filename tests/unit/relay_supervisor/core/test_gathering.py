"""What a legacy backend asks at once is told together; in which call it is taken to be asked."""

import pytest

from relay_supervisor.core.parking import GATHER_SECONDS
from relay_supervisor.wire import v1
from tests.unit.relay_supervisor.core.driver import notification
from tests.unit.relay_supervisor.core.parking_driver import ParkingDriver


@pytest.fixture
def relay() -> ParkingDriver:
    driver = ParkingDriver()
    driver.serve()
    return driver


def test_questions_that_come_one_right_after_the_other_are_put_together(
    relay: ParkingDriver,
) -> None:
    number = relay.begin(5)
    relay.question(b"1")
    relay.wait(GATHER_SECONDS / 2)
    relay.question(b"2", "sampling/createMessage", params={"messages": [], "maxTokens": 1})
    relay.question(b"3", "roots/list", params={})
    assert relay.client() == []
    relay.wait(GATHER_SECONDS / 2)
    assert relay.state.requests.keys() != {5}, "it is parked by now"
    asked = relay.parked(5)
    methods = [posed["method"] for posed in asked["inputRequests"].values()]
    assert methods == ["elicitation/create", "sampling/createMessage", "roots/list"]
    relay.retry(6, asked)
    assert [i for _, i, _ in relay.answered()] == [b"1", b"2", b"3"]
    relay.reply(number)
    assert [line["id"] for line in relay.client()] == [6] and relay.at_rest()


def test_what_is_withdrawn_at_once_is_not_put(relay: ParkingDriver) -> None:
    number = relay.begin(5)
    relay.question()
    relay.frame(v1.BackendCancel("files", b'"q"', relay.pid_of["files"]), b"{}")
    relay.wait(GATHER_SECONDS)
    assert relay.client() == []
    relay.question(b"again")
    relay.retry(6, relay.parked(5))
    relay.reply(number)
    assert [line["id"] for line in relay.client()] == [6] and relay.one(v1.ClientAnswer)
    assert relay.at_rest()


def test_what_is_asked_in_a_request_that_is_over_at_once_is_asked_in_another(
    relay: ParkingDriver,
) -> None:
    fast = relay.begin(5)
    relay.question()
    slow = relay.begin(6)
    relay.reply(fast)
    assert [line["id"] for line in relay.client()] == [5]
    relay.wait(GATHER_SECONDS)
    relay.retry(7, relay.parked(6))
    relay.reply(slow)
    assert [line["id"] for line in relay.client()] == [7] and relay.one(v1.ClientAnswer)
    assert relay.at_rest()


@pytest.mark.parametrize("end", ["answered", "cancelled"])
def test_what_is_known_to_be_asked_in_a_request_that_is_over_is_asked_in_no_other(
    relay: ParkingDriver, end: str
) -> None:
    fast = relay.begin(5)
    relay.question(call=fast)
    slow = relay.begin(6)
    if end == "answered":
        relay.reply(fast)
    else:
        relay.line(notification("notifications/cancelled", requestId=5))
    relay.client()
    relay.wait(GATHER_SECONDS)
    ((_, backend_id, members),) = relay.answered()
    assert backend_id == b'"q"' and "over" in members["error"]["message"]
    relay.reply(slow)
    assert [line["id"] for line in relay.client()] == [6] and relay.at_rest()


def test_what_is_asked_in_a_request_that_is_cancelled_at_once_is_over(
    relay: ParkingDriver,
) -> None:
    number = relay.begin(5)
    relay.question()
    relay.line(notification("notifications/cancelled", requestId=5))
    assert relay.one(v1.Cancel).call == number
    relay.wait(GATHER_SECONDS)
    ((_, backend_id, members),) = relay.answered()
    assert backend_id == b'"q"' and "over" in members["error"]["message"]
    assert relay.client() == [] and relay.at_rest()


def test_each_of_two_calls_is_taken_to_ask_one_of_two_things(relay: ParkingDriver) -> None:
    relay.begin(5)
    relay.begin(6)
    relay.question(b"1")
    relay.question(b"2")
    relay.wait(GATHER_SECONDS)
    told = {line["id"]: [*line["result"]["inputRequests"]] for line in relay.client()}
    assert told == {5: ["question-1"], 6: ["question-2"]}


def test_it_is_asked_in_the_oldest_call_that_is_not_parked(relay: ParkingDriver) -> None:
    relay.begin(5)
    relay.begin(6)
    relay.begin(7, "slow__think")
    relay.question(b"1")
    assert relay.parked(5)
    relay.question(b"2")
    relay.question(b"3")
    assert [*relay.parked(6)["inputRequests"]] == ["question-2", "question-3"]
    relay.question(b"4")
    assert relay.client() == []
    assert [ask.ticket for ask in relay.state.asks.values()] == [1, 2, 2, 1]
