"""The relay ends when its client is gone or a signal says so: in time, and with nothing left."""

import pytest

from relay_supervisor.core import effects, events
from relay_supervisor.core.ending import LAST_ANSWERS_SECONDS_MAX, STOP_SECONDS_MAX
from relay_supervisor.wire import v1
from tests.unit.relay_supervisor.core.driver import Driver, call, modern, request


@pytest.fixture
def relay() -> Driver:
    """A worker, pid 5001, with a backend, pid 61."""
    driver = Driver()
    driver.serve()
    driver.do(events.BackendSpawned(1, 9, "files", 61))
    driver.wanted.clear()
    return driver


def signals(relay: Driver) -> list[tuple[int, int]]:
    """What was signalled, as (pid, signal)."""
    return [(effect.pid, effect.signal) for effect in relay.take(effects.Signal)]


def ended(relay: Driver) -> bool:
    """Whether the relay wants to exit."""
    return bool(relay.take(effects.Exit))


def test_a_closed_stdin_ends_an_idle_relay_at_once(relay: Driver) -> None:
    relay.do(events.ClientClosed())
    assert relay.to_worker(v1.Retire) == [(1, v1.Retire(for_good=True))]
    assert [e.pid for e in relay.take(effects.CloseStdin)] == [5001, 61]
    assert not ended(relay)
    relay.do(events.ProcessExited(61, 0))
    relay.do(events.ProcessExited(5001, 0))
    assert ended(relay)
    assert signals(relay) == []


def test_calls_under_way_are_still_answered_after_stdin_is_closed(relay: Driver) -> None:
    relay.line(call(1))
    relay.line(call(2))
    relay.do(events.ClientClosed())
    assert relay.frames(v1.Retire) == []
    relay.reply(1)
    relay.reply(2)
    assert [answer["id"] for answer in relay.client()] == [1, 2]
    assert relay.to_worker(v1.Retire) == [(1, v1.Retire(for_good=True))]


def test_an_open_subscription_does_not_keep_a_relay_alive() -> None:
    relay = Driver()
    relay.start()
    relay.line(modern("l", "subscriptions/listen", notifications={}))
    relay.do(events.ClientClosed())
    assert len(relay.frames(v1.Retire)) == 1


def test_after_a_closed_stdin_all_is_gone_within_two_seconds_whatever_happens(
    relay: Driver,
) -> None:
    begun = relay.now
    relay.line(call(1))
    relay.do(events.ClientClosed())
    relay.wait(LAST_ANSWERS_SECONDS_MAX)
    assert len(relay.frames(v1.Retire)) == 1
    while not ended(relay):
        due = relay.relay.next_deadline()
        assert due is not None
        relay.wait(due - relay.now)
    assert relay.now - begun < 2.0
    assert signals(relay) == [(5001, 15), (61, 15), (5001, 9), (61, 9)]


@pytest.mark.parametrize("signal", [1, 2, 15])
def test_a_signal_ends_all_within_its_time(relay: Driver, signal: int) -> None:
    begun = relay.now
    relay.line(call(1))
    relay.do(events.StopRequested(signal))
    assert signals(relay) == [(5001, 15), (61, 15)]
    while not ended(relay):
        due = relay.relay.next_deadline()
        assert due is not None
        relay.wait(due - relay.now)
    assert relay.now - begun < 0.4
    assert signals(relay) == [(5001, 9), (61, 9)]


def test_a_second_signal_kills_at_once(relay: Driver) -> None:
    relay.do(events.StopRequested(2))
    assert not ended(relay)
    relay.do(events.StopRequested(15))
    assert signals(relay) == [(5001, 15), (61, 15), (5001, 9), (61, 9)]
    assert ended(relay)
    relay.do(events.StopRequested(15))
    assert signals(relay) == []


def test_a_signal_hurries_an_end_that_has_begun_and_nothing_slows_it_down(
    relay: Driver,
) -> None:
    relay.do(events.ClientClosed())
    relay.wait(0.1)
    relay.do(events.StopRequested(15))
    assert {number for _, number in signals(relay)} >= {15}
    relay.do(events.ClientGone())
    relay.do(events.ClientClosed())
    relay.wait(0.12)
    assert ended(relay)


def test_a_client_that_reads_no_more_is_gone(relay: Driver) -> None:
    relay.do(events.ClientGone())
    assert len(relay.frames(v1.Retire)) == 1
    relay.wait(2.0)
    assert ended(relay)


