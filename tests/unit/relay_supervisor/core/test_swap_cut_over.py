"""A new worker takes over between two frames: what was called before stays where it is."""

from typing import Any

import msgspec
import pytest

from relay_supervisor.core import effects, events
from relay_supervisor.core.generation import LIMIT_SECONDS, Life
from relay_supervisor.core.swap_record import Outcome
from relay_supervisor.wire import handshake, v1
from tests.unit.relay_supervisor.core.driver import SOURCE, Driver, notification, request
from tests.unit.relay_supervisor.core.swap_driver import FAST, SwapDriver


@pytest.fixture
def relay() -> SwapDriver:
    """Generation 1 is active, the client is greeted and can be asked."""
    driver = SwapDriver()
    driver.serve(elicitation={}, roots={})
    return driver


def swapped(relay: SwapDriver) -> SwapDriver:
    """Generation 2 has taken over, 1 stands by."""
    relay.swap()
    relay.candidate(2)
    assert (relay.life(1), relay.life(2)) == (Life.STANDBY, Life.ACTIVE)
    relay.wanted.clear()
    return relay


# ---- from the order to the cut-over


def test_a_swap_starts_the_committed_code_and_lets_it_read_the_configuration_anew(
    relay: SwapDriver,
) -> None:
    relay.swap()
    assert relay.take(effects.SpawnWorker) == [effects.SpawnWorker(2, SOURCE.python)]
    relay.hatch(2)
    ((generation, configure, payload),) = relay.frames(v1.Configure)
    assert (generation, configure.has_snapshot, payload) == (2, False, b"")


def test_a_swap_to_a_release_starts_its_interpreter(relay: SwapDriver) -> None:
    relay.swap(python="/releases/7/bin/python", release="7")
    assert relay.take(effects.SpawnWorker) == [effects.SpawnWorker(2, "/releases/7/bin/python")]


def test_a_swap_takes_the_states_in_their_order_and_the_old_worker_serves_until_ready(
    relay: SwapDriver,
) -> None:
    steps: list[Any] = [
        (relay.swap, Life.SPAWNING),
        (lambda: relay.spawned(2), Life.HANDSHAKING),
        (lambda: relay.welcome(2), Life.WARMING),
        (lambda: relay.configure(2, limits=FAST), Life.WARMING),
        (lambda: relay.healthy(2), Life.WARMING),
        (lambda: relay.catalogue(generation=2), Life.WARMING),
    ]
    for step, life in steps:
        step()
        assert (relay.life(1), relay.life(2)) == (Life.ACTIVE, life)
        assert relay.call_on(life.value)[0] == 1
        relay.line(notification("notifications/cancelled", requestId=life.value))
    relay.ready(2)
    assert (relay.life(1), relay.life(2)) == (Life.STANDBY, Life.ACTIVE)
    assert relay.call_on("after")[0] == 2


@pytest.mark.parametrize("wrong", [{"nonce": "0" * 16}, {"generation": 1}, {"version": 2}])
def test_a_welcome_of_another_worker_ends_the_swap_and_not_the_old_worker(
    relay: SwapDriver, wrong: dict[str, Any]
) -> None:
    relay.swap()
    pid = relay.spawned(2)
    hello = relay.one(handshake.Hello)
    right = {"version": 1, "build": "9.8", "generation": 2, "nonce": hello.nonce, "pid": pid}
    frame = msgspec.msgpack.encode(handshake.Welcome(**{**right, **wrong}))
    relay.do(events.WorkerFrame(2, frame, b""))
    assert (relay.life(1), relay.life(2)) == (Life.ACTIVE, Life.FAILED)
    assert relay.ended(Outcome.FAILED)
    assert (pid, 9) in relay.signals()


def test_nonces_are_never_the_same(relay: SwapDriver) -> None:
    nonces = {relay.relay.shared.workers.state.generations[1].nonce}
    for number in range(2, 20):
        relay.swap()
        relay.spawned(number)
        nonces.add(relay.one(handshake.Hello).nonce)
        relay.die(number)
    assert len(nonces) == 19


@pytest.mark.parametrize("number", [1, 3])
def test_ready_with_another_generation_is_not_taken(relay: SwapDriver, number: int) -> None:
    relay.swap()
    relay.warm(2)
    nonce = relay.relay.shared.workers.state.generations[2].nonce
    relay.frame(v1.Ready(number, nonce), b"", 2)
    assert (relay.life(1), relay.life(2)) == (Life.ACTIVE, Life.FAILED)
    assert relay.ended(Outcome.FAILED, "another generation")


