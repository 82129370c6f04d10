"""Batches of 2025-03-26: one array with every answer that is due, and refused elsewhere."""

import json
from typing import Any

import pytest

from relay_supervisor.core.client import BATCH_ITEMS_MAX
from tests.unit.relay_supervisor.core.driver import Driver, call, modern, notification, request


@pytest.fixture
def relay() -> Driver:
    driver = Driver()
    driver.start()
    driver.greet("2025-03-26")
    return driver


def by_id(batch: list[Any]) -> dict[Any, Any]:
    """The answers of a batch by their id."""
    found = {answer["id"]: answer for answer in batch}
    assert len(found) == len(batch), batch
    return found


def test_answers_are_gathered_until_the_last_is_known(relay: Driver) -> None:
    relay.line([call(1), request(2, "ping"), call(3), request(4, "tools/list")])
    assert relay.client() == []
    relay.reply(2, b'"result":{"n":3}}')
    assert relay.client() == []
    relay.reply(1, b'"error":{"code":5,"message":"no"}}')
    (batch,) = relay.client()
    found = by_id(batch)
    assert set(found) == {1, 2, 3, 4}
    assert found[1]["error"]["code"] == 5
    assert found[2]["result"] == {}
    assert found[3]["result"] == {"n": 3}
    assert relay.state.batches == {} and relay.state.requests == {}


def test_a_batch_answered_at_once_is_one_line(relay: Driver) -> None:
    relay.line([request(1, "ping"), request(2, "ping")])
    (batch,) = relay.client()
    assert set(by_id(batch)) == {1, 2}


@pytest.mark.parametrize(
    "items",
    [
        [notification("notifications/initialized")],
        [{"jsonrpc": "2.0", "id": 9, "result": {}}],
        [notification("notifications/x"), {"jsonrpc": "2.0", "id": "a", "error": {}}],
    ],
)
def test_where_nothing_is_due_nothing_is_sent(relay: Driver, items: list[object]) -> None:
    relay.line(items)
    assert relay.client() == []
    assert relay.state.batches == {}


def test_bad_items_are_answered_beside_the_good_ones(relay: Driver) -> None:
    relay.line([1, {"jsonrpc": "2.0", "id": 1.5, "method": "ping"}, request(3, "ping"), []])
    (batch,) = relay.client()
    assert [answer.get("error", {}).get("code") for answer in batch] == [
        -32600,
        -32600,
        None,
        -32600,
    ]
    assert [answer["id"] for answer in batch] == [None, None, 3, None]


def test_an_id_used_twice_in_a_batch_is_answered_once_and_refused_once(relay: Driver) -> None:
    relay.line([call(1), call(1)])
    relay.reply(1)
    (batch,) = relay.client()
    assert sorted((answer["id"] for answer in batch), key=str) == [1, None]
    assert len([answer for answer in batch if "result" in answer]) == 1


def test_initialize_and_batches_do_not_belong_into_a_batch(relay: Driver) -> None:
    relay.line([request(1, "initialize", protocolVersion="2025-11-25"), [request(2, "ping")]])
    (batch,) = relay.client()
    assert [answer["error"]["code"] for answer in batch] == [-32600, -32600]
    assert [answer["id"] for answer in batch] == [1, None]


def test_a_cancelled_request_is_left_out_and_the_rest_is_answered(relay: Driver) -> None:
    relay.line([call(1), call(2)])
    relay.line(notification("notifications/cancelled", requestId=1))
    assert relay.client() == []
    relay.reply(2)
    (batch,) = relay.client()
    assert [answer["id"] for answer in batch] == [2]
    assert relay.state.batches == {}


def test_a_batch_of_which_all_is_cancelled_is_never_answered(relay: Driver) -> None:
    relay.line([call(1), notification("notifications/cancelled", requestId=1)])
    assert relay.client() == []
    assert relay.state.batches == {} and relay.state.requests == {}


def test_a_worker_that_dies_ends_the_batch_with_errors(relay: Driver) -> None:
    relay.line([call(1), request(2, "ping")])
    relay.die()
    (batch,) = relay.client()
    assert by_id(batch)[1]["result"]["isError"] is True


def test_a_subscription_in_a_batch_does_not_hold_back_the_other_answers(relay: Driver) -> None:
    """It is answered only at the end, so a batch with one in it would be, too."""
    relay.line([request(1, "ping"), modern(2, "subscriptions/listen", notifications={})])
    (batch,) = relay.client()
    found = by_id(batch)
    assert found[1]["result"] == {} and found[2]["error"]["code"] == -32600
    assert relay.state.peer.listens == {}


@pytest.mark.parametrize("line", [b"[]", b"[ ]"])
def test_an_empty_batch_is_refused(relay: Driver, line: bytes) -> None:
    answer = relay.ask(line)
    assert answer["error"]["code"] == -32600 and answer["id"] is None


def test_a_batch_over_the_limit_is_refused_as_a_whole(relay: Driver) -> None:
    items = [request(number, "ping") for number in range(BATCH_ITEMS_MAX + 1)]
    answer = relay.ask(items)
    assert answer["error"]["code"] == -32600 and str(BATCH_ITEMS_MAX) in answer["error"]["message"]
    relay.line(items[:-1])
    (batch,) = relay.client()
    assert len(batch) == BATCH_ITEMS_MAX


@pytest.mark.parametrize("protocol", ["2024-11-05", "2025-06-18", "2025-11-25"])
def test_other_versions_have_no_batches(protocol: str) -> None:
    driver = Driver()
    driver.start()
    assert driver.ask([request(1, "ping")])["error"]["code"] == -32600
    driver.greet(protocol)
    answer = driver.ask([request(1, "ping")])
    assert answer["error"]["code"] == -32600 and answer["id"] is None
    assert "2025-03-26" in answer["error"]["message"]


def test_an_answer_with_a_line_break_stays_one_element(relay: Driver) -> None:
    relay.line([call(1)])
    relay.reply(1, json.dumps({"result": {"text": "a\nb"}}).encode()[1:])
    (batch,) = relay.client()
    assert batch[0]["result"]["text"] == "a\nb"
