"""A worker is dead beyond doubt: what becomes of its calls is read in its ledger.

What no backend has seen is given to the next worker, whatever it is. What may have been seen is
repeated once if it is safe to repeat, else the client is told honestly that nobody knows.
"""

import json
from typing import Any

import pytest

from relay_supervisor.core import effects, events
from relay_supervisor.core.estate import ATTEMPTS_MAX
from relay_supervisor.core.recovery import STEADY_SECONDS
from relay_supervisor.core.state import Phase
from relay_supervisor.wire import cache, v1
from relay_supervisor.wire.ledger import Stage
from tests.unit.relay_supervisor.core.driver import BODY, Driver, call, notification, request
from tests.unit.relay_supervisor.core.test_calls_limits import text_of

SAFE = cache.Entry("files__list", "files", b'{"name":"files__list"}', repeatable=True)
TOOLS = cache.Body(tools=[SAFE, *BODY.tools], capabilities=BODY.capabilities)

UNSAFE_CALL = call(1, "files__read")
SAFE_CALL = call(1, "files__list")
READ = request(1, "resources/read", uri="file:///a")
SUBSCRIBE = request(1, "resources/subscribe", uri="file:///a")
REPEATABLE = [
    SAFE_CALL,
    READ,
    request(1, "prompts/get", name="files__ask"),
    request(1, "completion/complete", ref={"type": "ref/prompt", "name": "files__ask"}),
]
STAGES: list[Any] = ["no ledger", "not in it", Stage.RECEIVED, Stage.WRITING, Stage.WRITTEN]
UNTOUCHED = ("not in it", Stage.RECEIVED)


@pytest.fixture
def relay() -> Driver:
    driver = Driver()
    driver.start()
    driver.catalogue(TOOLS, "with a safe tool")
    driver.greet()
    return driver


def kill(relay: Driver, generation: int, stage: Any) -> None:
    """The worker dies with its one call in this stage."""
    (number,) = relay.state.calls
    stages = None if stage == "no ledger" else {} if stage == "not in it" else {number: stage}
    relay.do(events.ProcessExited(relay.pids[generation], -9, stages))


def ids(message: dict[str, Any]) -> str:
    return str(message["params"].get("name") or message["method"])


# ---- the table


@pytest.mark.parametrize("stage", STAGES, ids=str)
@pytest.mark.parametrize("message", [UNSAFE_CALL, SUBSCRIBE, *REPEATABLE], ids=ids)
def test_a_first_attempt_is_given_on_or_answered_as_unknown(
    relay: Driver, message: dict[str, Any], stage: Any
) -> None:
    relay.line(message)
    relay.frames(v1.Call)
    kill(relay, 1, stage)
    assert relay.state.calls == {}
    if stage in UNTOUCHED or message in REPEATABLE:
        assert relay.client() == []
        assert relay.state.requests[1].phase is Phase.HELD
        relay.revive()
        ((generation, sent, payload),) = relay.frames(v1.Call)
        assert (generation, sent.call, sent.attempt) == (2, 2, 2)
        assert payload in relay_line(message), "byte for byte"
        relay.reply(2, b'"result":"done"}', generation=2)
        assert [a["result"] for a in relay.client()] == ["done"]
        assert relay.state.counts.unknown_outcome == 0
        assert relay.state.counts.retried == (stage not in UNTOUCHED)
    else:
        (answer,) = relay.client()
        assert answer["id"] == 1 and relay.state.requests == {}
        text = text_of(answer) if message is UNSAFE_CALL else answer["error"]["message"]
        assert "outcome is unknown" in text and "may have run" in text
        assert relay.state.counts.unknown_outcome == 1 and relay.state.counts.retried == 0
        relay.revive()
        assert relay.frames(v1.Call) == []
    assert relay.state.retained_bytes == 0


def relay_line(message: dict[str, Any]) -> bytes:
    """The line the driver writes for a message."""
    return json.dumps(message).encode()


