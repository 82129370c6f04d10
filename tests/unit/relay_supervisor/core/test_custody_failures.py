"""A hand-over that fails is a worker that fails: it is killed, and the swap is taken back. A swap
is committed when all is handed over, and not before.
"""

import pytest

from relay_supervisor.core import effects, events
from relay_supervisor.core.custody import ADOPT_SECONDS_MAX, FREEZE_SECONDS_MAX
from relay_supervisor.core.generation import Life
from relay_supervisor.core.state import Hold
from relay_supervisor.core.swap_record import Outcome
from relay_supervisor.wire import v1
from tests.unit.relay_supervisor.core.custody_driver import BOTH, FAST, CustodyDriver


@pytest.fixture
def relay() -> CustodyDriver:
    driver = CustodyDriver()
    driver.serve()
    return driver


# ---- the commit


def test_a_swap_that_has_proved_itself_waits_for_its_backends(relay: CustodyDriver) -> None:
    relay.cut_over()
    relay.hand_over("files")
    relay.answered_calls(FAST.probation_calls)
    assert relay.life(1) is Life.STANDBY and relay.told()[-1].done is False
    relay.frozen("slow")
    assert relay.life(1) is Life.STANDBY, "it may refuse yet"
    relay.adopted("slow")
    assert relay.ended(Outcome.COMMITTED) and relay.final()["outcome"] == "committed"
    assert relay.life(1) is Life.RETIRED, "at once: it has nothing left"


def test_without_probation_it_waits_for_them_all_the_same(relay: CustodyDriver) -> None:
    relay.cut_over(limits=v1.Limits(probation_seconds=0.0))
    assert relay.life(1) is Life.STANDBY
    for name in BOTH:
        relay.hand_over(name)
    assert relay.ended(Outcome.COMMITTED)


def test_what_the_dead_have_is_waited_for_as_well(relay: CustodyDriver) -> None:
    """One that drained has been told to end, and still has what is wanted again by now."""
    limits = v1.Limits(probation_seconds=0.0)
    relay.swap()
    relay.candidate(2, adopts=False, limits=limits, states={})
    assert relay.life(1) is Life.RETIRED and relay.hold("files") == (Hold.HELD, 1)
    relay.swap(8)
    relay.candidate(3, limits=limits, states={"files": "awaited", "slow": "awaited"})
    assert relay.active == 3 and relay.life(2) is Life.STANDBY, "not committed"
    relay.kill(1, {})
    for name in BOTH:
        relay.backend_dies(name)
    assert relay.hold("files") == (Hold.HELD, 3) and relay.ended(Outcome.COMMITTED)


def test_calls_that_fail_meanwhile_count(relay: CustodyDriver) -> None:
    relay.cut_over()
    relay.hand_over("files")
    relay.wait(FAST.probation_seconds - 0.5)
    relay.frozen("slow")
    relay.wait(1.0)
    assert relay.life(1) is Life.STANDBY, "it has served long enough, and waits"
    relay.answered_calls(1, v1.OUTCOME_RELAY_ERROR)
    relay.adopted("slow")
    assert relay.ended(Outcome.ROLLED_BACK, "1 of its 1 calls failed") and relay.active == 1


# ---- what is late, and what is refused


def test_who_gives_nothing_back_is_killed_and_loses_nothing_else(relay: CustodyDriver) -> None:
    _, number = relay.call_on(5)
    relay.cut_over()
    relay.wait(FREEZE_SECONDS_MAX - 0.1)
    assert relay.life(1) is Life.STANDBY
    relay.wait(0.2)
    assert relay.life(1) is Life.FAILED
    assert (relay.pids[1], 9) in relay.signals()
    assert relay.given() == [], "it is not dead yet, and may wake and write"
    relay.kill(1, {number: 3})
    assert {adopt.backend: (to, adopt.crashed) for to, adopt, _ in relay.given()} == {
        "files": (2, True),
        "slow": (2, True),
    }
    assert relay.active == 2 and relay.state.calls[number].generation == 2


def test_nobody_is_late_while_nobody_listens(relay: CustodyDriver) -> None:
    """The client does not read, so the workers are not read: what they say is in their pipes."""
    relay.cut_over()
    relay.frozen("slow")
    relay.do(events.WorkersUnread(unread=True))
    relay.wait(3 * (FREEZE_SECONDS_MAX + ADOPT_SECONDS_MAX))
    assert relay.active == 2 and relay.life(1) is Life.STANDBY, "neither is late"
    relay.do(events.WorkersUnread(unread=False))
    relay.adopted("slow")
    relay.wait(FREEZE_SECONDS_MAX)
    assert relay.life(1) is Life.FAILED, "it is read again, and says nothing"


