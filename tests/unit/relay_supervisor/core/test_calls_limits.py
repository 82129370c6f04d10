"""Every queue has its limit, and reaching one costs the request that reached it and no other."""

from typing import Any

import pytest

from relay_supervisor.core import effects, events
from relay_supervisor.wire import v1
from tests.unit.relay_supervisor.core.driver import Driver, call, notification, request


def text_of(answer: dict[str, Any]) -> str:
    """The text of a tool error."""
    assert answer["result"]["isError"] is True
    text = answer["result"]["content"][0]["text"]
    assert isinstance(text, str)
    return text


def without_worker(limits: v1.Limits | None = None) -> Driver:
    """A greeted client whose worker has just died; the next is not up."""
    relay = Driver()
    relay.serve(limits=limits)
    relay.do(events.WorkerPipeFailed(1, "gone"))
    relay.wanted.clear()
    return relay


def revive(relay: Driver) -> None:
    """Bring the next worker up."""
    relay.wait(0.2)
    relay.take(effects.SpawnWorker)
    relay.hatch(2)
    relay.configure(2)


# ---- held while no worker is up


def test_held_requests_are_carried_out_in_order_when_a_worker_is_up() -> None:
    relay = without_worker()
    for number in range(5):
        relay.line(call(number))
    assert relay.client() == [] and relay.frames(v1.Call) == []
    revive(relay)
    assert [m.call for g, m in relay.to_worker(v1.Call) if g == 2] == [1, 2, 3, 4, 5]
    relay.reply(3, generation=2)
    assert [answer["id"] for answer in relay.client()] == [2]


def test_a_held_request_that_is_cancelled_is_never_carried_out() -> None:
    relay = without_worker()
    relay.line(call(1))
    relay.line(call(2))
    relay.line(notification("notifications/cancelled", requestId=1))
    revive(relay)
    ((_, _, payload),) = relay.frames(v1.Call)
    assert b"files__read" in payload and relay.state.requests.keys() == {2}


def test_the_queue_holds_so_many_requests_and_names_the_setting() -> None:
    relay = without_worker(v1.Limits(queue_requests_max=2))
    relay.line(call(1))
    relay.line(call(2))
    answer = relay.ask(call(3))
    assert answer["id"] == 3 and "queue_max_requests = 2" in text_of(answer)
    assert relay.state.requests.keys() == {1, 2}


def test_the_queue_holds_so_many_bytes_and_one_request_of_any_size() -> None:
    relay = without_worker(v1.Limits(queue_bytes_max=1000))
    relay.line(call(1, blob="x" * 5000))
    assert relay.client() == [], "one is always held, however large"
    answer = relay.ask(call(2))
    assert "queue_bytes_max = 1000" in text_of(answer)
    assert relay.state.requests.keys() == {1}


def test_held_requests_are_answered_when_their_time_is_up_each_in_its_own() -> None:
    relay = without_worker(v1.Limits(queue_wait_seconds=4.0))
    relay.line(call(1))
    relay.wait(2.0)
    relay.line(request(2, "prompts/get", name="p"))
    relay.wait(1.5)
    assert relay.client() == []
    relay.wait(0.5)
    (first,) = relay.client()
    assert first["id"] == 1 and "queue_wait_seconds" in text_of(first)
    relay.wait(1.5)
    assert relay.client() == []
    relay.wait(0.5)
    (second,) = relay.client()
    assert second["id"] == 2 and second["error"]["code"] == -32010


@pytest.mark.parametrize("seconds", [3.3, 10.0])
@pytest.mark.parametrize("arrived", [1000.1, 1020.1, 86400.7])
def test_a_held_request_is_answered_at_its_deadline_and_not_due_again_at_once(
    arrived: float, seconds: float
) -> None:
    """Times are floats: `arrived + limit - arrived` may be less than `limit`."""
    relay = without_worker(v1.Limits(queue_wait_seconds=seconds))
    relay.relay.shared.timers.clear("respawn")
    relay.now = arrived
    relay.line(call(1))
    relay.now = due = relay.relay.shared.timers.at["held"]
    relay.do(events.DeadlinePassed())
    assert [answer["id"] for answer in relay.client()] == [1]
    after = relay.relay.next_deadline()
    assert after is None or after > due