@pytest.mark.parametrize("stage", STAGES, ids=str)
@pytest.mark.parametrize("message", REPEATABLE, ids=ids)
def test_what_is_safe_to_repeat_is_repeated_once_and_no_more(
    relay: Driver, message: dict[str, Any], stage: Any
) -> None:
    relay.line(message)
    kill(relay, 1, Stage.WRITTEN)
    relay.revive(2)
    relay.frames(v1.Call)
    kill(relay, 2, stage)
    if stage in UNTOUCHED:
        assert relay.client() == []
        relay.revive(3)
        assert [m.attempt for _, m in relay.to_worker(v1.Call)] == [3]
    else:
        (answer,) = relay.client()
        assert "unknown" in str(answer)


def test_a_tool_is_safe_by_what_the_operator_trusts_and_not_by_its_name(relay: Driver) -> None:
    relay.line(call(1, "unheard of"))
    kill(relay, 1, Stage.WRITTEN)
    (answer,) = relay.client()
    assert "unknown" in text_of(answer)


def test_an_untouched_call_is_given_to_so_many_workers_and_then_answered(relay: Driver) -> None:
    """It may be what they die of; a queue that kills for ever serves nobody."""
    relay.line(UNSAFE_CALL)
    for generation in range(1, ATTEMPTS_MAX):
        relay.wait(STEADY_SECONDS + 1)  # long enough to be no crash loop
        assert relay.one(v1.Call).attempt == generation
        kill(relay, generation, Stage.RECEIVED)
        assert relay.client() == []
        relay.revive(generation + 1)
    kill(relay, ATTEMPTS_MAX, Stage.RECEIVED)
    (answer,) = relay.client()
    assert "not carried out" in text_of(answer) and str(ATTEMPTS_MAX) in text_of(answer)
    assert relay.state.counts.unknown_outcome == 0


# ---- proof first


@pytest.mark.parametrize("stage", [Stage.RECEIVED, Stage.WRITTEN])
def test_nothing_is_decided_before_the_death_is_proven(relay: Driver, stage: Stage) -> None:
    """A stopped process can wake and write."""
    relay.line(UNSAFE_CALL)
    relay.do(events.WorkerPipeFailed(1, "gone"))
    relay.frames(v1.Call)
    relay.wait(0.2)
    if relay.take(effects.SpawnWorker):
        relay.hatch(2)
        relay.configure(2)
    relay.wait(3600.0)
    assert relay.frames(v1.Call) == [] and relay.client() == []
    kill(relay, 1, stage)
    assert (len(relay.frames(v1.Call)), len(relay.client())) == (
        (1, 0) if stage is Stage.RECEIVED else (0, 1)
    )


def test_a_cancelled_call_of_a_dead_worker_is_not_given_on(relay: Driver) -> None:
    relay.line(UNSAFE_CALL)
    relay.do(events.WorkerPipeFailed(1, "gone"))
    relay.line(notification("notifications/cancelled", requestId=1))
    relay.frames(v1.Call)
    relay.die(1, {1: Stage.RECEIVED})
    relay.revive()
    assert relay.frames(v1.Call) == [] and relay.client() == []


def test_a_call_that_is_cancelled_while_it_waits_for_the_next_worker_leaves_silently(
    relay: Driver,
) -> None:
    relay.line(UNSAFE_CALL)
    relay.frames(v1.Call)
    kill(relay, 1, Stage.RECEIVED)
    relay.line(notification("notifications/cancelled", requestId=1))
    relay.revive()
    relay.wait(60.0)
    assert relay.frames(v1.Call) == [] and relay.client() == []


def test_a_call_over_its_limit_meanwhile_is_answered_once(relay: Driver) -> None:
    relay.line(call(1, "slow__think"))
    relay.do(events.WorkerPipeFailed(1, "gone"))
    relay.wait(30.0)
    assert [a["id"] for a in relay.client()] == [1]
    relay.die(1)
    assert relay.client() == []


