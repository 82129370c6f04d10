"""A pair of code and configuration that failed is not taken again without force, by no relay."""

import pytest

from relay_supervisor.core.generation import Life
from relay_supervisor.core.swaps import Outcome
from relay_supervisor.wire import v1
from tests.unit.relay_supervisor.core.swap_driver import FAST, SwapDriver
from tests.unit.relay_supervisor.core.test_swap_probation import on_probation


def test_a_pair_that_failed_is_refused_the_next_time_and_all_relays_get_to_know() -> None:
    relay = on_probation()
    relay.die(2)
    (refuse,) = [m for g, m in relay.to_worker(v1.Refuse) if g == 1]
    assert (refuse.build, refuse.config_digest) == ("2.0", "two") and "signal 9" in refuse.reason
    relay.swap(python="/new")
    relay.hatch(3, build="2.0")
    relay.configure(3, limits=FAST, digest="two")
    assert relay.ended(Outcome.FAILED, "--force") and relay.ended(Outcome.FAILED, "signal 9")
    assert relay.active == 1 and relay.life(3) is Life.FAILED


@pytest.mark.parametrize(("build", "digest"), [("2.1", "two"), ("2.0", "three")])
def test_other_code_or_another_configuration_is_not_refused(build: str, digest: str) -> None:
    relay = on_probation()
    relay.die(2)
    relay.swap()
    relay.candidate(3, build=build, digest=digest)
    assert relay.active == 3


def test_force_takes_what_was_refused() -> None:
    relay = on_probation()
    relay.die(2)
    relay.swap(force=True)
    relay.candidate(3, build="2.0", digest="two")
    assert relay.active == 3


def test_what_relayctl_knows_to_be_refused_is_refused_here_too() -> None:
    relay = SwapDriver()
    relay.serve()
    relay.swap(refused='[{"build":"2.0","config_digest":"two","reason":"it fell in window 4"}]')
    relay.hatch(2, build="2.0")
    relay.configure(2, limits=FAST, digest="two")
    assert relay.ended(Outcome.FAILED, "it fell in window 4")


@pytest.mark.parametrize("text", ["", "nonsense", "{}", '[{"build":5}]'])
def test_a_list_of_refusals_that_cannot_be_read_refuses_nothing(text: str) -> None:
    relay = SwapDriver()
    relay.serve()
    relay.swap(refused=text)
    relay.candidate(2)
    assert relay.active == 2


def test_a_candidate_that_never_served_is_not_refused_next_time() -> None:
    """Import errors and gates may pass by the next attempt; trying again costs nothing."""
    relay = SwapDriver()
    relay.serve()
    relay.swap()
    relay.warm(2, build="2.0", digest="two")
    relay.die(2, status=1)
    relay.swap()
    relay.candidate(3, build="2.0", digest="two")
    assert relay.active == 3


def test_it_is_refused_too_if_nobody_was_left_to_go_back_to() -> None:
    """Nobody is there to write it down at once: the next worker does."""
    relay = on_probation()
    relay.die(1)
    relay.die(2)
    assert relay.to_worker(v1.Refuse) == []
    relay.revive(3)
    (refuse,) = [m for g, m in relay.to_worker(v1.Refuse) if g == 3]
    assert (refuse.build, refuse.config_digest) == ("2.0", "two") and relay.last.refused
    relay.swap(python="/new")
    relay.hatch(4, build="2.0")
    relay.configure(4, limits=FAST, digest="two")
    assert relay.ended(Outcome.FAILED, "failed before") and relay.active == 3


def test_what_is_gone_back_to_is_never_refused() -> None:
    """The same code and configuration once more, and it fails: it is all there is."""
    relay = SwapDriver()
    relay.serve()
    relay.swap()
    relay.candidate(2)
    relay.die(2)
    assert relay.to_worker(v1.Refuse) == [] and not relay.last.refused
    relay.swap()
    relay.candidate(3)
    relay.die(1)
    relay.die(3)
    relay.revive(4)
    assert relay.to_worker(v1.Refuse) == [] and not relay.last.refused


def test_going_back_by_hand_refuses_nothing() -> None:
    relay = on_probation()
    relay.control("rollback")
    assert relay.to_worker(v1.Refuse) == [] and not relay.last.refused


@pytest.mark.parametrize("end", ["ready", "in need"])
def test_a_pair_that_fails_while_it_is_prepared_again_is_refused_too(end: str) -> None:
    relay = on_probation()
    relay.swap()
    relay.warm(3, build="2.0", digest="two")
    relay.die(2)
    assert relay.active == 1 and relay.ended(Outcome.ROLLED_BACK)
    if end == "ready":
        relay.ready(3)
        assert relay.active == 1
    else:
        relay.die(1)
        relay.revive(4)
        assert relay.active == 4
    assert relay.ended(Outcome.FAILED, "failed before") and relay.life(3) is Life.FAILED
