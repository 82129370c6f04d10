"""What the next worker makes of a backend whose worker was killed, and of what it cannot use."""

import json

import pytest

from relay_supervisor.wire import v1
from relay_supervisor.wire.custody import Custody, encode
from relay_supervisor.wire.ledger import Stage as Reached
from relay_worker import lists as raw_lists
from relay_worker.backends.base import State
from tests.unit.relay_worker.backends.handing import (
    Make,
    custody_of,
    descriptors,
    hand,
    heir,
    replies,
)
from tests.unit.relay_worker.backends.stage import Process, Stage

# ---- after a kill -------------------------------------------------------------------------------


def killed(one: Stage) -> bytes:
    """Forget a worker as it is; return with what the next one has to go on."""
    connection = one.backend._connection
    assert connection is not None
    connection._transport._mailbox._open = False  # nothing is stored any more
    return one.payloads[v1.Joined]


def test_what_was_read_and_not_passed_on_is_passed_on_by_the_next(stage: Make) -> None:
    one, two = stage(), heir(stage)
    process = one.connect(tools=({"name": "t"},))
    two.backend.lists = one.backend.lists
    process.heard()
    transport = one.backend._connection._transport  # type: ignore[union-attr]
    transport._when_written = lambda _act, _number: None  # the supervisor takes nothing more
    for call in (7, 8):
        one.backend.call(call, "tools/call", b"{}")
    one.turn()
    process.heard()
    process.say(id=7, result={})
    one.turn()
    two.adopt(process, killed(one), 7, 8, crashed=True)
    assert [call for call, _ in replies(two)] == [7]
    assert two.ledger.read() == dict.fromkeys((7, 8), Reached.WRITTEN)
    process.say(id=8, result={})
    two.turn()
    assert [call for call, _ in replies(two)] == [7, 8]


def test_after_a_kill_what_may_not_have_arrived_is_asked_for_again(stage: Make) -> None:
    one, two = stage(), heir(stage)
    for worker in (one, two):
        worker.backend.set_level("error")
        worker.backend.subscribe(frozenset({"a://b"}))
    process = one.connect(({"name": "t"},), logging={}, resources={"subscribe": True})
    two.backend.lists = one.backend.lists
    process.heard()
    joined = custody_of(one, v1.Joined)
    assert (joined.phase, joined.level, joined.subscribed) == ("ready", "error", ["a://b"])
    found = raw_lists.decode(joined.found)
    assert found is not None and found.tools == [] and b"logging" in found.capabilities
    assert joined.outbox == []
    two.adopt(process, killed(one), crashed=True)
    asked = process.heard()
    assert sorted(message["method"] for message in asked) == [
        "logging/setLevel",
        "resources/list",
        "resources/subscribe",
        "resources/templates/list",
        "tools/list",
    ]
    answers = {"tools/list": {"tools": [{"name": "t"}]}, "resources/list": {"resources": []}}
    for message in asked:
        empty = {"resourceTemplates": []}
        process.say(id=message["id"], result=answers.get(message["method"], empty))
    two.turn()
    assert two.learned_times == 0, "nothing has changed"
    assert two.backend.state is State.READY


def test_where_its_lists_are_not_known_they_are_learned_anew(stage: Make) -> None:
    one, two = stage(), heir(stage)
    process = one.connect(tools=({"name": "t"},))
    process.heard()
    two.adopt(process, killed(one), crashed=True)
    (message,) = process.heard()
    process.say(id=message["id"], result={"tools": [{"name": "t"}]})
    two.turn()
    assert two.backend.lists == one.backend.lists and two.learned_times == 1


def test_a_list_that_cannot_be_fetched_again_stays_as_it_was(stage: Make) -> None:
    one, two = stage(), heir(stage)
    process = one.connect(tools=({"name": "t"},))
    two.backend.lists = one.backend.lists
    process.heard()
    two.adopt(process, killed(one), crashed=True)
    (message,) = process.heard()
    process.say(id=message["id"], error={"code": -1, "message": "not now"})
    two.turn()
    assert two.backend.lists == one.backend.lists and two.learned_times == 0


