"""A cancelled request is never answered, in whatever phase the cancellation meets it."""

from collections.abc import Callable

import pytest

from relay_supervisor.core import events
from relay_supervisor.core.state import Phase
from relay_supervisor.wire import v1
from tests.unit.relay_supervisor.core.driver import Driver, call, modern, notification, request

KEY = "c"


def greeting() -> Driver:
    relay = Driver()
    relay.do(events.Started())
    relay.line(modern(KEY, "server/discover"))
    return relay


def listing() -> Driver:
    relay = Driver()
    relay.do(events.Started())
    relay.line(modern(KEY, "tools/list"))
    return relay


def held() -> Driver:
    relay = Driver()
    relay.serve()
    relay.do(events.WorkerPipeFailed(1, "gone"))
    relay.line(call(KEY))
    return relay


def calling() -> Driver:
    relay = Driver()
    relay.serve()
    relay.line(call(KEY))
    return relay


def listening() -> Driver:
    relay = Driver()
    relay.start()
    relay.line(modern(KEY, "subscriptions/listen", notifications={"toolsListChanged": True}))
    return relay


PHASES = {
    Phase.GREETING: greeting,
    Phase.LISTING: listing,
    Phase.HELD: held,
    Phase.CALLING: calling,
    Phase.LISTENING: listening,
}


@pytest.mark.parametrize(("phase", "reach"), PHASES.items(), ids=[phase.value for phase in PHASES])
def test_a_request_cancelled_in_any_phase_is_forgotten_and_never_answered(
    phase: Phase, reach: Callable[[], Driver]
) -> None:
    relay = reach()
    assert relay.state.requests[KEY].phase is phase
    relay.wanted.clear()
    relay.line(notification("notifications/cancelled", requestId=KEY))
    assert relay.state.requests == {} and relay.state.calls == {}
    assert relay.state.retained_bytes == 0 and relay.state.peer.listens == {}
    # All that could still bring an answer happens.
    for generation in list(relay.relay.shared.workers.state.generations):
        if relay.relay.shared.workers.state.active != generation:
            relay.do(events.WorkerPipeFailed(generation, "gone"))
    relay.reply(1)
    relay.wait(20.0)
    assert relay.client() == []


def test_there_is_a_test_for_every_phase() -> None:
    assert set(PHASES) == set(Phase)


@pytest.mark.parametrize("key", ["other", 7, "7"])
def test_cancelling_what_is_not_open_does_nothing(key: object) -> None:
    relay = Driver()
    relay.serve()
    relay.line(call("c"))
    relay.wanted.clear()
    relay.line(notification("notifications/cancelled", requestId=key))
    assert relay.wanted == []
    relay.reply(1)
    assert len(relay.client()) == 1


def test_a_number_does_not_cancel_the_string_that_looks_like_it() -> None:
    relay = Driver()
    relay.serve()
    relay.line(call(7))
    relay.line(call("7"))
    relay.line(notification("notifications/cancelled", requestId="7"))
    relay.reply(1)
    relay.reply(2)
    assert [answer["id"] for answer in relay.client()] == [7]


def test_a_cancellation_that_comes_too_late_is_ignored() -> None:
    relay = Driver()
    relay.serve()
    relay.line(call(1))
    relay.reply(1)
    relay.wanted.clear()
    relay.line(notification("notifications/cancelled", requestId=1))
    relay.line(notification("notifications/cancelled", requestId=1))
    assert relay.wanted == []


def test_initialize_cannot_be_cancelled() -> None:
    relay = Driver()
    relay.do(events.Started())
    relay.line(request(0, "initialize", protocolVersion="2025-11-25", capabilities={}))
    relay.line(notification("notifications/cancelled", requestId=0))
    relay.hatch()
    relay.configure()
    assert [answer["id"] for answer in relay.client()] == [0]


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","method":"notifications/cancelled"}',
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":null}',
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":[1]}',
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}',
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":null}}',
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":[1]}}',
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1.0}}',
    ],
)
def test_a_cancellation_of_nothing_in_particular_is_ignored(line: bytes) -> None:
    relay = Driver()
    relay.serve()
    relay.line(call(1))
    relay.wanted.clear()
    relay.line(line)
    assert relay.wanted == [] and list(relay.state.requests) == [1]


def test_the_id_of_a_cancelled_request_is_free_again() -> None:
    relay = Driver()
    relay.serve()
    relay.line(call(1))
    relay.line(notification("notifications/cancelled", requestId=1))
    relay.line(call(1))
    relay.reply(1, b'"result":"of the first"}')
    relay.reply(2, b'"result":"of the second"}')
    assert [answer["result"] for answer in relay.client()] == ["of the second"]
    assert relay.to_worker(v1.Cancel) == [(1, v1.Cancel(1))]
