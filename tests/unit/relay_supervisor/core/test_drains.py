"""A replaced worker finishes what it has under way, within its limits, and then ends."""

import pytest

from relay_supervisor.core import effects, events
from relay_supervisor.core.generation import Life
from relay_supervisor.wire import v1
from tests.unit.relay_supervisor.core.driver import call, notification, request
from tests.unit.relay_supervisor.core.swap_driver import SwapDriver
from tests.unit.relay_supervisor.core.test_calls_limits import text_of

LIMITS = v1.Limits(probation_calls=0, drain_seconds=5.0, drain_max_seconds=20.0)


def draining(*calls: str, backends: int = 0) -> SwapDriver:
    """Generation 1 has been replaced with these calls under way, 2 is committed."""
    relay = SwapDriver()
    relay.serve(limits=LIMITS, elicitation={})
    for pid in range(61, 61 + backends):
        relay.do(events.BackendSpawned(1, pid, "files", pid))
    for key in calls:
        relay.call_on(key)
    relay.swap()
    relay.candidate(2, limits=LIMITS)
    return relay


def retired(relay: SwapDriver) -> bool:
    """Whether 1 was told to end; takes the message out."""
    return relay.to_worker(v1.Retire) == [(1, v1.Retire())]


def test_with_nothing_under_way_it_ends_at_once() -> None:
    relay = draining(backends=2)
    assert retired(relay) and relay.life(1) is Life.RETIRED
    assert [e.pid for e in relay.take(effects.CloseStdin)] == [61, 62, relay.pids[1]]
    relay.die(1, status=0)
    assert relay.life(1) is None
    assert relay.take(effects.SpawnWorker) == []


def test_it_ends_with_its_last_answer_and_not_before() -> None:
    relay = draining("a", "b")
    assert relay.life(1) is Life.DRAINING
    relay.reply(1, generation=1)
    assert relay.life(1) is Life.DRAINING and not retired(relay)
    relay.reply(2, generation=1)
    assert relay.life(1) is Life.RETIRED and retired(relay)
    assert [a["id"] for a in relay.client()] == ["a", "b"]


def test_a_cancelled_call_is_waited_for_no_longer() -> None:
    relay = draining("a")
    relay.line(notification("notifications/cancelled", requestId="a"))
    assert relay.to_worker(v1.Cancel) == [(1, v1.Cancel(1))]
    assert relay.life(1) is Life.RETIRED


def test_an_open_question_to_the_client_is_waited_for() -> None:
    relay = SwapDriver()
    relay.serve(limits=LIMITS, elicitation={})
    relay.frame(v1.BackendRequest("files", b'"q"', 61, "elicitation/create"), b"{}", 1)
    relay.swap()
    relay.candidate(2, limits=LIMITS)
    assert relay.life(1) is Life.DRAINING
    relay.line({"jsonrpc": "2.0", "id": 1, "result": {}})
    assert relay.life(1) is Life.RETIRED
    assert [type(m) for _, m in relay.to_worker(v1.Message) if _ == 1][-2:] == [
        v1.ClientAnswer,
        v1.Retire,
    ]


def test_calls_to_the_new_worker_keep_nobody_waiting() -> None:
    relay = draining("a")
    relay.call_on("b")
    relay.reply(1, generation=1)
    assert relay.life(1) is Life.RETIRED


def test_the_soft_limit_warns_and_harms_nobody() -> None:
    relay = draining("a", "b")
    relay.wanted.clear()
    relay.wait(5.0)
    (warning,) = [e.text for e in relay.take(effects.Log) if e.level == "warning"]
    assert "2 calls" in warning and "drain_seconds" in warning and "generation 1" in warning
    assert relay.client() == [] and relay.life(1) is Life.DRAINING


