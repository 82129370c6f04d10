"""A worker that lives and does nothing is found; one that nobody could hear is not blamed."""

import pytest

from relay_supervisor.core import effects, events
from relay_supervisor.core.generation import Life
from relay_supervisor.core.heartbeat import INTERVAL_SECONDS, MISSES_MAX
from relay_supervisor.wire import v1
from relay_supervisor.wire.ledger import Stage
from tests.unit.relay_supervisor.core.driver import Driver, call
from tests.unit.relay_supervisor.core.swap_driver import SwapDriver

DEAF_SECONDS = (MISSES_MAX + 1) * INTERVAL_SECONDS


@pytest.fixture
def relay() -> Driver:
    driver = Driver()
    driver.serve()
    driver.answers_pings = False
    return driver


def pinged(relay: Driver) -> list[int]:
    """Which generations were pinged, as often as they were."""
    return [generation for generation, _ in relay.to_worker(v1.Ping)]


def state(relay: Driver, number: int = 1) -> Life:
    return relay.relay.shared.workers.state.generations[number].state


def test_an_idle_relay_sleeps(relay: Driver) -> None:
    relay.wait(3600.0)
    assert pinged(relay) == [] and relay.relay.next_deadline() is None


def test_while_calls_are_open_the_worker_is_asked_once_in_each_interval(relay: Driver) -> None:
    relay.line(call(1))
    for _ in range(20):
        relay.wait(INTERVAL_SECONDS)
        ((generation, ping),) = relay.to_worker(v1.Ping)
        assert generation == 1
        relay.frame(v1.Pong(ping.token))
    assert state(relay) is Life.ACTIVE
    relay.reply(1)
    relay.wait(5 * INTERVAL_SECONDS)
    assert pinged(relay) == [], "nothing is open any more"


def test_a_worker_that_misses_too_many_is_killed_and_replaced(relay: Driver) -> None:
    relay.line(call(1))
    relay.wait(DEAF_SECONDS - 0.01)
    assert state(relay) is Life.ACTIVE
    relay.wait(0.01)
    assert state(relay) is Life.FAILED
    assert (relay.pids[1], 9) in [(e.pid, e.signal) for e in relay.take(effects.Signal)]
    assert relay.client() == [], "what its calls come to is known when it is dead"
    relay.die(1, {1: Stage.RECEIVED})
    relay.frames(v1.Call)
    relay.revive(2)
    assert [g for g, _ in relay.to_worker(v1.Call)] == [2]


def test_what_a_hung_worker_says_when_it_wakes_is_late_once_it_is_dead(relay: Driver) -> None:
    relay.line(call(1))
    relay.wait(DEAF_SECONDS)
    relay.die(1)
    (answer,) = relay.client()
    assert answer["result"]["isError"] is True
    relay.reply(1)
    assert relay.client() == []


def test_one_answer_makes_good_for_all_that_were_missed(relay: Driver) -> None:
    relay.line(call(1))
    for _ in range(10):
        relay.wait((MISSES_MAX - 1) * INTERVAL_SECONDS)
        relay.frame(v1.Pong(1))
    assert state(relay) is Life.ACTIVE


@pytest.mark.parametrize("misses", range(1, MISSES_MAX + 1))
def test_who_overslept_blames_nobody(relay: Driver, misses: int) -> None:
    """After SIGSTOP, Ctrl-Z or a suspended machine all liveness deadlines start anew."""
    relay.line(call(1))
    relay.wait(misses * INTERVAL_SECONDS)
    relay.now += 3600.0
    relay.do(events.Overslept(3600.0))
    relay.do(events.DeadlinePassed())
    assert state(relay) is Life.ACTIVE
    relay.wait((MISSES_MAX - 1) * INTERVAL_SECONDS)
    assert state(relay) is Life.ACTIVE
    relay.wait(2 * INTERVAL_SECONDS)
    assert state(relay) is Life.FAILED, "it is forgiven once, not for ever"


def test_who_does_not_read_the_pipes_blames_nobody(relay: Driver) -> None:
    relay.line(call(1))
    relay.wait(MISSES_MAX * INTERVAL_SECONDS)
    relay.do(events.WorkersUnread(unread=True))
    relay.wait(600.0)
    assert state(relay) is Life.ACTIVE
    relay.to_worker(v1.Ping)
    relay.do(events.WorkersUnread(unread=False))
    relay.wait(MISSES_MAX * INTERVAL_SECONDS)
    assert state(relay) is Life.ACTIVE
    relay.wait(INTERVAL_SECONDS)
    assert state(relay) is Life.FAILED


def test_all_that_have_something_under_way_are_asked_and_a_candidate_is_not() -> None:
    """It has a limit of its own: ready_seconds_max."""
    relay = SwapDriver()
    relay.serve()
    relay.answers_pings = False
    relay.call_on(1)
    relay.swap()
    relay.warm(2)
    relay.wait(INTERVAL_SECONDS)
    assert pinged(relay) == [1]
    relay.ready(2)
    relay.wait(INTERVAL_SECONDS)
    assert pinged(relay) == [1, 2]


def test_a_probation_is_watched_without_any_call() -> None:
    relay = SwapDriver()
    relay.serve()
    relay.swap()
    relay.candidate(2)
    relay.answers_pings = False
    relay.wait(INTERVAL_SECONDS)
    assert pinged(relay) == [1, 2]


def test_of_two_only_the_deaf_one_is_given_up() -> None:
    relay = SwapDriver()
    relay.serve()
    relay.call_on(1)
    relay.swap()
    relay.candidate(2)
    relay.answers_pings = False
    for _ in range(MISSES_MAX + 1):
        relay.wait(INTERVAL_SECONDS)
        for generation, ping in relay.to_worker(v1.Ping):
            if generation == 2:
                relay.frame(v1.Pong(ping.token), b"", 2)
    assert (relay.life(1), relay.life(2)) == (Life.FAILED, Life.ACTIVE)
    assert relay.relay.swaps.probation is not None, "it is not to blame"
