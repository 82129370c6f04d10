"""Swaps while nobody serves: the active worker died, or the version before is wanted back."""

from typing import Any

import pytest

from relay_supervisor.core import effects, events
from relay_supervisor.core.generation import Life
from relay_supervisor.core.swaps import Outcome
from relay_supervisor.wire import control_v1, v1
from tests.unit.relay_supervisor.core.driver import SOURCE
from tests.unit.relay_supervisor.core.swap_driver import FAST, SwapDriver

AT_ONCE = v1.Limits(probation_calls=0, drain_seconds=5.0, drain_max_seconds=20.0)
LONG = v1.Limits(probation_seconds=1000.0, drain_seconds=5.0, drain_max_seconds=20.0)


@pytest.fixture
def relay() -> SwapDriver:
    driver = SwapDriver()
    driver.serve()
    return driver


# ---- the active worker dies


def test_when_the_active_one_dies_a_candidate_that_is_configured_serves_at_once(
    relay: SwapDriver,
) -> None:
    relay.swap(python="/new")
    relay.hatch(2)
    relay.configure(2, limits=FAST)
    relay.die(1)
    assert relay.active == 2
    assert relay.take(effects.SpawnWorker) == []
    assert relay.call_on(1)[0] == 2


@pytest.mark.parametrize("reached", ["spawning", "handshaking", "welcomed"])
def test_a_candidate_that_is_not_so_far_serves_as_soon_as_it_is(
    relay: SwapDriver, reached: str
) -> None:
    relay.swap()
    if reached != "spawning":
        relay.spawned(2)
    if reached == "welcomed":
        relay.welcome(2)
    relay.die(1)
    assert relay.active is None
    if reached == "spawning":
        relay.spawned(2)
    if reached != "welcomed":
        relay.welcome(2)
    relay.configure(2, limits=FAST)
    assert relay.active == 2
    relay.wait(60.0)
    assert relay.take(effects.SpawnWorker) == [], "nobody else is started"


def test_a_candidate_promoted_in_need_is_on_probation_and_not_yet_the_last_good(
    relay: SwapDriver,
) -> None:
    relay.swap(python="/new")
    relay.warm(2)
    relay.die(1)
    assert relay.active == 2 and relay.relay.recovery.state.committed == SOURCE
    relay.die(2)
    assert relay.ended(Outcome.FAILED)
    relay.take(effects.SpawnWorker)
    relay.wait(1.0)
    assert relay.take(effects.SpawnWorker) == [effects.SpawnWorker(3, "/python")]


def test_a_candidate_promoted_in_need_is_committed_when_it_has_proved_itself(
    relay: SwapDriver,
) -> None:
    relay.swap(python="/new")
    relay.warm(2)
    relay.die(1)
    relay.wait(FAST.probation_seconds)
    assert relay.ended(Outcome.COMMITTED)
    assert relay.relay.recovery.state.committed.python == "/new"


def test_when_both_die_the_committed_pair_is_started(relay: SwapDriver) -> None:
    relay.swap(python="/new")
    relay.spawned(2)
    relay.die(1)
    relay.take(effects.SpawnWorker)
    relay.die(2)
    assert relay.ended(Outcome.FAILED)
    relay.wait(1.0)
    assert relay.take(effects.SpawnWorker) == [effects.SpawnWorker(3, "/python")]


def test_when_the_one_on_probation_and_the_one_standing_by_die_the_next_candidate_serves(
    relay: SwapDriver,
) -> None:
    relay.swap()
    relay.candidate(2)
    relay.swap(python="/third")
    relay.warm(3)
    relay.die(1)
    relay.die(2)
    assert relay.active == 3
    relay.wait(1.0)
    assert [e.python for e in relay.take(effects.SpawnWorker)] == []


def test_a_swap_while_a_dead_worker_is_waited_for_takes_its_place(relay: SwapDriver) -> None:
    relay.die(1)
    relay.swap(python="/new")
    relay.hatch(2)
    relay.configure(2, limits=FAST)
    assert relay.active == 2
    relay.wait(60.0)
    assert relay.take(effects.SpawnWorker) == []


@pytest.mark.parametrize("first", [2, 3])
def test_of_two_that_come_up_with_nobody_serving_one_is_too_many(
    relay: SwapDriver, first: int
) -> None:
    """A worker was being started again when the swap began."""
    relay.die(1)
    relay.wait(1.0)
    relay.hatch(2)
    relay.swap()
    relay.hatch(3)
    second = 5 - first
    relay.configure(first, limits=FAST)
    assert relay.active == first
    if second == 2:
        relay.configure(second, limits=FAST)
        assert relay.life(2) is Life.FAILED, "nobody needs it any more"
        relay.wait(FAST.probation_seconds)
        assert relay.ended(Outcome.COMMITTED)
    else:
        relay.configure(second, limits=FAST)
        relay.healthy(3)
        relay.catalogue(generation=3)
        relay.ready(3)
        assert (relay.active, relay.life(2)) == (3, Life.STANDBY)


