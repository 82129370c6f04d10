"""A call that its backend has answered by asking for more is never one that no backend has seen,
whatever became of the next time it was given to it.
"""

import pytest

from relay_supervisor.wire import v1
from relay_supervisor.wire.ledger import Stage
from relay_supervisor.wire.mailbox import Fate, Record
from tests.unit.relay_supervisor.core.custody_driver import CustodyDriver
from tests.unit.relay_supervisor.core.test_calls_limits import text_of

UNSAFE, SAFE = "files__read", "files__list"


@pytest.fixture
def relay() -> CustodyDriver:
    driver = CustodyDriver()
    driver.serve(elicitation={})
    return driver


def begin(relay: CustodyDriver, tool: str = UNSAFE) -> int:
    """A call that is to be given to its backend once more."""
    _, number = relay.call_on(5, tool)
    relay.frame(v1.Begun(number))
    return number


@pytest.mark.parametrize("found", ["in the ledger", "in the record", "nowhere"])
def test_one_that_is_cut_off_is_unknown(relay: CustodyDriver, found: str) -> None:
    number = begin(relay)
    stages = {number: Stage.RECEIVED} if found == "in the ledger" else {}
    records = {"files": Record(number, Fate.CUT, True)} if found == "in the record" else {}
    relay.kill(1, stages, records)
    (answer,) = relay.client()
    assert "outcome is unknown" in text_of(answer)


def test_what_may_be_repeated_is(relay: CustodyDriver) -> None:
    number = begin(relay, SAFE)
    relay.kill(1, {}, {"files": Record(number, Fate.CUT, True)})
    assert relay.client() == [] and relay.state.counts.retried == 1


def test_one_that_is_written_goes_on(relay: CustodyDriver) -> None:
    number = begin(relay)
    relay.kill(1, {number: Stage.WRITTEN})
    assert relay.client() == [] and relay.state.calls[number].generation == 0


def test_it_stays_so_under_the_next_worker(relay: CustodyDriver) -> None:
    number = begin(relay)
    relay.cut_over()
    relay.frozen("files", unsent=[number])
    relay.adopted("files")
    relay.kill(2, {number: Stage.RECEIVED})
    (answer,) = relay.client()
    assert "outcome is unknown" in text_of(answer)


def test_only_who_has_it_says_so(relay: CustodyDriver) -> None:
    _, number = relay.call_on(5, UNSAFE)
    relay.cut_over()
    relay.frame(v1.Begun(number), b"", 2)
    relay.frame(v1.Begun(999))
    assert not relay.state.calls[number].begun


@pytest.mark.parametrize("known", [True, False])
def test_that_a_worker_before_had_written_it_says_nothing_any_more(
    relay: CustodyDriver, *, known: bool
) -> None:
    """The next worker would wait for the answer to what was never written."""
    _, number = relay.call_on(5, UNSAFE)
    relay.cut_over()
    relay.hand_over("files")
    relay.frame(v1.Begun(number), b"", 2)
    relay.kill(2, {} if known else None)
    (answer,) = relay.client()
    assert "outcome is unknown" in text_of(answer)


def test_nor_does_it_where_the_ledger_knows_better(relay: CustodyDriver) -> None:
    """The worker is killed before it has said that it begins once more."""
    _, number = relay.call_on(5, UNSAFE)
    relay.cut_over()
    relay.hand_over("files")
    relay.kill(2, {number: Stage.WRITING})
    (answer,) = relay.client()
    assert "outcome is unknown" in text_of(answer)