def test_ready_with_another_nonce_is_not_taken(relay: SwapDriver) -> None:
    """It may be the answer of whoever had the place before."""
    relay.swap()
    relay.warm(2)
    nonce = relay.relay.shared.workers.state.generations[1].nonce
    relay.frame(v1.Ready(2, nonce), b"", 2)
    assert (relay.life(1), relay.life(2)) == (Life.ACTIVE, Life.FAILED)


def test_a_worker_cannot_be_ready_twice(relay: SwapDriver) -> None:
    relay.swap()
    relay.warm(2, states={"files": "starting"})
    relay.ready(2)
    assert relay.life(2) is Life.READY
    relay.ready(2)
    assert (relay.life(1), relay.life(2)) == (Life.ACTIVE, Life.FAILED)


@pytest.mark.parametrize("welcome", [False, True])
def test_ready_before_the_configuration_is_read_is_a_lie(relay: SwapDriver, welcome: bool) -> None:
    relay.swap()
    relay.spawned(2)
    if welcome:
        relay.welcome(2)
    relay.frame(v1.Ready(2, relay.relay.shared.workers.state.generations[2].nonce), b"", 2)
    assert (relay.life(1), relay.life(2)) == (Life.ACTIVE, Life.FAILED)


@pytest.mark.parametrize("life", [Life.SPAWNING, Life.HANDSHAKING])
def test_a_candidate_that_does_not_speak_in_time_ends_the_swap(
    relay: SwapDriver, life: Life
) -> None:
    relay.swap()
    if life is Life.HANDSHAKING:
        relay.spawned(2)
    relay.wait(LIMIT_SECONDS[life])
    assert relay.life(1) is Life.ACTIVE and relay.life(2) in {Life.FAILED, None}
    assert relay.ended(Outcome.FAILED, "too long")


def test_the_first_worker_may_report_ready_long_after_it_was_replaced(relay: Driver) -> None:
    """Active at once as nobody else was, it was slow to get ready; it still has calls."""
    relay = SwapDriver()
    relay.start(limits=FAST)
    relay.greet()
    assert relay.call_on(1) == (1, 1)
    relay.swap()
    relay.candidate(2)
    relay.ready(1)
    assert (relay.life(1), relay.life(2)) == (Life.STANDBY, Life.ACTIVE)
    relay.wait(FAST.probation_seconds)
    assert relay.life(1) is Life.DRAINING
    relay.reply(1, generation=1)
    assert [answer["id"] for answer in relay.client()] == [1]
    other = SwapDriver()
    other.start(limits=FAST)
    other.greet()
    other.call_on(1)
    other.swap()
    other.candidate(2)
    other.wait(FAST.probation_seconds)
    other.ready(1)
    assert other.life(1) is Life.DRAINING


# ---- calls follow their pin


def test_a_call_stays_with_the_worker_that_got_it_reply_progress_and_cancel_included(
    relay: SwapDriver,
) -> None:
    relay.call_on("answered", _meta={"progressToken": "t"})
    relay.call_on("cancelled")
    swapped(relay)
    relay.frame(v1.Progress(1), b'{"progress":1}', 1)
    (progress,) = relay.client()
    assert progress["params"] == {"progressToken": "t", "progress": 1}
    relay.line(notification("notifications/cancelled", requestId="cancelled"))
    assert relay.to_worker(v1.Cancel) == [(1, v1.Cancel(2))]
    relay.reply(1, generation=1)
    relay.reply(2, generation=1)
    assert [answer["id"] for answer in relay.client()] == ["answered"]
    assert relay.call_on("new") == (2, 3)


def test_nobody_else_may_answer_a_call_or_speak_of_its_progress(relay: SwapDriver) -> None:
    relay.call_on("old", _meta={"progressToken": "t"})
    swapped(relay)
    relay.call_on("new", _meta={"progressToken": "u"})
    for number, generation in ((1, 2), (2, 1)):
        relay.frame(v1.Progress(number), b'{"progress":1}', generation)
        relay.reply(number, generation=generation)
    assert relay.client() == []
    assert relay.state.counts.late_replies == 2
    relay.reply(1, b'"result":"old"}', generation=1)
    relay.reply(2, b'"result":"new"}', generation=2)
    assert {a["id"]: a["result"] for a in relay.client()} == {"old": "old", "new": "new"}


