"""At a cut-over what is unchanged moves as it is, and what has changed stays where it is."""

import pytest

from relay_supervisor.core import effects
from relay_supervisor.core.generation import Life
from relay_supervisor.core.state import Hold
from relay_supervisor.wire import v1
from tests.unit.relay_supervisor.core.custody_driver import (
    BOTH,
    CHANGED,
    SLOW,
    CustodyDriver,
)


@pytest.fixture
def relay() -> CustodyDriver:
    driver = CustodyDriver()
    driver.serve()
    return driver


# ---- before the cut-over


def test_a_candidate_is_told_what_is_another_s_and_will_come(relay: CustodyDriver) -> None:
    relay.swap()
    relay.hatch(2)
    relay.configure(2)
    kinds = [type(e.message) for e in relay.wanted if isinstance(e, effects.SendToWorker)]
    assert kinds.index(v1.Await) < kinds.index(v1.Session), "before it could start them"
    assert relay.to_worker(v1.Await) == [(2, v1.Await(BOTH))]
    assert relay.spawn("files", 2) is None
    assert "another worker has it" in relay.one(v1.SpawnRefused).reason
    assert relay.frozen_names() == {} and relay.hold("files") == (Hold.HELD, 1)


def test_what_is_new_the_candidate_starts_itself(relay: CustodyDriver) -> None:
    relay.swap()
    relay.hatch(2)
    relay.configure(2, backends=[CHANGED, SLOW])
    assert relay.one(v1.Await).backends == ["slow"]
    assert relay.hold("files", "spec 2") == (Hold.HELD, 2)
    assert relay.spawn("files", 2) is not None


def test_one_process_at_a_time(relay: CustodyDriver) -> None:
    assert relay.spawn("files", 1) is None, "the first one runs"
    relay.backend_dies("files")
    assert relay.spawn("files", 1) is not None


# ---- the cut-over


def test_nothing_is_given_away_before_it_is_given_back(relay: CustodyDriver) -> None:
    relay.cut_over()
    assert relay.frozen_names() == {1: BOTH}
    assert relay.given() == [] and relay.hold("files") == (Hold.FREEZING, 1)
    relay.frozen("files")
    ((generation, adopt, left),) = relay.given()
    assert (generation, adopt.backend, adopt.pid) == (2, "files", relay.pid_of["files"])
    assert (adopt.crashed, left) == (False, b"left")
    assert relay.hold("files") == (Hold.ADOPTING, 2)
    assert relay.hold("slow") == (Hold.FREEZING, 1), "each by itself"
    relay.adopted("files")
    assert relay.hold("files") == (Hold.HELD, 2)
    assert relay.charge("files").left == b"", "which may be as large as a frame"


def test_each_has_descriptors_of_its_own(relay: CustodyDriver) -> None:
    relay.cut_over()
    relay.frozen("files")
    relay.frozen("slow")
    tokens = [adopt.token for _, adopt, _ in relay.given()]
    assert len(set(tokens)) == 2 and min(tokens) > 1 << 62, "none that a worker has chosen"


def test_calls_go_with_their_backend_and_are_answered_from_there(relay: CustodyDriver) -> None:
    _, number = relay.call_on(5)
    _, other = relay.call_on(6, "slow__think")
    relay.cut_over()
    relay.frozen("files")
    ((_, adopt, _),) = relay.given()
    assert adopt.calls == [v1.Call(number, "tools/call", "files__read", v1.LEGACY)]
    relay.adopted("files")
    relay.reply(number, b'"result":"late"}', generation=1)
    assert relay.client() == [], "whoever has let go has no say"
    relay.reply(number, b'"result":"here"}', generation=2)
    assert [a["result"] for a in relay.client()] == ["here"]
    assert relay.state.calls[other].generation == 1


def test_calls_that_wait_go_to_the_one_that_serves_as_they_were(relay: CustodyDriver) -> None:
    _, number = relay.call_on(5)
    relay.cut_over()
    relay.frames(v1.Call)
    relay.frame(v1.Returned([number]), b"", 1)
    ((generation, again, payload),) = relay.frames(v1.Call)
    assert generation == 2 and again.call > number and again.attempt == 1
    assert b"files__read" in payload
    relay.frozen("files")
    ((_, adopt, _),) = relay.given()
    assert adopt.calls == [], "it was nobody's, and is nobody's twice"


def test_a_worker_gives_back_no_calls_of_others(relay: CustodyDriver) -> None:
    _, number = relay.call_on(5)
    relay.cut_over()
    relay.frames(v1.Call)
    relay.frame(v1.Returned([number, 999]), b"", 2)
    assert relay.frames(v1.Call) == [] and relay.state.calls[number].generation == 1