def test_the_hard_limit_cancels_at_the_backend_and_answers_every_id_once() -> None:
    relay = draining("a", "b")
    relay.line(request("c", "ping"))
    relay.line(call("new"))
    relay.wanted.clear()
    relay.wait(20.0)
    assert relay.to_worker(v1.Cancel) == [(1, v1.Cancel(1)), (1, v1.Cancel(2))]
    answers = relay.client()
    assert [a["id"] for a in answers] == ["a", "b"], "and not that of the other worker"
    assert all("drain_max_seconds" in text_of(a) for a in answers)
    assert relay.life(1) is Life.RETIRED and retired(relay)
    relay.wanted.clear()
    relay.reply(1, generation=1)
    relay.reply(2, generation=1)
    assert relay.client() == [], "late"
    relay.die(1)
    assert relay.client() == []


def test_the_hard_limit_takes_questions_back_too() -> None:
    relay = SwapDriver()
    relay.serve(limits=LIMITS, elicitation={})
    relay.frame(v1.BackendRequest("files", b'"q"', 61, "elicitation/create"), b"{}", 1)
    relay.swap()
    relay.candidate(2, limits=LIMITS)
    relay.client()
    relay.wait(20.0)
    assert relay.life(1) is Life.RETIRED, "nobody drains for ever"
    (told,) = relay.client()
    assert told["method"] == "notifications/cancelled"


def test_an_answer_a_moment_before_the_hard_limit_is_the_answer() -> None:
    relay = draining("a")
    relay.wait(19.99)
    relay.reply(1, b'"result":"in time"}', generation=1)
    relay.wait(1.0)
    assert [a.get("result") for a in relay.client()] == ["in time"]


def test_a_worker_that_does_not_end_by_itself_is_made_to() -> None:
    relay = draining()
    pid = relay.pids[1]
    relay.wanted.clear()
    relay.wait(2.0)
    assert relay.signals() == [(pid, 15)]
    relay.wait(2.0)
    assert relay.signals() == [(pid, 9)]


def test_a_drainer_that_dies_is_answered_for_by_its_ledger_and_nobody_is_started() -> None:
    relay = draining("untouched", "written")
    relay.wanted.clear()
    relay.die(1, {1: 1, 2: 3})
    assert relay.life(1) is None and relay.active == 2
    assert [(g, m.call) for g, m in relay.to_worker(v1.Call)] == [(2, 3)]
    assert [a["id"] for a in relay.client()] == ["written"]
    relay.wait(60.0)
    assert relay.take(effects.SpawnWorker) == []


def test_a_drainer_is_watched_like_any_other() -> None:
    relay = draining("a")
    relay.answers_pings = False
    for _ in range(7):
        relay.wait(1.0)
        for generation, ping in relay.to_worker(v1.Ping):
            if generation == 2:
                relay.frame(v1.Pong(ping.token), b"", 2)
    assert relay.life(1) is Life.FAILED and relay.active == 2


def test_all_limits_late_together_are_no_stumbling_block() -> None:
    """The machine was suspended in a way nobody noticed, or the loop was late by an hour."""
    relay = draining("a")
    relay.now += 3600.0
    relay.do(events.DeadlinePassed())
    assert [a["id"] for a in relay.client()] == ["a"]
    assert relay.life(1) is Life.RETIRED


@pytest.mark.parametrize("first", ["heartbeat", "drain_max"])
def test_a_drainer_lost_in_the_very_moment_of_its_hard_limit(first: str) -> None:
    relay = draining("a")
    generation = relay.relay.shared.workers.state.generations[1]
    generation.unanswered_pings = 99
    relay.now += 20.0
    timers = relay.relay.shared.timers
    timers.set("heartbeat", relay.now - (1.0 if first == "heartbeat" else -0.0))
    timers.set("drain_max#1", relay.now - (1.0 if first == "drain_max" else -0.0))
    relay.do(events.DeadlinePassed())
    relay.die(1)
    assert [a["id"] for a in relay.client()] == ["a"]


def test_the_journal_has_how_long_it_took_and_how_many_were_cancelled() -> None:
    relay = draining("a")
    relay.wait(20.0)
    (entry,) = [e.fields for e in relay.take(effects.Journal) if e.event == "drained"]
    assert entry == {"generation": 1, "seconds": 20.0, "calls": 1, "cancelled": 1, "handed_over": 0}
