"""The table of what is found when a worker is killed: what goes on, what is given on, and what
nobody can know. Every row, for tools that may be repeated and for those that may not.
"""

import pytest

from relay_supervisor.core import effects, events
from relay_supervisor.core.state import Hold, Phase
from relay_supervisor.wire import v1
from relay_supervisor.wire.ledger import Stage
from relay_supervisor.wire.mailbox import Fate, Record
from tests.unit.relay_supervisor.core.custody_driver import CustodyDriver
from tests.unit.relay_supervisor.core.driver import request
from tests.unit.relay_supervisor.core.test_calls_limits import text_of

UNSAFE, SAFE = "files__read", "files__list"
tools = pytest.mark.parametrize("tool", [UNSAFE, SAFE])


@pytest.fixture
def relay() -> CustodyDriver:
    driver = CustodyDriver()
    driver.serve(elicitation={})
    return driver


def writing(number: int, fate: Fate, *, torn: bool = False) -> dict[str, Record]:
    """What the mailbox of `files` says of a call."""
    return {"files": Record(number, fate, torn)}


def next_worker(relay: CustodyDriver, generation: int = 2) -> list[tuple[int, v1.Adopt, bytes]]:
    """The next one comes up; returns what it is given."""
    relay.revive(generation)
    return relay.given()


# ---- rows of the table


@tools
@pytest.mark.parametrize("stage", [None, Stage.RECEIVED])
@pytest.mark.parametrize("record", [None, Fate.CUT])
def test_what_is_certainly_not_whole_is_given_to_the_next_worker(
    relay: CustodyDriver, tool: str, stage: Stage | None, record: Fate | None
) -> None:
    _, number = relay.call_on(5, tool)
    records = writing(number, record, torn=True) if record else {}
    relay.kill(1, {number: stage} if stage else {}, records)
    assert relay.client() == [] and relay.state.requests[5].phase is Phase.HELD
    ((_, adopt, _),) = [given for given in next_worker(relay) if given[1].backend == "files"]
    assert adopt.crashed and adopt.calls == []
    ((generation, again),) = relay.to_worker(v1.Call)
    assert (generation, again.attempt) == (2, 2) and again.call > number
    assert relay.state.counts.unknown_outcome == relay.state.counts.retried == 0


@tools
@pytest.mark.parametrize("found", ["in the ledger", "in the record"])
def test_what_is_written_to_a_backend_that_lives_goes_on(
    relay: CustodyDriver, tool: str, found: str
) -> None:
    _, number = relay.call_on(5, tool)
    whole = found == "in the record"
    stage = Stage.RECEIVED if whole else Stage.WRITTEN
    relay.kill(1, {number: stage}, writing(number, Fate.WHOLE) if whole else {})
    assert relay.client() == [] and relay.take(effects.CloseStdin) == []
    gifts = {adopt.backend: (to, adopt, left) for to, adopt, left in next_worker(relay)}
    to, adopt, left = gifts["files"]
    assert (to, adopt.pid, adopt.crashed, left) == (2, relay.pid_of["files"], True, b"joined")
    assert adopt.calls == [v1.Call(number, "tools/call", tool, v1.LEGACY)]
    assert relay.frames(v1.Call) == []
    relay.adopted("files")
    relay.reply(number, b'"result":"of the first"}', generation=2)
    assert [a["result"] for a in relay.client()] == ["of the first"]
    relay.reply(number, b'"result":"told again"}', generation=2)
    assert relay.client() == []


@tools
@pytest.mark.parametrize("ledger", ["in doubt", "not known"])
def test_what_may_be_whole_is_repeated_once_or_unknown(
    relay: CustodyDriver, tool: str, ledger: str
) -> None:
    _, number = relay.call_on(5, tool)
    if ledger == "in doubt":
        relay.kill(1, {number: Stage.RECEIVED}, writing(number, Fate.UNSURE))
    else:
        relay.kill(1, None)
    if tool == UNSAFE:
        (answer,) = relay.client()
        assert "outcome is unknown" in text_of(answer) and "worker died" in text_of(answer)
        assert relay.state.counts.unknown_outcome == 1
        return
    assert relay.state.counts.retried == 1
    next_worker(relay)
    assert relay.one(v1.Call).attempt == 2


@tools
def test_what_was_written_to_a_backend_nobody_can_go_on_with_is_unknown(
    relay: CustodyDriver, tool: str
) -> None:
    relay.charge("files").joined = b""  # its handshake is not complete
    _, number = relay.call_on(5, tool)
    relay.kill(1, {number: Stage.WRITTEN})
    assert bool(relay.client()) is (tool == UNSAFE)
    assert relay.take(effects.CloseStdin) == [effects.CloseStdin(relay.pid_of["files"])]