def test_a_call_sent_after_freeze_stays_with_that_worker(relay: CustodyDriver) -> None:
    """It is gone back to before it has let go; the call lies in its pipe behind Freeze."""
    relay.cut_over()
    relay.control("rollback", 8)
    assert relay.active == 1
    generation, number = relay.call_on(5)
    assert generation == 1
    relay.frozen("files", unsent=[])
    ((to, adopt, _),) = relay.given()
    assert (to, adopt.calls) == (1, []), "or it would be taken for one that its backend has"
    assert relay.state.calls[number].generation == 1
    relay.adopted("files", 1)
    relay.reply(number, generation=1)
    assert len(relay.client()) == 1


def test_a_backend_without_a_process_is_granted_with_what_is_known_of_it(
    relay: CustodyDriver,
) -> None:
    relay.backend_dies("files")
    relay.frame(v1.BackendState("files", "backing_off", None), b"", 1)
    relay.cut_over()
    relay.frame(v1.Frozen("files", 0), b"it failed twice", 1)
    assert relay.given() == [(2, v1.Adopt(0, "files", 0), b"it failed twice")]
    assert relay.hold("files") == (Hold.HELD, 2)
    assert relay.spawn("files", 2) is not None


def test_what_nobody_reads_is_read_by_us(relay: CustodyDriver) -> None:
    """An unread stderr freezes a server."""
    relay.cut_over()
    assert relay.take(effects.TendStderr) == []
    relay.frozen("files")
    assert relay.take(effects.TendStderr) == [effects.TendStderr(relay.pid_of["files"])]


def test_whoever_no_longer_serves_gives_back_what_waits_with_nothing_to_freeze(
    relay: CustodyDriver,
) -> None:
    relay.cut_over()
    relay.frozen_names()
    _, number = relay.call_on(5)
    relay.control("rollback", 8)
    assert relay.frozen_names() == {2: []}, "its calls wait for what it will not get"
    relay.frame(v1.Returned([number]), b"", 2)
    assert [generation for generation, _ in relay.to_worker(v1.Call)] == [1]


# ---- what has changed


def test_a_changed_backend_stays_and_finishes(relay: CustodyDriver) -> None:
    _, number = relay.call_on(5)
    relay.swap()
    relay.candidate(2, backends=[CHANGED, SLOW], states={"slow": "awaited"})
    assert relay.frozen_names() == {1: ["slow"]}
    relay.hand_over("slow")
    relay.answered_calls(3)
    assert relay.life(1) is Life.DRAINING
    relay.reply(number, generation=1)
    assert len(relay.client()) == 1
    assert relay.take(effects.CloseStdin)[0].pid == relay.pid_of["files"]
    relay.kill(1, {})
    relay.backend_dies("files")
    assert list(relay.state.charges) == ["slow spec", "files spec 2"]


def test_a_removed_one_that_somebody_still_knows_is_given_to_it(relay: CustodyDriver) -> None:
    """It was on its way to one that was beaten meanwhile; its call is finished all the same."""
    _, number = relay.call_on(5)
    relay.cut_over(2)
    relay.swap(8)
    relay.candidate(3, backends=[SLOW], states={"slow": "awaited"})
    relay.frozen_names()
    relay.frozen("files")
    ((to, adopt, _),) = relay.given()
    assert to == 1 and [c.call for c in adopt.calls] == [number], "who stands by reads it again"
    relay.adopted("files", 1)
    relay.reply(number, generation=1)
    assert len(relay.client()) == 1


def test_who_drains_is_not_ended_while_something_is_on_its_way_to_it(relay: CustodyDriver) -> None:
    relay.cut_over(2)
    relay.frozen("files")
    relay.swap(8)
    relay.candidate(3, states={"files": "awaited", "slow": "awaited"})
    assert relay.life(2) is Life.DRAINING, "it has yet to say that it has it, and to give it back"
    relay.frozen_names()
    relay.adopted("files", 2)
    assert relay.frozen_names() == {2: ["files"]} and relay.life(2) is Life.DRAINING
    relay.frozen("files", 2)
    assert relay.life(2) is Life.RETIRED and relay.hold("files") == (Hold.ADOPTING, 3)


def test_an_old_worker_starts_its_own(relay: CustodyDriver) -> None:
    relay.swap()
    relay.candidate(2, adopts=False)
    assert relay.active == 2 and relay.frozen_names() == {1: []}
    assert relay.spawn("files", 2) is not None, "as ever"
    assert relay.hold("files") == (Hold.HELD, 1)


def test_nothing_is_asked_of_one_that_does_not_know_how() -> None:
    relay = CustodyDriver()
    relay.swap_from_an_old_worker()
    assert relay.to_worker(v1.Freeze) == [] and relay.to_worker(v1.Await) == []
    assert relay.hold("files") == (Hold.HELD, 2), "it starts what it needs, the old one drains"
    assert relay.spawn("files", 2) is not None
