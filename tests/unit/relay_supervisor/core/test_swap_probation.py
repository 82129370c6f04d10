"""A new worker is on probation: it proves itself by time or by calls, or it is taken back, once."""

from typing import Any

import pytest

from relay_supervisor.core import effects, events
from relay_supervisor.core.generation import Life
from relay_supervisor.core.heartbeat import INTERVAL_SECONDS, MISSES_MAX
from relay_supervisor.core.probation import RELAY_ERRORS_MAX
from relay_supervisor.core.swaps import Outcome
from relay_supervisor.wire import v1
from relay_supervisor.wire.ledger import Stage
from tests.unit.relay_supervisor.core.driver import SOURCE
from tests.unit.relay_supervisor.core.swap_driver import FAST, SwapDriver

MANY = v1.Limits(probation_seconds=10.0, probation_calls=100, drain_seconds=5.0)
RELAY = v1.OUTCOME_RELAY_ERROR


def on_probation(limits: v1.Limits = FAST, **settings: Any) -> SwapDriver:
    """Generation 2 serves and has yet to prove itself, 1 stands by."""
    relay = SwapDriver()
    relay.serve(limits=limits)
    relay.swap(python="/new", release="new")
    relay.candidate(2, limits=limits, build="2.0", digest="two", **settings)
    assert (relay.life(1), relay.life(2)) == (Life.STANDBY, Life.ACTIVE)
    relay.wanted.clear()
    return relay


def rolled_back(relay: SwapDriver, word: str) -> bool:
    """Whether 1 serves again, and the swap says why."""
    assert relay.ended(Outcome.ROLLED_BACK, word), relay.last
    return (relay.active, relay.life(1)) == (1, Life.ACTIVE)


# ---- the end of it


def test_it_ends_after_its_seconds() -> None:
    relay = on_probation()
    relay.wait(FAST.probation_seconds - 0.01)
    assert relay.relay.swaps.probation is not None
    relay.wait(0.01)
    assert relay.ended(Outcome.COMMITTED)
    assert relay.relay.recovery.state.committed.python == "/new"
    assert relay.life(1) is Life.RETIRED


def test_it_ends_after_its_calls() -> None:
    relay = on_probation()
    relay.answered_calls(FAST.probation_calls - 1)
    assert relay.relay.swaps.probation is not None
    relay.answered_calls(1)
    assert relay.ended(Outcome.COMMITTED)
    relay.wait(60.0)
    assert relay.last.number == 1


def test_calls_of_the_old_worker_prove_nothing_about_the_new_one() -> None:
    relay = SwapDriver()
    relay.serve()
    for key in range(FAST.probation_calls):
        relay.call_on(key)
    relay.swap()
    relay.candidate(2)
    for number in range(1, FAST.probation_calls + 1):
        relay.reply(number, generation=1)
    assert relay.relay.swaps.probation is not None


@pytest.mark.parametrize("limits", [v1.Limits(probation_seconds=0), v1.Limits(probation_calls=0)])
def test_without_probation_it_is_committed_at_once(limits: v1.Limits) -> None:
    relay = SwapDriver()
    relay.serve()
    relay.swap(python="/new")
    relay.candidate(2, limits=limits)
    assert relay.ended(Outcome.COMMITTED) and relay.life(1) is Life.RETIRED


def test_last_good_is_written_at_the_commit_and_not_before() -> None:
    relay = on_probation()
    assert relay.relay.recovery.state.committed == SOURCE
    relay.die(2)
    assert relay.relay.recovery.state.committed == SOURCE


def test_what_is_committed_is_the_code_and_the_configuration_it_has_read() -> None:
    relay = SwapDriver()
    relay.serve()
    relay.swap(python="/new", release="r7")
    relay.hatch(2)
    relay.frame(v1.ConfigRead(), b"new: config", 2)
    relay.configure(2, limits=FAST)
    relay.healthy(2)
    relay.catalogue(generation=2)
    relay.ready(2)
    relay.wait(FAST.probation_seconds)
    committed = relay.relay.recovery.state.committed
    assert (committed.python, committed.release, committed.config) == ("/new", "r7", b"new: config")
    relay.die(2)
    relay.revive(3)
    assert relay.frames(v1.Configure)[-1][2] == b"new: config"


# ---- taken back


def test_an_exit_is_a_reason_and_its_calls_are_decided_by_its_ledger() -> None:
    relay = on_probation()
    relay.call_on("untouched")
    relay.call_on("written")
    relay.die(2, {1: Stage.RECEIVED, 2: Stage.WRITTEN})
    assert rolled_back(relay, "signal 9")
    assert [(g, m.attempt) for g, m in relay.to_worker(v1.Call)] == [(1, 2)]
    assert [a["id"] for a in relay.client()] == ["written"]


def test_a_failed_pipe_is_a_reason() -> None:
    relay = on_probation()
    relay.do(events.WorkerPipeFailed(2, "it closed its pipe"))
    assert rolled_back(relay, "closed its pipe")


def test_a_broken_message_is_a_reason() -> None:
    relay = on_probation()
    relay.do(events.WorkerFrame(2, b"\xc1", b""))
    assert rolled_back(relay, "")


def test_missed_heartbeats_are_a_reason() -> None:
    relay = on_probation(MANY)
    relay.answers_pings = False
    for _ in range(MISSES_MAX + 1):
        relay.wait(INTERVAL_SECONDS)
        for generation, ping in relay.to_worker(v1.Ping):
            if generation == 1:
                relay.frame(v1.Pong(ping.token), b"", 1)
    assert rolled_back(relay, "no sign of life")


