"""The processes of backends: who ends them, who is told of their end, and that none runs twice."""

from typing import Any

import pytest

from relay_supervisor.core import effects, events
from relay_supervisor.core.state import Hold
from relay_supervisor.wire import v1
from relay_supervisor.wire.ledger import Stage
from tests.unit.relay_supervisor.core.custody_driver import CustodyDriver
from tests.unit.relay_supervisor.core.driver import call
from tests.unit.relay_supervisor.core.test_calls_limits import text_of


@pytest.fixture
def relay() -> CustodyDriver:
    driver = CustodyDriver()
    driver.serve()
    return driver


def next_worker(relay: CustodyDriver) -> list[tuple[int, v1.Adopt, bytes]]:
    """The next one comes up; returns what it is given."""
    relay.revive(2)
    return relay.given()


def test_backends_stay_while_their_worker_is_down_and_are_read(relay: CustodyDriver) -> None:
    relay.kill(1, {})
    assert relay.take(effects.CloseStdin) == relay.take(effects.Signal) == []
    tended = {effect.pid for effect in relay.take(effects.TendStderr)}
    assert tended == {relay.pid_of["files"], relay.pid_of["slow"]}


def test_one_whose_end_had_begun_is_not_adopted(relay: CustodyDriver) -> None:
    relay.frame(v1.StopBackend("files", relay.pid_of["files"]), b"", 1)
    relay.take(effects.CloseStdin)
    relay.kill(1, {})
    assert relay.signals() == [], "and it gets the time it was given"
    assert [adopt.backend for _, adopt, _ in next_worker(relay)] == ["slow"]
    relay.backend_dies("files")
    assert relay.given() == [(2, v1.Adopt(0, "files", 0), b"")]


def test_one_that_dies_while_nobody_has_it_is_adopted_and_its_end_told(
    relay: CustodyDriver,
) -> None:
    """Its last words are in mailbox and pipe, and its calls have to be answered."""
    _, number = relay.call_on(5)
    relay.kill(1, {number: Stage.WRITTEN})
    relay.backend_dies("files", -11)
    assert relay.client() == [] and relay.take(effects.ReleasePipes) == []
    assert relay.to_worker(v1.Exited) == []
    gifts = {adopt.backend: adopt for _, adopt, _ in next_worker(relay)}
    assert [c.call for c in gifts["files"].calls] == [number]
    pid = relay.pid_of["files"]
    assert relay.to_worker(v1.Exited) == [(2, v1.Exited("files", pid, -11))]
    relay.adopted("files")
    relay.reply(number, generation=2)
    assert len(relay.client()) == 1
    relay.frame(v1.BackendState("files", "backing_off", None), b"", 2)
    assert relay.take(effects.ReleasePipes) == [effects.ReleasePipes(pid)]
    assert relay.spawn("files", 2) is not None


def test_a_worker_killed_before_it_took_in_an_end_leaves_it_to_the_next(
    relay: CustodyDriver,
) -> None:
    relay.backend_dies("files")
    assert relay.one(v1.Exited).pid == relay.pid_of["files"]
    relay.kill(1, {})
    gifts = {adopt.backend: adopt.pid for _, adopt, _ in next_worker(relay)}
    assert gifts["files"] == relay.pid_of["files"]
    assert relay.one(v1.Exited).backend == "files"


def test_what_nobody_wants_any_more_is_ended_and_its_calls_answered(relay: CustodyDriver) -> None:
    """The worker dies, and the one that is there instead does not know its backend."""
    _, number = relay.call_on(5)
    relay.swap()
    relay.warm(2, backends=[])
    relay.kill(1, {number: Stage.WRITTEN})
    assert relay.active == 2
    (answer,) = relay.client()
    assert "its backend was removed" in text_of(answer) and "unknown" in text_of(answer)
    assert {e.pid for e in relay.take(effects.CloseStdin)} == set(relay.pid_of.values())
    assert relay.signals() == [], "it may have something to save"
    relay.backend_dies("files")
    relay.backend_dies("slow")
    assert relay.state.charges == {}
    assert {e.pid for e in relay.take(effects.ReleasePipes)} == set(relay.pid_of.values())


def test_what_a_removed_backend_has_not_seen_is_given_on(relay: CustodyDriver) -> None:
    """Given back unsent, and nobody is left who wants the backend."""
    written, unsent = relay.call_on(5)[1], relay.call_on(6)[1]
    relay.cut_over()
    relay.swap(8)
    relay.warm(3, backends=[])
    relay.kill(2, {})
    relay.frozen("files", unsent=[unsent])
    relay.kill(1, {})
    assert relay.active == 3 and relay.state.calls.keys() == {relay.one(v1.Call).call}
    (answer,) = relay.client()
    assert answer["id"] == 5 and "unknown" in text_of(answer) and written < unsent


def test_an_end_that_waited_for_the_last_answer_begins_with_it(relay: CustodyDriver) -> None:
    """Also where it is answered as its backend goes."""
    number = relay.call_on(5)[1]
    relay.swap()
    relay.warm(2, backends=[])
    relay.do(events.ClientClosed())
    relay.kill(1, {number: Stage.WRITTEN})
    assert len(relay.client()) == 1 and relay.relay.ending.pace is not None


def test_what_is_still_ending_is_not_started_beside_itself(relay: CustodyDriver) -> None:
    relay.swap()
    relay.warm(2, backends=[])
    relay.kill(1, {})
    relay.swap(8)
    relay.hatch(3)
    relay.configure(3)
    assert relay.one(v1.Await).backends == ["files", "slow"]
    assert relay.spawn("files", 3) is None


@pytest.mark.parametrize("hold", ["held", "freezing", "adopting"])
def test_a_worker_may_die_in_every_state(relay: CustodyDriver, hold: Any) -> None:
    _, number = relay.call_on(5)
    holder = 1
    if hold != "held":
        relay.cut_over()
    if hold == "adopting":
        relay.frozen("files")
        holder = 2
    assert relay.charge("files").hold.value == hold
    relay.kill(holder, {number: Stage.WRITTEN})
    if hold == "held":
        relay.revive(2)
    to = 1 if hold == "adopting" else 2
    assert relay.hold("files") == (Hold.ADOPTING, to)
    assert f"freeze#{holder}" not in relay.relay.shared.timers.at
    relay.adopted("files", to)
    relay.reply(number, generation=to)
    assert len(relay.client()) == 1


def test_the_same_pid_may_come_again(relay: CustodyDriver) -> None:
    """For another backend, long after the first one was forgotten."""
    old = relay.pid_of["files"]
    relay.backend_dies("files")
    relay.frame(v1.BackendState("files", "backing_off", None), b"", 1)
    relay.backend_dies("slow")
    relay.frame(v1.BackendState("slow", "backing_off", None), b"", 1)
    relay._pid = old - 1
    assert relay.spawn("slow") == old
    relay._pid = old + 100
    relay.spawn("files")
    assert relay.relay.charges.owner(old) is relay.charge("slow")
    relay.line(call(5, "slow__think"))