def test_time_the_machine_slept_does_not_count_against_a_held_request() -> None:
    relay = without_worker(v1.Limits(queue_wait_seconds=10.0))
    relay.relay.shared.timers.clear("respawn")
    relay.line(call(1))
    relay.wait(9.0)
    relay.line(call(2))
    relay.now += 600.0
    relay.do(events.Overslept(600.0))
    relay.do(events.DeadlinePassed())
    assert relay.client() == []
    relay.wait(1.5)
    assert [answer["id"] for answer in relay.client()] == [1], "the second waited 1.5 s awake"
    relay.wait(9.0)
    assert [answer["id"] for answer in relay.client()] == [2]


# ---- bytes and requests under way


def test_retained_bytes_are_limited_and_one_frame_is_always_admitted() -> None:
    relay = Driver()
    relay.serve(limits=v1.Limits(retained_bytes_max=1000))
    relay.line(call(1, blob="x" * 5000))
    assert relay.client() == [] and len(relay.frames(v1.Call)) == 1
    answer = relay.ask(call(2))
    assert "retained_bytes_max = 1000" in text_of(answer)
    relay.reply(1)
    relay.client()
    assert relay.state.retained_bytes == 0
    relay.line(call(3))
    assert relay.client() == []


def test_requests_in_flight_are_limited() -> None:
    relay = Driver()
    relay.serve(limits=v1.Limits(requests_in_flight_max=3))
    for number in range(3):
        relay.line(call(number))
    answer = relay.ask(call(3))
    assert answer["id"] == 3 and "requests_in_flight_max = 3" in text_of(answer)
    assert relay.ask(request(4, "ping"))["result"] == {}, "what needs no backend is not refused"


# ---- call_timeout_seconds


def test_a_call_over_its_backends_limit_is_answered_and_cancelled_there() -> None:
    relay = Driver()
    relay.serve()
    relay.line(call(1, "slow__think"))
    relay.line(call(2, "files__read"))
    relay.wait(29.9)
    assert relay.client() == []
    relay.wait(0.1)
    (answer,) = relay.client()
    assert answer["id"] == 1 and "call_timeout_seconds" in text_of(answer)
    assert relay.one(v1.Cancel) == v1.Cancel(1)
    relay.reply(1)
    assert relay.client() == [] and relay.state.counts.late_replies == 1
    relay.wait(1000)
    assert relay.client() == [], "no limit by default"


def test_each_call_has_its_own_limit() -> None:
    relay = Driver()
    relay.serve()
    for number in range(4):
        relay.line(call(number, "slow__think"))
        relay.wait(10.0)
    assert [answer["id"] for answer in relay.client()] == [0, 1]
    relay.reply(3)
    relay.wait(10.0)
    relay.wait(10.0)
    assert [answer["id"] for answer in relay.client()] == [2, 3]


def test_time_the_machine_slept_does_not_count_against_a_call() -> None:
    relay = Driver()
    relay.serve()
    relay.line(call(1, "slow__think"))
    relay.wait(10.0)
    relay.line(call(2, "slow__think"))
    relay.now += 3600.0
    relay.do(events.Overslept(3600.0))
    relay.do(events.DeadlinePassed())
    relay.wait(19.9)
    assert relay.client() == []
    relay.wait(0.2)
    assert [answer["id"] for answer in relay.client()] == [1]
    relay.wait(9.7)
    assert relay.client() == [], "the second had 29.8 s awake"
    relay.wait(0.3)
    assert [answer["id"] for answer in relay.client()] == [2]


def test_a_call_whose_backend_only_the_worker_knows_is_limited_once_it_says_so() -> None:
    """A template's resource, or a tool that was renamed a moment ago, is in no list."""
    relay = Driver()
    relay.serve()
    relay.line(request(1, "resources/read", uri="file:///of/a/template"))
    relay.line(call(2, "files__read"))
    assert [m.tell for _, m in relay.to_worker(v1.Call)] == [True, False]
    relay.wait(10.0)
    relay.frame(v1.Routed(1, "slow"))
    relay.frame(v1.Routed(2, "slow"))
    relay.frame(v1.Routed(99, "slow"))
    assert (relay.state.backends["slow"].calls, relay.state.backends["files"].calls) == (1, 1)
    relay.wait(29.9)
    assert relay.client() == []
    relay.wait(0.1)
    assert [answer["id"] for answer in relay.client()] == [1]
    relay.wait(1000.0)
    assert relay.client() == [], "a call whose backend was known keeps it"