def test_at_most_one_call_is_in_doubt_for_each_backend(relay: CustodyDriver) -> None:
    files = [relay.call_on(key)[1] for key in range(5)]
    slow = [relay.call_on(f"s{key}", "slow__think")[1] for key in range(5)]
    stages = dict.fromkeys([*files[:4], *slow[:4]], int(Stage.WRITTEN))
    records = {
        "files": Record(files[4], Fate.UNSURE, torn=False),
        "slow": Record(slow[4], Fate.UNSURE, torn=True),
    }
    relay.kill(1, stages, records)
    assert relay.state.counts.unknown_outcome == len(relay.client()) == 2
    assert set(relay.state.calls) == {*files[:4], *slow[:4]}


def test_what_a_worker_before_had_written_is_written(relay: CustodyDriver) -> None:
    """One that is killed right after it was given a backend has noted nothing of its calls yet."""
    written, unsent = relay.call_on(5)[1], relay.call_on(6)[1]
    relay.cut_over()
    relay.frozen("files", unsent=[unsent])
    relay.given()
    relay.kill(2, {})
    assert relay.client() == []
    ((generation, again),) = relay.to_worker(v1.Call)
    assert generation == 1 and again.attempt == 2 and unsent not in relay.state.calls
    ((to, adopt, _),) = relay.given()
    assert to == 1 and [c.call for c in adopt.calls] == [written]


def test_a_call_that_nobody_had_routed_is_not_repeated_while_it_is_being_written(
    relay: CustodyDriver,
) -> None:
    """Its backend is not known yet, but its number is in one of the mailboxes."""
    relay.line(request(5, "resources/subscribe", uri="file:///unlisted"))
    number = relay.one(v1.Call).call
    relay.kill(1, {number: Stage.RECEIVED}, writing(number, Fate.UNSURE))
    (answer,) = relay.client()
    assert "outcome is unknown" in answer["error"]["message"]
    next_worker(relay)
    assert relay.frames(v1.Call) == []


def test_records_of_backends_that_others_have_say_nothing(relay: CustodyDriver) -> None:
    relay.cut_over()
    relay.hand_over("files")
    number = relay.call_on(5)[1]
    relay.kill(1, {}, writing(number, Fate.CUT))
    assert number in relay.state.calls and relay.state.calls[number].generation == 2


# ---- who is heard until it is dead


@pytest.fixture
def given_up(relay: CustodyDriver) -> CustodyDriver:
    """A worker that was given up, and is not proven dead yet; it has a call at `files`."""
    relay.call_on(5)
    relay.do(events.WorkerPipeFailed(1, "rubbish"))
    relay.wanted.clear()
    return relay


def test_nothing_is_adopted_before_the_death_is_proven(given_up: CustodyDriver) -> None:
    given_up.revive(2)
    assert given_up.given() == [] and given_up.hold("files") == (Hold.HELD, 1)
    assert given_up.one(v1.Await).backends == ["files", "slow"]
    given_up.kill(1, {})
    assert len(given_up.given()) == 2


def test_an_answer_still_counts(given_up: CustodyDriver) -> None:
    given_up.reply(next(iter(given_up.state.calls)), generation=1)
    assert len(given_up.client()) == 1


def test_what_it_has_passed_on_nobody_tells_again(given_up: CustodyDriver) -> None:
    pid = given_up.pid_of["files"]
    news = v1.Notification("files", "notifications/message", pid, 0)
    given_up.frame(news, b'{"level":"info","data":1}', 1)
    assert [m["method"] for m in given_up.client()] == ["notifications/message"]
    given_up.kill(1, {})
    given_up.revive(2)
    given_up.adopted("files")
    given_up.frame(news, b'{"level":"info","data":1}', 2)
    assert given_up.client() == []


def test_what_it_gives_back_is_given_back(relay: CustodyDriver) -> None:
    """It may have forgotten the calls by now: without this a written one would be sent again."""
    _, number = relay.call_on(5)
    relay.cut_over()
    relay.do(events.WorkerPipeFailed(1, "rubbish"))
    relay.frozen("files")
    relay.kill(1, {})
    assert relay.frames(v1.Call) == [] and relay.client() == []
    assert relay.state.calls[number].generation == 2


def test_an_old_worker_has_only_answers_to_give_any_more() -> None:
    relay = CustodyDriver()
    relay.swap_from_an_old_worker()
    relay.do(events.WorkerPipeFailed(1, "rubbish"))
    relay.client()
    relay.frame(v1.Notification("files", "notifications/message"), b'{"level":"info"}', 1)
    assert relay.client() == []
