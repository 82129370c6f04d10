"""What is no call reaches a backend once, and is kept until a worker says that it has."""

import pytest

from relay_supervisor.core import effects, errands
from relay_supervisor.wire import v1
from relay_supervisor.wire.ledger import Stage
from relay_supervisor.wire.mailbox import Fate, Record
from tests.unit.relay_supervisor.core.custody_driver import CustodyDriver
from tests.unit.relay_supervisor.core.driver import Driver, notification, request


@pytest.fixture
def relay() -> CustodyDriver:
    driver = CustodyDriver()
    driver.serve(elicitation={})
    return driver


def begun(relay: CustodyDriver, key: object = 5, tool: str = "files__read") -> v1.Cancel:
    """A cancellation on its way to a worker."""
    relay.call_on(key, tool)
    relay.line(notification("notifications/cancelled", requestId=key))
    return relay.one(v1.Cancel)


def told(relay: CustodyDriver) -> list[tuple[int, v1.Cancel]]:
    """Who is told of which cancellation."""
    return relay.to_worker(v1.Cancel)


def test_it_has_a_number_of_the_calls_row_and_is_kept_until_it_is_done(
    relay: CustodyDriver,
) -> None:
    message = begun(relay)
    assert (message.call, message.errand, message.backend) == (1, 2, "")
    relay.frame(v1.Done(99), b"", 1)
    assert list(relay.state.errands) == [2]
    relay.frame(v1.Done(2), b"", 1)
    assert relay.state.errands == {}
    assert relay.call_on(6)[1] == 3, "and no call gets its number"


def test_an_old_worker_is_told_as_ever() -> None:
    relay = Driver()
    relay.serve()
    relay.line(request(5, "tools/call", name="files__read", arguments={}))
    relay.line(notification("notifications/cancelled", requestId=5))
    assert relay.one(v1.Cancel) == v1.Cancel(1) and relay.state.errands == {}


def test_nobody_has_done_what_another_was_told(relay: CustodyDriver) -> None:
    message = begun(relay)
    relay.cut_over()
    relay.frame(v1.Done(message.errand), b"", 2)
    assert list(relay.state.errands) == [message.errand]


# ---- a hand-over


def test_what_was_not_sent_is_in_the_custody_and_not_told_again(relay: CustodyDriver) -> None:
    message = begun(relay)
    relay.cut_over()
    relay.frozen("files", unsent=[message.errand])
    assert told(relay) == []
    relay.adopted("files")
    relay.frame(v1.Done(message.errand), b"", 2)
    assert relay.state.errands == {}


def test_what_crossed_is_told_again_with_its_backend_and_another_number(
    relay: CustodyDriver,
) -> None:
    relay.call_on(5)
    relay.cut_over()
    relay.line(notification("notifications/cancelled", requestId=5))
    ((generation, first),) = told(relay)
    assert generation == 1
    relay.frozen("files")
    ((generation, again),) = told(relay)
    assert (generation, again.call, again.backend) == (2, first.call, "files")
    assert again.errand > first.errand
    relay.frame(v1.Done(first.errand), b"", 1)
    relay.frame(v1.Done(first.errand), b"", 2)
    assert list(relay.state.errands) == [again.errand], "what the first one says is void"


def test_who_gets_it_back_is_told_again_too(relay: CustodyDriver) -> None:
    """Or its Done for the first, which it came to when it had nothing, would be taken for both."""
    relay.call_on(5)
    relay.cut_over()
    relay.line(notification("notifications/cancelled", requestId=5))
    ((_, first),) = told(relay)
    relay.control("rollback", 8)
    relay.frozen("files")
    ((generation, again),) = told(relay)
    assert generation == 1 and again.errand != first.errand
    relay.frame(v1.Done(first.errand), b"", 1)
    assert list(relay.state.errands) == [again.errand]


def test_what_came_with_a_backend_that_is_refused_is_not_done(relay: CustodyDriver) -> None:
    relay.call_on(5)
    relay.cut_over()
    relay.frozen("files")
    relay.line(notification("notifications/cancelled", requestId=5))
    ((_, message),) = told(relay)
    relay.adopted("files", 2, "no room")
    relay.frame(v1.Done(message.errand), b"", 2)
    relay.kill(2, {})
    ((generation, again),) = told(relay)
    assert (generation, again.call, again.backend) == (1, 1, "files")


def test_what_was_done_before_a_backend_came_is_done(relay: CustodyDriver) -> None:
    """A call that waits for it there: nothing need be told."""
    relay.cut_over()
    message = begun(relay)
    relay.frozen("files")
    relay.frame(v1.Done(message.errand), b"", 2)
    assert relay.state.errands == {}


def test_with_a_process_that_is_gone_it_is_void(relay: CustodyDriver) -> None:
    begun(relay)
    relay.cut_over()
    relay.backend_dies("files")
    relay.frame(v1.Frozen("files", 0), b"left", 1)
    assert relay.state.errands == {}


# ---- a death