def test_a_limit_of_a_call_is_kept_and_cancelled_where_the_call_is(relay: SwapDriver) -> None:
    relay.call_on("old", "slow__think")
    swapped(relay)
    relay.wait(30.0)
    assert relay.to_worker(v1.Cancel) == [(1, v1.Cancel(1))]
    assert [answer["id"] for answer in relay.client()] == ["old"]


def test_a_question_of_the_old_worker_is_answered_to_it(relay: SwapDriver) -> None:
    relay.frame(v1.BackendRequest("files", b'"q"', 61, "elicitation/create"), b"{}", 1)
    swapped(relay)
    relay.frame(v1.BackendRequest("files", b'"q"', 71, "elicitation/create"), b"{}", 2)
    relay.line({"jsonrpc": "2.0", "id": 1, "result": {"action": "accept"}})
    relay.line({"jsonrpc": "2.0", "id": 2, "result": {"action": "accept"}})
    assert [(g, m.pid) for g, m in relay.to_worker(v1.ClientAnswer)] == [(1, 61), (2, 71)]


def test_a_question_the_old_worker_takes_back_is_taken_back(relay: SwapDriver) -> None:
    relay.frame(v1.BackendRequest("files", b'"q"', 61, "elicitation/create"), b"{}", 1)
    swapped(relay)
    relay.frame(v1.BackendCancel("files", b'"q"', 61), b"", 1)
    (told,) = relay.client()
    assert (told["method"], told["params"]["requestId"]) == ("notifications/cancelled", 1)


def test_what_was_held_goes_to_the_worker_that_is_up_in_its_order(relay: SwapDriver) -> None:
    relay.do(events.WorkerPipeFailed(1, "gone"))
    for key in range(3):
        relay.line(request(key, "prompts/get", name="files__ask"))
    relay.die(1)
    relay.swap()
    relay.hatch(2)
    relay.configure(2, limits=FAST)
    assert [(g, m.call) for g, m in relay.to_worker(v1.Call)] == [(2, 1), (2, 2), (2, 3)]


def test_news_come_from_the_one_that_serves_and_logs_of_calls_from_whoever_has_them(
    relay: SwapDriver,
) -> None:
    """Both have the resource subscribed to: an update told by both would come twice."""
    relay.line(request(1, "resources/subscribe", uri="file:///a"))
    relay.reply(1)
    swapped(relay)
    updated = v1.Notification("files", "notifications/resources/updated")
    relay.frame(updated, b'{"uri":"file:///a"}', 1)
    relay.frame(updated, b'{"uri":"file:///a"}', 2)
    assert [told["method"] for told in relay.client()] == ["notifications/resources/updated"]
    relay.frame(v1.Notification("files", "notifications/message"), b'{"data":1}', 1)
    assert [told["method"] for told in relay.client()] == ["notifications/message"]


def test_what_is_said_in_the_stream_of_a_call_comes_from_whoever_has_the_call(
    relay: SwapDriver,
) -> None:
    """A server says it there and nowhere else, whatever it is."""
    relay.call_on("old")
    swapped(relay)
    relay.call_on("new")
    (old, new) = sorted(relay.state.calls)
    for call, generation in ((old, 1), (new, 2), (0, 1), (new, 1), (99, 1)):
        said = v1.Notification("files", "vendor/event", call=call)
        relay.frame(said, b'{"of":%d,"by":%d}' % (call, generation), generation)
    told = [message["params"] for message in relay.client()]
    assert told == [{"of": old, "by": 1}, {"of": new, "by": 2}]


def test_the_swap_keeps_how_many_calls_were_under_way(relay: SwapDriver) -> None:
    for key in range(3):
        relay.call_on(key)
    swapped(relay)
    relay.answered_calls(FAST.probation_calls)
    assert relay.ended(Outcome.COMMITTED)
    assert relay.last.calls_at_cut_over == 3
    calls = relay.last.record()["calls"]
    assert isinstance(calls, dict)
    assert (calls["at_cut_over"], calls["answered"]) == (3, FAST.probation_calls)
