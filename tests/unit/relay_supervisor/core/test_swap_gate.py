"""Nobody takes over who would lose what works today, unless told to."""

from typing import Any

import pytest

from relay_supervisor.core.generation import Life
from relay_supervisor.core.swap_record import Outcome
from relay_supervisor.wire import cache, v1
from tests.unit.relay_supervisor.core.driver import BODY
from tests.unit.relay_supervisor.core.swap_driver import FAST, SwapDriver

FEWER = cache.Body(tools=BODY.tools[:1], capabilities=BODY.capabilities)
BAD_CHECK = v1.Checked(0, [v1.CheckResult("files__read", False, 0.2, "it said no")])


@pytest.fixture
def relay() -> SwapDriver:
    driver = SwapDriver()
    driver.serve()
    return driver


def untouched(relay: SwapDriver) -> bool:
    """Whether the old worker serves, and the candidate is given up."""
    return (relay.active, relay.life(1)) == (1, Life.ACTIVE) and relay.life(2) is Life.FAILED


def test_a_lost_tool_ends_the_swap_and_the_old_worker_serves_on(relay: SwapDriver) -> None:
    relay.swap()
    pid = relay.candidate(2, body=FEWER)
    assert untouched(relay) and relay.ended(Outcome.FAILED, "slow__think")
    assert (pid, 9) in relay.signals()
    assert relay.call_on("after")[0] == 1


def test_lost_health_ends_the_swap(relay: SwapDriver) -> None:
    relay.swap()
    relay.candidate(2, states={"files": "failed"})
    assert untouched(relay)
    assert relay.ended(Outcome.FAILED, "backend files is failed, and was healthy before")


def test_a_failed_check_ends_the_swap(relay: SwapDriver) -> None:
    relay.swap()
    relay.warm(2)
    relay.frame(BAD_CHECK, b"", 2)
    relay.ready(2)
    assert untouched(relay) and relay.ended(Outcome.FAILED, "check of files__read failed")
    (check,) = relay.last.checks
    assert (check.tool, check.ok, check.detail, check.when) == (
        "files__read",
        False,
        "it said no",
        "ready",
    )


@pytest.mark.parametrize(
    "flaw",
    [{"body": FEWER}, {"states": {"files": "failed"}}, {"states": {"files": "starting"}}],
    ids=["tools", "health", "pending"],
)
def test_force_takes_it_all_the_same_and_at_once(relay: SwapDriver, flaw: dict[str, Any]) -> None:
    relay.swap(force=True)
    relay.candidate(2, **flaw)
    assert relay.active == 2


def test_force_takes_a_failed_check_too(relay: SwapDriver) -> None:
    relay.swap(force=True)
    relay.warm(2)
    relay.frame(BAD_CHECK, b"", 2)
    relay.ready(2)
    assert relay.active == 2


def test_even_force_waits_for_ready(relay: SwapDriver) -> None:
    relay.swap(force=True)
    relay.warm(2, body=FEWER)
    assert relay.active == 1


@pytest.mark.parametrize("word", ["starting", "backing_off", "restarting", "stopping"])
def test_a_backend_on_its_way_is_waited_for(relay: SwapDriver, word: str) -> None:
    relay.swap()
    relay.candidate(2, states={"files": word})
    assert (relay.active, relay.life(2)) == (1, Life.READY)
    relay.frame(v1.BackendState("files", "ready"), b"", 2)
    assert relay.active == 2


def test_a_tool_that_is_not_there_yet_is_waited_for_with_its_backend(relay: SwapDriver) -> None:
    relay.swap()
    relay.candidate(2, body=FEWER, states={"slow": "starting"})
    assert (relay.active, relay.life(2)) == (1, Life.READY)
    relay.catalogue(digest="all", generation=2)
    assert relay.active == 1
    relay.frame(v1.BackendState("slow", "ready"), b"", 2)
    assert relay.active == 2


def test_what_turns_out_ill_after_all_ends_the_swap_then(relay: SwapDriver) -> None:
    relay.swap()
    relay.candidate(2, states={"files": "starting"})
    relay.frame(v1.BackendState("files", "failed"), b"", 2)
    assert untouched(relay) and relay.ended(Outcome.FAILED, "files is failed")


def test_health_that_the_old_side_has_lost_meanwhile_is_not_asked_for(relay: SwapDriver) -> None:
    relay.swap()
    relay.candidate(2, states={"files": "backing_off"})
    assert relay.active == 1
    relay.frame(v1.BackendState("files", "failed"), b"", 1)
    assert relay.active == 2


def test_tools_that_the_old_side_has_lost_meanwhile_are_not_asked_for(relay: SwapDriver) -> None:
    relay.swap()
    relay.candidate(2, body=FEWER, states={"slow": "starting"})
    relay.frame(v1.BackendState("slow", "failed"), b"", 1)
    assert relay.active == 1
    relay.catalogue(FEWER, "fewer", generation=1)
    assert relay.active == 2


def test_ready_seconds_max_ends_the_wait_and_says_what_was_waited_for(relay: SwapDriver) -> None:
    relay.swap()
    relay.candidate(2, states={"files": "starting"})
    limit = FAST.ready_seconds_max
    relay.wait(limit - 0.1)
    assert relay.life(2) is Life.READY
    relay.wait(0.1)
    assert untouched(relay)
    assert relay.ended(Outcome.FAILED, f"within {limit:g} s (ready_seconds_max)")
    assert relay.ended(Outcome.FAILED, "backend files is starting")


@pytest.mark.parametrize("reached", ["configured", "welcomed"])
def test_a_candidate_that_never_gets_ready_ends_the_swap(relay: SwapDriver, reached: str) -> None:
    relay.swap()
    if reached == "configured":
        relay.warm(2)
    else:
        relay.hatch(2)
    relay.wait(FAST.ready_seconds_max)
    assert relay.active == 1 and relay.life(2) in {Life.FAILED, None}
    assert relay.last.outcome is Outcome.FAILED


def test_the_limit_is_of_the_configuration_in_force() -> None:
    relay = SwapDriver()
    relay.serve(limits=v1.Limits(ready_seconds_max=5.0))
    relay.swap()
    relay.warm(2, limits=v1.Limits(ready_seconds_max=1000.0))
    relay.wait(5.0)
    assert untouched(relay)


def test_a_changed_configuration_may_take_tools_away(relay: SwapDriver) -> None:
    relay.swap()
    relay.candidate(2, body=FEWER, backends=[v1.BackendInfo("files", "stdio")])
    assert relay.active == 2
    names = [entry.key for entry in relay.relay.shared.registry.body.tools]  # type: ignore[union-attr]
    assert names == ["files__read"]


def test_the_difference_is_kept_whatever_becomes_of_the_swap(relay: SwapDriver) -> None:
    relay.swap()
    relay.candidate(2, body=FEWER)
    assert (relay.last.difference.kept, relay.last.difference.lost) == (1, ["slow__think"])
    relay.swap(force=True)
    relay.candidate(3, body=FEWER)
    relay.wait(FAST.probation_seconds)
    assert relay.ended(Outcome.COMMITTED)
    assert relay.last.difference.lost == ["slow__think"]