def test_relay_errors_are_a_reason_when_they_are_the_most_of_the_calls() -> None:
    relay = on_probation(MANY)
    relay.answered_calls(RELAY_ERRORS_MAX - 1, RELAY)
    assert relay.active == 2
    relay.answered_calls(1, RELAY)
    assert rolled_back(relay, f"{RELAY_ERRORS_MAX} of its {RELAY_ERRORS_MAX} calls")


def test_relay_errors_are_no_reason_when_half_of_the_calls_succeed() -> None:
    relay = on_probation(MANY)
    for _ in range(20):
        relay.answered_calls(1)
        relay.answered_calls(1, RELAY)
    assert relay.active == 2


@pytest.mark.parametrize("outcome", [v1.OUTCOME_BACKEND_ERROR, v1.OUTCOME_REFUSED])
def test_errors_of_backends_and_of_the_client_are_no_reason(outcome: int) -> None:
    relay = on_probation()
    relay.answered_calls(FAST.probation_calls, outcome)
    assert relay.ended(Outcome.COMMITTED)


def test_checks_run_again_after_the_cut_over_and_a_failed_one_is_a_reason() -> None:
    relay = SwapDriver()
    relay.serve()
    relay.swap()
    relay.warm(2)
    relay.frame(v1.Checked(0, [v1.CheckResult("files__read", True, 0.1)]), b"", 2)
    relay.ready(2)
    ((generation, wanted),) = relay.to_worker(v1.RunChecks)
    assert generation == 2
    relay.frame(v1.Checked(wanted.token, [v1.CheckResult("t", False, 0.1, "no")]), b"", 2)
    assert rolled_back(relay, "check of t failed: no")
    assert [(c.tool, c.ok, c.when) for c in relay.last.checks] == [
        ("files__read", True, "ready"),
        ("t", False, "probation"),
    ]


def test_checks_that_pass_do_not_end_the_probation() -> None:
    relay = SwapDriver()
    relay.serve()
    relay.swap()
    relay.warm(2)
    relay.frame(v1.Checked(0, [v1.CheckResult("t", True, 0.1)]), b"", 2)
    relay.ready(2)
    token = relay.one(v1.RunChecks).token
    relay.frame(v1.Checked(token, [v1.CheckResult("t", True, 0.1)]), b"", 2)
    assert relay.relay.swaps.probation is not None


def test_without_checks_none_are_asked_for() -> None:
    assert on_probation().to_worker(v1.RunChecks) == []


def test_checks_of_another_swap_count_for_nothing() -> None:
    relay = on_probation()
    bad = [v1.CheckResult("t", False, 0.1, "no")]
    relay.frame(v1.Checked(99, bad), b"", 2)
    relay.frame(v1.Checked(1, bad), b"", 1)
    assert relay.active == 2
    relay.wait(FAST.probation_seconds)
    relay.frame(v1.Checked(1, bad), b"", 2)
    assert relay.active == 2 and relay.ended(Outcome.COMMITTED)


# ---- what follows


def test_the_old_worker_gets_the_calls_again_and_keeps_those_it_had() -> None:
    relay = SwapDriver()
    relay.serve()
    relay.call_on("before")
    relay.swap()
    relay.candidate(2)
    relay.die(2)
    assert relay.call_on("after")[0] == 1
    relay.reply(1, generation=1)
    assert [a["id"] for a in relay.client()] == ["before"]


def test_a_worker_that_is_only_replaced_finishes_its_calls() -> None:
    relay = on_probation()
    relay.call_on("long")
    relay.control("rollback")
    assert rolled_back(relay, "relayctl rollback")
    assert relay.life(2) is Life.DRAINING
    relay.reply(1, generation=2)
    assert [a["id"] for a in relay.client()] == ["long"]
    assert relay.life(2) is Life.RETIRED


def test_it_is_taken_back_once_and_then_all_goes_its_usual_way() -> None:
    relay = on_probation()
    relay.die(2)
    relay.die(1)
    assert relay.active is None
    relay.revive(3)
    assert relay.active == 3 and relay.last.number == 1
    assert relay.frames(v1.Configure)[-1][2] == SOURCE.config


def test_if_the_one_that_stood_by_is_dead_the_committed_pair_is_started_again() -> None:
    relay = on_probation()
    relay.die(1)
    assert relay.active == 2 and relay.relay.swaps.probation is not None
    relay.die(2)
    assert relay.ended(Outcome.FAILED, "nobody stands by")
    relay.take(effects.SpawnWorker)
    relay.wait(1.0)
    assert relay.take(effects.SpawnWorker) == [effects.SpawnWorker(3, "/python")]


@pytest.mark.parametrize("how", ["relay errors", "checks"])
def test_a_worker_that_fails_alive_with_nobody_standing_by_is_replaced_all_the_same(
    how: str,
) -> None:
    relay = on_probation(MANY)
    relay.die(1)
    if how == "relay errors":
        relay.answered_calls(RELAY_ERRORS_MAX, RELAY)
    else:
        relay.frame(v1.Checked(1, [v1.CheckResult("t", False, 0.1, "no")]), b"", 2)
    assert relay.ended(Outcome.FAILED) and relay.life(2) is Life.FAILED
    relay.die(2)
    relay.revive(3)
    assert relay.frames(v1.Configure)[-1][2] == SOURCE.config