def test_a_child_that_cannot_be_killed_does_not_keep_us(relay: Driver) -> None:
    relay.do(events.StopRequested(15))
    relay.wait(STOP_SECONDS_MAX)
    assert ended(relay)


def test_nothing_new_is_started_once_the_end_has_begun(relay: Driver) -> None:
    relay.do(events.ClientGone())
    relay.do(events.ProcessExited(5001, -9))
    relay.wait(30.0)
    assert relay.take(effects.SpawnWorker) == []


def test_no_worker_is_started_when_respawn_and_end_are_due_together() -> None:
    relay = Driver()
    relay.serve()
    relay.do(events.WorkerPipeFailed(1, "gone"))
    relay.line(call(1))
    relay.wanted.clear()
    relay.do(events.ClientClosed())
    relay.now += 20.0  # both deadlines have passed, and the end is the earlier one
    relay.relay.shared.timers.set("respawn", relay.now)
    relay.do(events.DeadlinePassed())
    assert relay.take(effects.SpawnWorker) == []


def test_a_backend_that_starts_during_the_end_is_ended_too(relay: Driver) -> None:
    relay.do(events.StopRequested(15))
    relay.wanted.clear()
    relay.do(events.BackendSpawned(1, 10, "slow", 62))
    assert (62, 15) in signals(relay)
    relay.wait(0.2)
    assert (62, 9) in signals(relay)


def test_a_worker_that_starts_just_before_the_end_is_ended_too(relay: Driver) -> None:
    relay.do(events.ProcessExited(5001, 1))
    relay.wait(0.2)
    assert relay.take(effects.SpawnWorker) == [effects.SpawnWorker(2, "/python")]
    relay.do(events.StopRequested(15))
    relay.wanted.clear()
    relay.do(events.WorkerSpawned(2, 5002))
    assert (5002, 15) in signals(relay)


def test_no_deadline_of_the_dead_is_left_to_stumble_over(relay: Driver) -> None:
    """A worker that never got to its welcome, and a backend of an earlier one that stays."""
    relay.do(events.WorkerPipeFailed(1, "gone"))
    relay.do(events.ProcessExited(5001, 0))
    relay.wait(1.0)
    relay.do(events.WorkerSpawned(2, 5002))
    relay.wait(9.9)
    relay.do(events.BackendSpawned(1, 10, "slow", 62))
    relay.do(events.StopRequested(15))
    relay.do(events.ProcessExited(5002, 0))
    relay.wait(1.0)
    assert ended(relay)


def test_requests_during_the_end_are_not_sent_to_a_worker_that_is_gone(relay: Driver) -> None:
    relay.do(events.StopRequested(15))
    relay.do(events.ProcessExited(5001, 0))
    relay.wanted.clear()
    relay.line(call(5))
    relay.line(request(6, "ping"))
    assert relay.frames(v1.Call) == []
    assert 6 in [answer["id"] for answer in relay.client()]


def test_an_answer_that_comes_during_the_end_is_still_given(relay: Driver) -> None:
    relay.line(call(1))
    relay.do(events.ClientClosed())
    relay.wait(LAST_ANSWERS_SECONDS_MAX)
    relay.reply(1)
    assert [answer["id"] for answer in relay.client()] == [1]


def test_what_is_still_open_when_the_time_is_up_is_answered_with_an_error(relay: Driver) -> None:
    """The client closed stdin and may still read: every request has one answer."""
    relay.line(call(1))
    relay.line(request(2, "prompts/get", name="files__ask"))
    relay.do(events.ClientClosed())
    relay.wait(2.0)
    assert ended(relay)
    first, second = relay.client()
    assert (first["id"], first["result"]["isError"]) == (1, True)
    assert (second["id"], second["error"]["code"]) == (2, -32010)


def test_during_the_end_only_answers_of_workers_count(relay: Driver) -> None:
    """Nothing new begins: no backend, no question, nobody is promoted or committed."""
    relay.line(call(1))
    relay.do(events.ProcessExited(5001, -9, {}))
    relay.wait(0.2)
    relay.spawned(2)
    relay.welcome(2)
    relay.do(events.StopRequested(15))
    relay.wanted.clear()
    relay.configure(2)
    relay.frame(v1.Spawn(1, "files", ["server"], {}, "/"), b"", 2)
    relay.frame(v1.BackendRequest("files", b"1", 61, "roots/list"), b"{}", 2)
    assert relay.wanted == [] and relay.relay.shared.workers.state.active is None