def test_each_call_of_a_worker_is_decided_by_its_own_stage(relay: Driver) -> None:
    for key in range(6):
        relay.line(call(key, "files__list" if key % 2 else "files__read"))
    relay.frames(v1.Call)
    stages = {1: Stage.RECEIVED, 2: Stage.WRITING, 3: Stage.WRITING, 4: Stage.WRITTEN}
    relay.die(1, {**stages, 5: Stage.WRITTEN})
    assert [a["id"] for a in relay.client()] == [2, 4]
    relay.revive()
    names = [payload for _, _, payload in relay.frames(v1.Call)]
    assert [b"files__list" in name for name in names] == [False, True, True, True]
    assert relay.state.counts.retried == 2 and relay.state.counts.unknown_outcome == 2


def test_calls_that_wait_for_the_next_worker_go_in_the_order_they_came(relay: Driver) -> None:
    for key in range(4):
        relay.line(call(key))
    relay.die(1, dict.fromkeys((1, 2, 3, 4), Stage.RECEIVED))
    relay.line(call("later"))
    relay.frames(v1.Call)
    relay.revive()
    for number in (5, 6, 7, 8, 9):
        relay.reply(number, generation=2)
    assert [a["id"] for a in relay.client()] == [0, 1, 2, 3, "later"]


def test_a_worker_that_could_not_be_started_had_no_calls(relay: Driver) -> None:
    relay.do(events.WorkerPipeFailed(1, "gone"))
    relay.die(1)
    relay.line(UNSAFE_CALL)
    for number in range(2, 5):
        while not relay.take(effects.SpawnWorker):
            due = relay.relay.next_deadline()
            assert due is not None
            relay.wait(due - relay.now)
        relay.do(events.WorkerSpawnFailed(number, "no room"))
    assert relay.client() == [] and relay.state.requests[1].phase is Phase.HELD


def test_a_batch_is_whole_with_answers_of_two_workers_and_an_unknown(relay: Driver) -> None:
    batches = Driver()
    batches.start()
    batches.greet(protocol="2025-03-26")
    batches.line([call("a"), call("b"), call("c")])
    batches.reply(1, generation=1)
    batches.die(1, {2: Stage.WRITTEN, 3: Stage.RECEIVED})
    assert batches.client() == []
    batches.revive()
    batches.reply(4, generation=2)
    (batch,) = batches.client()
    assert {a["id"] for a in batch} == {"a", "b", "c"}


# ---- said and counted


def test_the_journal_says_how_a_worker_died_and_what_became_of_its_calls(relay: Driver) -> None:
    relay.line(call(1))
    relay.line(call(2))
    relay.line(call(3, "files__list"))
    relay.take(effects.Journal)
    relay.die(1, {1: Stage.RECEIVED, 2: Stage.WRITTEN, 3: Stage.WRITTEN})
    (entry,) = relay.take(effects.Journal)
    assert entry.event == "worker_died"
    assert (entry.fields["generation"], entry.fields["how"]) == (1, "it was ended by signal 9")
    losses: Any = entry.fields["calls"]
    assert (losses.resent, losses.unknown, losses.given_up) == (2, 1, 0)


def test_of_a_worker_that_was_given_up_it_says_why_and_not_by_which_signal(relay: Driver) -> None:
    relay.do(events.WorkerPipeFailed(1, "a frame of 9 GiB"))
    relay.take(effects.Journal)
    relay.die(1, status=-15)
    (entry,) = relay.take(effects.Journal)
    assert entry.fields["how"] == "a frame of 9 GiB"


def test_a_worker_that_ends_as_it_was_told_has_not_died(relay: Driver) -> None:
    relay.do(events.StopRequested(15))
    relay.take(effects.Journal)
    relay.die(1, status=0)
    assert relay.take(effects.Journal) == []


def test_the_client_never_sees_an_end(relay: Driver) -> None:
    for number in range(1, 60):
        relay.line(call(number))
        relay.die(number)
        relay.revive(number + 1)
    assert relay.take(effects.Exit) == []
