"""Swaps that meet another swap, or two workers that are still draining."""

import pytest

from relay_supervisor.core import effects
from relay_supervisor.core.drains import DRAINERS_MAX
from relay_supervisor.core.generation import Life
from relay_supervisor.core.swaps import Outcome
from relay_supervisor.wire import control_v1, v1
from tests.unit.relay_supervisor.core.driver import Driver
from tests.unit.relay_supervisor.core.swap_driver import FAST, SwapDriver

AT_ONCE = v1.Limits(probation_calls=0, drain_seconds=5.0, drain_max_seconds=20.0)
LONG = v1.Limits(probation_seconds=1000.0, drain_seconds=5.0, drain_max_seconds=20.0)


@pytest.fixture
def relay() -> SwapDriver:
    driver = SwapDriver()
    driver.serve()
    return driver


def lives(relay: Driver) -> dict[int, str]:
    """The state of every generation that is not dead."""
    generations = relay.relay.shared.workers.state.generations.values()
    return {g.number: g.state.value for g in generations if g.state is not Life.FAILED}


def busy_drainers(relay: SwapDriver) -> int:
    """As many workers as may drain, each with a call; returns the number of the next generation."""
    for number in range(1, DRAINERS_MAX + 1):
        relay.call_on(f"long{number}")
        relay.swap()
        relay.candidate(number + 1, limits=AT_ONCE)
    assert sum(state == "draining" for state in lives(relay).values()) == DRAINERS_MAX
    relay.wanted.clear()
    return DRAINERS_MAX + 2


# ---- another swap


@pytest.mark.parametrize("reached", ["spawning", "handshaking", "warming", "ready"])
def test_a_swap_while_another_is_being_prepared_is_refused(relay: SwapDriver, reached: str) -> None:
    relay.swap()
    if reached == "handshaking":
        relay.spawned(2)
    elif reached == "warming":
        relay.warm(2)
    elif reached == "ready":
        relay.candidate(2, states={"files": "starting"})
    assert relay.life(2) is Life(reached)
    relay.take(effects.SpawnWorker)
    relay.swap(connection=8)
    failure = relay.final(8)
    assert isinstance(failure, control_v1.Failure) and failure.code == "busy"
    assert relay.take(effects.SpawnWorker) == [] and relay.life(2) is Life(reached)


def test_a_swap_during_probation_takes_the_place_of_the_one_on_probation(
    relay: SwapDriver,
) -> None:
    relay.swap()
    relay.candidate(2)
    relay.call_on("on 2")
    relay.swap(connection=8)
    assert relay.active == 2, "nothing changes before the next one is ready"
    relay.candidate(3)
    assert lives(relay) == {1: "standby", 2: "draining", 3: "active"}
    assert relay.ended(Outcome.FAILED, "superseded")
    assert relay.final(7)["outcome"] == "failed"
    relay.reply(1, generation=2)
    assert [a["id"] for a in relay.client()] == ["on 2"]
    relay.die(3)
    assert relay.active == 1, "the last committed one is gone back to"
    assert relay.ended(Outcome.ROLLED_BACK) and relay.final(8)["outcome"] == "rolled_back"


def test_the_one_that_took_the_place_commits_and_all_before_it_go(relay: SwapDriver) -> None:
    relay.swap()
    relay.candidate(2)
    relay.swap()
    relay.candidate(3)
    relay.wait(FAST.probation_seconds)
    assert relay.ended(Outcome.COMMITTED)
    assert lives(relay) == {1: "retired", 2: "retired", 3: "active"}


def test_a_probation_that_ends_well_while_the_next_one_warms(relay: SwapDriver) -> None:
    relay.swap()
    relay.candidate(2)
    relay.swap()
    relay.warm(3)
    relay.wait(FAST.probation_seconds)
    assert relay.ended(Outcome.COMMITTED) and relay.active == 2
    relay.ready(3)
    assert (relay.active, relay.life(2)) == (3, Life.STANDBY)
    relay.die(3)
    assert relay.active == 2


def test_who_is_told_that_his_swap_was_superseded_is_told_who_serves_instead(
    relay: SwapDriver,
) -> None:
    relay.swap()
    relay.candidate(2)
    relay.swap(connection=8)
    relay.candidate(3)
    told = relay.final(7)
    assert (told["outcome"], told["serving"]["generation"]) == ("failed", 3)


