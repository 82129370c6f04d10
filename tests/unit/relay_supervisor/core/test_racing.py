"""Progress right before its answer never reaches a client that trips over it."""

import pytest

from relay_supervisor.core.racing import HOLD_SECONDS
from relay_supervisor.wire import v1
from tests.unit.relay_supervisor.core.driver import Driver, call, notification, request


@pytest.fixture
def relay() -> Driver:
    driver = Driver()
    driver.serve()
    info = {"name": "claude-code", "version": "2.1.150"}
    driver.ask(request("init", "initialize", protocolVersion="2025-11-25", clientInfo=info))
    driver.line(notification("notifications/initialized"))
    driver.wanted.clear()
    return driver


def begin(relay: Driver, key: object) -> int:
    relay.line(call(key, _meta={"progressToken": f"t-{key}"}))
    return relay.one(v1.Call).call


def report(relay: Driver, number: int, progress: int) -> None:
    relay.frame(v1.Progress(number), b'{"progress":%d}' % progress)


def told(relay: Driver) -> list[object]:
    """What the client has read: the progress of which token, or the id that is answered."""
    shown = []
    for line in relay.client():
        params = line.get("params")
        shown.append((params["progressToken"], params["progress"]) if params else line["id"])
    return shown


def test_what_the_answer_follows_at_once_is_left_out(relay: Driver) -> None:
    number = begin(relay, 1)
    report(relay, number, 1)
    relay.wait(HOLD_SECONDS / 2)
    relay.reply(number)
    relay.wait(1)
    assert told(relay) == [1]


def test_other_progress_is_a_moment_late(relay: Driver) -> None:
    number = begin(relay, 1)
    report(relay, number, 1)
    assert told(relay) == []
    relay.wait(HOLD_SECONDS)
    assert told(relay) == [("t-1", 1)]
    relay.reply(number)
    assert told(relay) == [1]


def test_only_the_last_of_several_is_held_and_none_is_overtaken(relay: Driver) -> None:
    number = begin(relay, 1)
    for progress in range(3):
        report(relay, number, progress)
    assert told(relay) == [("t-1", 0), ("t-1", 1)]
    relay.wait(HOLD_SECONDS)
    assert told(relay) == [("t-1", 2)]


def test_each_call_has_its_own_time(relay: Driver) -> None:
    first, second = begin(relay, 1), begin(relay, 2)
    report(relay, first, 1)
    relay.wait(HOLD_SECONDS / 2)
    report(relay, second, 1)
    relay.wait(HOLD_SECONDS / 2)
    assert told(relay) == [("t-1", 1)]
    relay.wait(HOLD_SECONDS / 2)
    assert told(relay) == [("t-2", 1)]


def test_of_a_call_that_is_cancelled_nothing_more_is_told(relay: Driver) -> None:
    number = begin(relay, 1)
    report(relay, number, 1)
    relay.line(notification("notifications/cancelled", requestId=1))
    relay.wait(1)
    assert told(relay) == []


def test_other_clients_get_all_of_it_at_once() -> None:
    relay = Driver()
    relay.serve()
    number = begin(relay, 1)
    report(relay, number, 1)
    relay.reply(number)
    assert told(relay) == [("t-1", 1), 1]


def test_what_nobody_wants_to_hear_of_is_not_kept(relay: Driver) -> None:
    relay.line(call(1))
    number = relay.one(v1.Call).call
    report(relay, number, 1)
    assert told(relay) == [] and not relay.state.calls[number].progress