def test_a_refused_candidate_with_nobody_serving_leaves_the_one_being_started(
    relay: SwapDriver,
) -> None:
    relay.die(1)
    relay.wait(1.0)
    relay.hatch(2)
    relay.swap(refused='[{"build":"bad","config_digest":"bad"}]')
    relay.hatch(3, build="bad")
    relay.configure(3, limits=FAST, digest="bad")
    assert relay.ended(Outcome.FAILED)
    relay.take(effects.SpawnWorker)
    relay.wait(4.0)
    assert relay.take(effects.SpawnWorker) == [], "one is on its way"
    relay.configure(2, limits=FAST)
    assert relay.active == 2


def with_a_broken_file(relay: SwapDriver, **args: Any) -> None:
    """A candidate that can use nothing of the file."""
    relay.swap(**args)
    relay.hatch(2)
    message = v1.Configured([], FAST, problems=["relay.yaml:1:1: no YAML"], broken=True)
    relay.frame(message, b"", 2)


def test_a_broken_configuration_is_not_taken_in_need_either(relay: SwapDriver) -> None:
    """The committed pair is started again, which takes its file from memory."""
    with_a_broken_file(relay)
    relay.die(1)
    assert relay.ended(Outcome.FAILED, "relay.yaml:1:1") and relay.life(2) is Life.FAILED
    relay.revive(3)
    assert relay.active == 3 and relay.frames(v1.Configure)[-1][2] == SOURCE.config


def test_nor_with_nobody_serving_when_it_comes(relay: SwapDriver) -> None:
    relay.die(1)
    with_a_broken_file(relay)
    assert relay.ended(Outcome.FAILED, "relay.yaml:1:1")
    relay.revive(3)


def test_nor_with_no_client_to_miss_anything() -> None:
    relay = SwapDriver()
    relay.start()
    with_a_broken_file(relay)
    assert relay.active == 1 and relay.ended(Outcome.FAILED, "relay.yaml:1:1")


def test_but_by_force_it_is(relay: SwapDriver) -> None:
    with_a_broken_file(relay, force=True)
    relay.die(1)
    assert relay.active == 2


# ---- rollback by hand


def test_rollback_goes_back_to_the_version_before_also_long_after(relay: SwapDriver) -> None:
    relay.swap(python="/new")
    relay.candidate(2, limits=AT_ONCE)
    relay.die(1)
    relay.wait(100.0)
    relay.wanted.clear()
    relay.control("rollback")
    assert relay.take(effects.SpawnWorker) == [effects.SpawnWorker(3, "/python")]
    relay.candidate(3, states={"files": "failed"}, limits=AT_ONCE)
    assert relay.active == 3, "what was good before needs no gate"
    ((_, _, payload),) = relay.frames(v1.Configure)
    assert payload == SOURCE.config


@pytest.mark.parametrize("no_wait", [False, True])
def test_a_second_rollback_joins_the_first(relay: SwapDriver, no_wait: bool) -> None:
    """To undo it would leave both believing that it is done."""
    relay.swap(python="/new")
    relay.candidate(2)
    relay.wait(FAST.probation_seconds)
    relay.control("rollback", 8)
    relay.control("rollback", 9, no_wait=no_wait)
    relay.candidate(3)
    assert relay.active == 3 and relay.relay.swaps.probation is not None
    relay.wait(FAST.probation_seconds)
    assert relay.final(8)["outcome"] == "committed"
    assert relay.final(9)["outcome"] == ("probation" if no_wait else "committed")


def test_rollback_of_a_candidate_ends_the_swap(relay: SwapDriver) -> None:
    relay.swap()
    relay.warm(2)
    relay.control("rollback", 9)
    assert relay.active == 1 and relay.life(2) is Life.FAILED
    assert relay.final(7)["outcome"] == relay.final(9)["outcome"] == "rolled_back"


def test_rollback_with_no_version_before_changes_nothing(relay: SwapDriver) -> None:
    relay.control("rollback")
    failure = relay.final()
    assert isinstance(failure, control_v1.Failure) and failure.code == "nothing"
    assert "nothing was changed" in failure.message and relay.active == 1


def test_rollback_of_one_that_was_promoted_in_need_starts_the_committed_one(
    relay: SwapDriver,
) -> None:
    relay.swap(python="/new")
    relay.warm(2)
    relay.die(1)
    relay.wanted.clear()
    relay.control("rollback", 9)
    assert relay.take(effects.SpawnWorker) == [effects.SpawnWorker(3, "/python")]
    assert relay.active == 2, "it serves until the other one can"
    relay.candidate(3, limits=AT_ONCE)
    assert relay.active == 3 and relay.final(9)["outcome"] == "committed"


def test_an_order_during_the_end_is_refused(relay: SwapDriver) -> None:
    relay.do(events.StopRequested(15))
    for op in ("swap", "rollback"):
        relay.control(op)
        failure = relay.final()
        assert isinstance(failure, control_v1.Failure) and failure.code == "ending"
    assert relay.take(effects.SpawnWorker) == []