def test_one_that_took_the_place_of_another_comes_from_the_one_it_goes_back_to(
    relay: SwapDriver,
) -> None:
    relay.swap()
    relay.candidate(2)
    relay.swap(connection=8)
    relay.candidate(3)
    relay.die(3)
    told = relay.final(8)
    assert told["from"]["generation"] == told["serving"]["generation"] == 1


def test_a_rollback_gives_up_all_that_is_under_way(relay: SwapDriver) -> None:
    """Whoever wants to go back does not want the next one a moment later."""
    relay.swap()
    relay.candidate(2)
    relay.swap(connection=8)
    relay.warm(3)
    relay.control("rollback", 9)
    assert (relay.active, relay.life(2), relay.life(3)) == (1, Life.RETIRED, Life.FAILED)
    for connection in (7, 8, 9):
        assert relay.final(connection)["outcome"] == "rolled_back"
    assert relay.relay.swaps.open is False


def test_a_probation_that_ends_badly_while_the_next_one_warms(relay: SwapDriver) -> None:
    """The next one then replaces the one that was gone back to."""
    relay.swap()
    relay.candidate(2)
    relay.swap()
    relay.warm(3)
    relay.die(2)
    assert relay.active == 1
    relay.ready(3)
    assert (relay.active, relay.life(1)) == (3, Life.STANDBY)
    relay.die(3)
    assert relay.active == 1 and relay.ended(Outcome.ROLLED_BACK)
    relay.swap()
    relay.candidate(4)
    relay.wait(FAST.probation_seconds)
    assert relay.ended(Outcome.COMMITTED) and relay.life(1) is Life.RETIRED


# ---- two that are still draining


def test_a_third_swap_waits_until_one_has_drained(relay: SwapDriver) -> None:
    number = busy_drainers(relay)
    relay.swap(connection=8)
    assert relay.take(effects.SpawnWorker) == []
    (waiting,) = relay.told(8)
    assert b"waiting" in bytes(waiting.result)
    relay.reply(1, generation=1)
    assert [e.generation for e in relay.take(effects.SpawnWorker)] == [number]
    relay.candidate(number)
    assert relay.active == number


def test_a_drainer_that_dies_makes_room_too(relay: SwapDriver) -> None:
    number = busy_drainers(relay)
    relay.swap()
    relay.die(1)
    assert [e.generation for e in relay.take(effects.SpawnWorker)] == [number]


def test_a_swap_that_waits_can_be_given_up(relay: SwapDriver) -> None:
    number = busy_drainers(relay)
    relay.swap(connection=8)
    relay.control("rollback", 9)
    assert relay.final(8)["outcome"] == relay.final(9)["outcome"] == "rolled_back"
    relay.reply(1, generation=1)
    assert relay.take(effects.SpawnWorker) == []
    relay.swap()
    relay.candidate(number)
    assert relay.active == number


def test_with_nobody_serving_a_swap_waits_for_no_drain(relay: SwapDriver) -> None:
    number = busy_drainers(relay)
    relay.die(DRAINERS_MAX + 1)
    relay.swap()
    assert [e.generation for e in relay.take(effects.SpawnWorker)] == [number]


def test_a_swap_that_waits_goes_on_at_once_when_the_active_one_dies(relay: SwapDriver) -> None:
    number = busy_drainers(relay)
    relay.swap()
    relay.die(DRAINERS_MAX + 1)
    assert [e.generation for e in relay.take(effects.SpawnWorker)] == [number]


@pytest.mark.parametrize("end", ["commit", "rollback", "supersede"])
def test_there_are_never_more_drainers_however_the_probation_before_ends(
    relay: SwapDriver, end: str
) -> None:
    """The one that stands by will drain, too: it is counted in advance."""
    relay.call_on("on 1")
    relay.swap()
    relay.candidate(2, limits=AT_ONCE)
    relay.call_on("on 2")
    relay.swap()
    relay.candidate(3, limits=LONG)
    relay.call_on("on 3")
    relay.swap(connection=8)
    spawned = relay.take(effects.SpawnWorker)
    if end == "commit":
        relay.answered_calls(LONG.probation_calls)
    elif end == "rollback":
        relay.control("rollback", 9)
    if spawned := spawned or relay.take(effects.SpawnWorker):
        relay.candidate(spawned[0].generation, limits=AT_ONCE)
    assert sum(state == "draining" for state in lives(relay).values()) <= DRAINERS_MAX
    for generation in (1, 2, 3):
        relay.reply(generation, generation=generation)
    if not spawned and end != "rollback":
        (late,) = relay.take(effects.SpawnWorker)
        relay.candidate(late.generation, limits=AT_ONCE)
    assert relay.relay.swaps.warming is None