def test_a_candidate_is_not_late_while_nobody_listens(relay: CustodyDriver) -> None:
    relay.swap()
    relay.hatch(2)
    relay.do(events.WorkersUnread(unread=True))
    relay.wait(200.0)
    assert relay.life(2) is Life.WARMING
    relay.do(events.WorkersUnread(unread=False))
    relay.wait(200.0)
    assert relay.final()["outcome"] == "failed", "it is read again, and says nothing"


def test_one_deadline_is_for_all_it_has_to_give_back(relay: CustodyDriver) -> None:
    relay.cut_over()
    relay.frozen("files")
    assert "freeze#1" in relay.relay.shared.timers.at
    relay.frozen("slow")
    assert "freeze#1" not in relay.relay.shared.timers.at


def test_who_does_not_take_over_is_killed_and_the_one_before_gets_it_back(
    relay: CustodyDriver,
) -> None:
    _, number = relay.call_on(5)
    relay.cut_over()
    relay.frozen("files")
    relay.given()
    relay.wait(ADOPT_SECONDS_MAX - 0.1)
    assert relay.active == 2
    relay.wait(0.2)
    assert relay.ended(Outcome.ROLLED_BACK, "did not take over backend 'files' within 5 s")
    assert relay.active == 1 and relay.given() == []
    relay.kill(2, {})
    ((to, adopt, left),) = relay.given()
    assert (to, adopt.crashed, left) == (1, True, b"joined")
    assert [c.call for c in adopt.calls] == [number], "written by the first, it goes on"
    relay.adopted("files", 1)
    relay.reply(number, generation=1)
    assert len(relay.client()) == 1


def test_a_refusal_takes_the_swap_back_and_says_why(relay: CustodyDriver) -> None:
    relay.cut_over()
    relay.frozen("files")
    relay.adopted("files", 2, "no memory is left")
    assert relay.ended(
        Outcome.ROLLED_BACK, "it cannot take over backend 'files': no memory is left"
    )
    assert relay.life(2) is Life.FAILED and relay.active == 1


def test_a_rollback_hands_everything_back(relay: CustodyDriver) -> None:
    _, number = relay.call_on(5)
    relay.cut_over()
    for name in BOTH:
        relay.hand_over(name)
    relay.frozen_names()
    relay.control("rollback", 8)
    assert relay.frozen_names() == {2: BOTH} and relay.life(2) is Life.DRAINING
    relay.given()
    relay.frozen("files", 2, left=b"of the second")
    ((to, adopt, left),) = relay.given()
    assert (to, adopt.crashed, left) == (1, False, b"of the second")
    assert [c.call for c in adopt.calls] == [number]
    relay.adopted("files", 1)
    relay.hand_over("slow", 2, 1)
    assert relay.life(2) is Life.RETIRED
    assert relay.take(effects.CloseStdin) == [effects.CloseStdin(relay.pids[2])], "no backend"


def test_what_is_on_its_way_to_one_that_is_taken_back_arrives_first(relay: CustodyDriver) -> None:
    relay.cut_over()
    relay.frozen("files")
    relay.control("rollback", 8)
    relay.frozen_names()
    assert relay.hold("files") == (Hold.ADOPTING, 2), "only who has it can give it back"
    relay.adopted("files", 2)
    assert relay.frozen_names() == {2: ["files"]}


# ---- lies


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (v1.Frozen("files", 0), "it gives back 'files', and was not asked to"),
        (v1.Frozen("unheard of", 1), "it gives back 'unheard of', and was not asked to"),
        (v1.Adopted("files", 0), "it takes over 'files', which it was not given"),
        (v1.Adopted("unheard of", 1), "it takes over 'unheard of', which it was not given"),
    ],
    ids=repr,
)
def test_what_was_not_asked_for_is_a_reason_to_give_up_who_says_it(
    relay: CustodyDriver, lie: v1.Message, why: str
) -> None:
    relay.frame(lie, b"left", 1)
    assert relay.life(1) is Life.FAILED and relay.hold("files") == (Hold.HELD, 1)
    assert relay.relay.shared.workers.state.generations[1].failure == why


@pytest.mark.parametrize("dead", [False, True])
def test_another_process_is_not_taken_for_the_one_asked_back(
    relay: CustodyDriver, dead: bool
) -> None:
    relay.cut_over()
    if dead:
        relay.backend_dies("files")
    relay.frame(v1.Frozen("files", 4711), b"left", 1)
    assert relay.life(1) is Life.FAILED and relay.given() == []


def test_a_living_process_is_not_said_to_be_gone(relay: CustodyDriver) -> None:
    relay.cut_over()
    relay.frame(v1.Frozen("files", 0), b"left", 1)
    assert relay.life(1) is Life.FAILED and relay.given() == []