def test_with_what_to_go_on_is_said_when_it_changes(stage: Make) -> None:
    one = stage()
    one.connect(logging={}, resources={"subscribe": True})
    assert one.count(v1.Joined) == 1
    one.backend.set_level("debug")
    one.backend.set_level("debug")
    one.backend.subscribe(frozenset({"a://b"}))
    one.backend.subscribed("a://c", wanted=True)
    assert one.count(v1.Joined) == 4
    assert custody_of(one, v1.Joined).subscribed == ["a://b", "a://c"]
    assert custody_of(one, v1.Joined).level == "debug"


def test_with_the_same_it_is_said_again_of_another_process_and_by_another_worker(
    stage: Make,
) -> None:
    one, two = stage(), heir(stage)
    process = one.connect()
    hand(one, two, process)
    assert two.count(v1.Joined) == 1
    hand(two, one, process)
    assert one.count(v1.Joined) == 2


# ---- what cannot be -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "crashed", "reason"),
    [
        (b"\xc1", False, "cannot be read"),
        (encode(Custody(phase="broken")), False, "cannot be gone on with"),
        (encode(Custody(phase="of tomorrow")), False, "cannot be gone on with"),
        (encode(Custody(phase="listing")), True, "cannot be gone on with"),
        (encode(Custody(phase="ready")), False, "cannot be gone on with"),
        (encode(Custody(parsed=5)), False, "does not fit"),
    ],
)
def test_what_nobody_can_go_on_with_is_refused(
    stage: Make, payload: bytes, crashed: bool, reason: str
) -> None:
    one = heir(stage)
    process = Process(5000)
    one.processes.append(process)
    before = descriptors()
    one.adopt(process, payload, 7, crashed=crashed)
    (adopted,) = [message for message in one.sent if isinstance(message, v1.Adopted)]
    assert reason in adopted.refusal and one.backend.state is State.AWAITED
    assert one.descriptors.fds == {}, "none is kept, or the process would never see its end"
    assert descriptors() == before
    assert one.told == [] and one.ledger.read() == {} and not one.around.life.groups


def test_after_a_refusal_it_starts_another_process_when_that_one_is_gone(stage: Make) -> None:
    one = heir(stage)
    process = Process(5000)
    one.processes.append(process)
    one.adopt(process, b"\xc1", 7)
    assert "cannot be read" in (one.backend.last_error or "")
    one.backend.adopt(v1.Adopt(0, "fix", 0), b"")
    assert one.count(v1.Spawn) == 1 and one.backend.state is State.SPAWNING
    assert "cannot be read" in (one.backend.last_error or ""), "for status, until there is another"
    assert one.backend.restarts == 1


def test_figures_that_nobody_can_read_are_no_reason_to_refuse(stage: Make) -> None:
    """There is no process: nothing is lost but a few counts."""
    one = heir(stage)
    one.backend.adopt(v1.Adopt(0, "fix", 0), b"\xc1")
    assert one.count(v1.Adopted) == 0 and one.count(v1.Spawn) == 1


def test_without_descriptors_or_unasked_it_is_refused(stage: Make) -> None:
    one, two = heir(stage), stage()
    one.backend.adopt(v1.Adopt(99, "fix", 4711), b"")
    assert one.sent[-1] == v1.Adopted("fix", 4711, "none came")
    two.connect()
    two.backend.adopt(v1.Adopt(99, "fix", 4711), b"")
    refused = two.sent[-1]
    assert isinstance(refused, v1.Adopted) and "nobody has said" in refused.refusal
    assert two.backend.state is State.READY


def test_stderr_that_another_way_brings_is_kept_and_shown(stage: Make) -> None:
    one = stage()
    process = one.connect()
    one.backend.complained(v1.Stderr("fix", process.pid), b"half a li")
    one.backend.complained(v1.Stderr("fix", process.pid), b"ne\n")
    one.backend.complained(v1.Stderr("fix", 1), b"of a dead one\n")
    assert [told[1] for told in one.told] == [b"half a line\n", b"of a dead one\n"]
    one.exit(1)
    assert one.backend.trouble.endswith("half a line")


def test_custody_is_plain_text_for_whoever_reads_it(stage: Make) -> None:
    one = stage()
    process = one.connect()
    process.say(method="notifications/tools/list_changed")
    one.turn()
    one.freeze()
    custody = custody_of(one)
    assert list(custody.pending.values()) == ["tools"] and set(custody.listings) == {"tools"}
    assert json.loads(custody.client)["protocolVersion"] == "2025-11-25"
