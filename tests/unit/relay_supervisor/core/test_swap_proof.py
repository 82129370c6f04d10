"""What a candidate has to show to be kept: checks that are done, and calls that do not fail."""

import pytest

from relay_supervisor.core.generation import Life
from relay_supervisor.core.swaps import Outcome
from relay_supervisor.wire import v1
from tests.unit.relay_supervisor.core.swap_driver import FAST, SwapDriver
from tests.unit.relay_supervisor.core.test_swap_probation import RELAY, on_probation, rolled_back

PASSED = v1.CheckResult("t", True, 0.1)
FAILED = v1.CheckResult("t", False, 0.1, "no")


def with_checks() -> tuple[SwapDriver, int]:
    """A relay whose candidate serves, and the token of the checks it is to run now."""
    relay = SwapDriver()
    relay.serve()
    relay.swap()
    relay.warm(2)
    relay.frame(v1.Checked(0, [PASSED]), b"", 2)
    relay.ready(2)
    return relay, relay.one(v1.RunChecks).token


def prove(relay: SwapDriver, how: str) -> None:
    """Let the candidate serve long enough, or answer enough calls."""
    if how == "seconds":
        relay.wait(FAST.probation_seconds)
    else:
        relay.answered_calls(FAST.probation_calls)


# ---- checks


@pytest.mark.parametrize("how", ["seconds", "calls"])
def test_it_is_not_kept_before_its_checks_are_done(how: str) -> None:
    relay, token = with_checks()
    prove(relay, how)
    assert relay.relay.swaps.probation is not None
    relay.frame(v1.Checked(token, [PASSED]), b"", 2)
    assert relay.ended(Outcome.COMMITTED)


@pytest.mark.parametrize("how", ["seconds", "calls"])
def test_a_check_that_fails_after_the_probation_would_have_ended_counts(how: str) -> None:
    relay, token = with_checks()
    prove(relay, how)
    relay.frame(v1.Checked(token, [FAILED]), b"", 2)
    assert rolled_back(relay, "check of t failed: no")


def test_checks_that_are_done_in_time_change_nothing_about_its_end() -> None:
    relay, token = with_checks()
    relay.frame(v1.Checked(token, [PASSED]), b"", 2)
    relay.wait(FAST.probation_seconds)
    assert relay.ended(Outcome.COMMITTED)


def test_checks_that_are_never_done_are_not_waited_for_without_end() -> None:
    relay, _ = with_checks()
    relay.wait(FAST.ready_seconds_max - 1.0)
    assert relay.relay.swaps.probation is not None
    relay.wait(1.0)
    assert rolled_back(relay, "ready_seconds_max")


def test_the_deadline_of_checks_ends_with_the_probation() -> None:
    relay, _ = with_checks()
    relay.control("rollback")
    relay.wait(FAST.ready_seconds_max + 1.0)
    assert relay.ended(Outcome.ROLLED_BACK, "relayctl rollback")


def in_need() -> SwapDriver:
    """A candidate that was promoted before it was ready, as the one before it is dead."""
    relay = SwapDriver()
    relay.serve()
    relay.swap(python="/new")
    relay.hatch(2, build="2.0")
    relay.configure(2, limits=FAST, digest="two")
    relay.die(1)
    assert relay.active == 2
    return relay


def test_checks_of_one_that_was_promoted_in_need_count_when_they_come() -> None:
    relay = in_need()
    relay.frame(v1.Checked(0, [FAILED]), b"", 2)
    assert relay.ended(Outcome.FAILED, "check of t failed") and relay.life(2) is Life.FAILED
    assert [(c.tool, c.ok, c.when) for c in relay.last.checks] == [("t", False, "ready")]


def test_those_of_them_that_were_skipped_are_run_then() -> None:
    relay = in_need()
    relay.frame(v1.Checked(0, [PASSED]), b"", 2)
    token = relay.one(v1.RunChecks).token
    relay.frame(v1.Checked(token, [FAILED]), b"", 2)
    assert relay.ended(Outcome.FAILED, "check of t failed")


def test_without_any_checks_it_is_asked_for_none_in_need() -> None:
    relay = in_need()
    relay.frame(v1.Checked(0, []), b"", 2)
    assert relay.to_worker(v1.RunChecks) == []
    relay.wait(FAST.probation_seconds)
    assert relay.ended(Outcome.COMMITTED)


# ---- calls


@pytest.mark.parametrize("how", ["seconds", "calls"])
def test_one_that_fails_most_of_its_few_calls_is_not_kept(how: str) -> None:
    """Too few to be sure at once; at the end nothing speaks for it."""
    few = v1.Limits(probation_seconds=10.0, probation_calls=2)
    relay = on_probation(few if how == "calls" else FAST)
    relay.answered_calls(1, RELAY)
    assert relay.active == 2
    if how == "calls":
        relay.answered_calls(1, RELAY)
        assert rolled_back(relay, "2 of its 2 calls failed in the relay")
    else:
        relay.wait(10.0)
        assert rolled_back(relay, "1 of its 1 calls failed in the relay")


def test_one_that_fails_half_of_its_calls_is_kept() -> None:
    relay = on_probation()
    relay.answered_calls(1, RELAY)
    relay.answered_calls(1)
    relay.wait(FAST.probation_seconds)
    assert relay.ended(Outcome.COMMITTED)


# ---- what is told of it


def test_with_no_probation_who_does_not_wait_is_told_that_it_is_committed() -> None:
    relay = SwapDriver()
    relay.serve()
    relay.swap(no_wait=True)
    relay.candidate(2, limits=v1.Limits(probation_calls=0))
    assert relay.final()["outcome"] == "committed"


@pytest.mark.parametrize("stands_by", [True, False])
def test_who_is_told_of_a_failure_is_told_who_serves_then(*, stands_by: bool) -> None:
    relay = SwapDriver()
    relay.serve()
    relay.swap()
    relay.candidate(2)
    relay.relay.shared.workers.state.generations[2].offer.config_digest = "two"
    if not stands_by:
        relay.die(1)
    relay.frame(v1.Checked(1, [FAILED]), b"", 2)
    assert relay.final()["serving"].get("generation") == (1 if stands_by else None)


def test_what_was_forced_and_what_ails_it_are_among_its_problems() -> None:
    relay = SwapDriver()
    relay.serve()
    relay.swap(force=True)
    relay.hatch(2)
    message = v1.Configured(
        [v1.BackendInfo("files", "stdio")], FAST, problems=["relay.yaml:3:1: error: no"]
    )
    relay.frame(message, b"", 2)
    relay.frame(v1.BackendState("files", "failed", last_error="it fell"), b"", 2)
    relay.catalogue(generation=2)
    relay.ready(2)
    relay.wait(FAST.probation_seconds)
    record = relay.last.record()
    assert (record["op"], record["force"], record["outcome"]) == ("swap", True, "committed")
    assert record["problems"] == [
        "relay.yaml:3:1: error: no",
        "forced: backend files is failed, and was healthy before",
        "backend files is failed: it fell",
    ]


def test_a_swap_that_had_nothing_to_compare_says_nothing_of_tools() -> None:
    relay = SwapDriver()
    relay.serve()
    relay.swap()
    relay.hatch(2)
    relay.die(2, status=1)
    assert relay.final()["tools"] is None


def test_a_rollback_long_after_is_called_so() -> None:
    relay = on_probation()
    relay.wait(FAST.probation_seconds)
    relay.control("rollback", 9)
    relay.candidate(3)
    relay.wait(FAST.probation_seconds)
    assert relay.final(9)["op"] == "rollback"