@pytest.mark.parametrize(
    ("stage", "fate", "again"),
    [
        (None, None, True),
        (Stage.RECEIVED, None, True),
        (Stage.RECEIVED, Fate.CUT, True),
        (Stage.RECEIVED, Fate.UNSURE, True),
        (Stage.RECEIVED, Fate.WHOLE, False),
        (Stage.WRITTEN, None, False),
    ],
)
def test_it_is_told_again_unless_it_is_known_to_be_done(
    relay: CustodyDriver, stage: Stage | None, fate: Fate | None, again: bool
) -> None:
    """In doubt, too: told twice it does no harm, and never told a backend would wait for ever."""
    message = begun(relay)
    records = {"files": Record(message.errand, fate, torn=False)} if fate else {}
    relay.kill(1, {message.errand: stage} if stage else {message.call: Stage.WRITTEN}, records)
    relay.revive(2)
    assert [(g, m.call, m.backend) for g, m in told(relay)] == again * [(2, 1, "files")]
    assert len(relay.state.errands) == again


@pytest.mark.parametrize(
    ("stages", "fate", "again"),
    [
        ({}, None, False),
        ({1: Stage.RECEIVED}, None, False),
        ({1: Stage.WRITTEN}, None, True),
        ({2: Stage.RECEIVED}, None, True),
        ({2: Stage.RECEIVED}, Fate.CUT, False),
        ({2: Stage.RECEIVED}, Fate.UNSURE, True),
        (None, None, True),
        (None, Fate.CUT, False),
    ],
)
def test_what_never_came_to_a_backend_is_not_cancelled_there(
    relay: CustodyDriver, stages: dict[int, int] | None, fate: Fate | None, again: bool
) -> None:
    """The call is number 1, its cancellation 2; a worker that has taken that knows 1 no more."""
    message = begun(relay)
    assert (message.call, message.errand) == (1, 2)
    relay.kill(1, stages, {"files": Record(1, fate, torn=False)} if fate else {})
    relay.revive(2)
    assert len(told(relay)) == len(relay.state.errands) == again


@pytest.mark.parametrize("how", ["swap", "crash", "begun"])
def test_what_another_worker_may_have_given_it_is_cancelled(relay: CustodyDriver, how: str) -> None:
    """The ledger of the last one says nothing of that."""
    number = relay.call_on(5)[1]
    if how == "swap":
        relay.cut_over()
        relay.hand_over("files")
    elif how == "crash":
        relay.kill(1, {number: Stage.WRITTEN})
        relay.revive(2)
    else:
        relay.frame(v1.Begun(number), b"", 1)
    last = 1 if how == "begun" else 2
    relay.line(notification("notifications/cancelled", requestId=5))
    told(relay)
    relay.kill(last, {})
    relay.revive(last + 1)
    assert [m.call for _, m in told(relay)] == [number]


def test_there_is_a_limit_to_them(relay: CustodyDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errands, "ERRANDS_MAX", 2)
    for key in range(3):
        relay.call_on(key)
        relay.line(notification("notifications/cancelled", requestId=key))
    assert len(relay.state.errands) == 2 and relay.state.requests == {}
    (log,) = [one for one in relay.take(effects.Log) if "ERRANDS_MAX" in one.text]
    assert log.level == "warning"


def test_without_a_ledger_all_is_told_again(relay: CustodyDriver) -> None:
    begun(relay)
    relay.kill(1, None)
    relay.revive(2)
    assert len(told(relay)) == 1


def test_one_that_was_carried_is_told_if_its_worker_dies(relay: CustodyDriver) -> None:
    """The custody it was in is gone."""
    message = begun(relay)
    relay.cut_over()
    relay.frozen("files", unsent=[message.errand])
    relay.kill(2, {})
    assert [(g, m.call) for g, m in told(relay)] == [(1, 1)]


def test_with_a_backend_that_cannot_go_on_it_is_void(relay: CustodyDriver) -> None:
    relay.charge("files").joined = b""
    begun(relay)
    relay.kill(1, {})
    assert relay.state.errands == {}


def test_with_a_backend_nobody_wants_it_is_void(relay: CustodyDriver) -> None:
    begun(relay)
    relay.swap()
    relay.warm(2, backends=[])
    relay.kill(1, {})
    assert relay.active == 2 and relay.state.errands == {}


def test_one_that_waits_for_a_backend_nobody_wants_is_void(relay: CustodyDriver) -> None:
    number = relay.call_on(5)[1]
    relay.kill(1, {number: Stage.WRITTEN})
    relay.line(notification("notifications/cancelled", requestId=5))
    assert len(relay.state.errands) == 1
    relay.swap()
    relay.warm(2, backends=[])
    assert relay.state.errands == {}


def test_whose_it_is_may_be_known_later(relay: CustodyDriver) -> None:
    """Cancelled before its worker said whose it is."""
    relay.line(request(5, "resources/read", uri="file:///unlisted"))
    relay.line(notification("notifications/cancelled", requestId=5))
    relay.frame(v1.Routed(1, "files"), b"", 1)
    relay.wanted.clear()
    relay.kill(1, {1: Stage.WRITTEN})
    relay.revive(2)
    assert [(g, m.call, m.backend) for g, m in told(relay)] == [(2, 1, "files")]
