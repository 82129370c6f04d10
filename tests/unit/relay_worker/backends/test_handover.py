"""A backend goes from worker to worker with its process running: at every byte, at every message of
its handshake, in every state; and nobody touches what is another one's.
"""

import json
import os
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from relay_supervisor.wire import v1
from relay_supervisor.wire.custody import Custody, decode, encode
from relay_supervisor.wire.ledger import Stage as Reached
from relay_worker.backends.base import State
from tests.unit.relay_worker.backends.stage import Process, Stage

Make = Callable[..., Stage]
RESULT = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {}}


def custody_of(stage: Stage, kind: type[v1.Message] = v1.Frozen) -> Custody:
    custody = decode(stage.payloads[kind])
    assert custody is not None
    return custody


def heir(stage: Make, **plan: Any) -> Stage:
    """A worker that waits for the backend."""
    one = stage(client=False, generation=4, **plan)
    one.backend.expect()
    one.introduce()
    assert one.backend.state is State.AWAITED and one.sent == []
    return one


def hand(giver: Stage, taker: Stage, process: Process, *calls: int) -> v1.Frozen:
    """Have a process go from one worker to another."""
    frozen = giver.freeze()
    assert frozen.pid == process.pid and giver.backend.state is State.AWAITED
    taker.adopt(process, giver.payloads[v1.Frozen], *calls)
    assert taker.sent.count(v1.Adopted("fix", process.pid)) == giver.count(v1.Frozen)
    return frozen


def replies(stage: Stage) -> list[tuple[int, bytes]]:
    return [told[1:] for told in stage.told if told[0] == "replied"]


# ---- what is under way --------------------------------------------------------------------------


def test_a_reply_that_is_cut_anywhere_reaches_the_client_once(stage: Make) -> None:
    line = b'{"jsonrpc":"2.0","id":7,"result":{"text":"\xc3\xa9"}}\n'
    for cut in range(len(line) + 1):
        old, new = stage(), heir(stage)
        process = old.connect()
        old.backend.call(7, "tools/call", b"{}")
        old.turn()
        assert process.stdout is not None
        os.write(process.stdout, line[:cut])
        old.turn()
        open_calls = [] if replies(old) else [7]
        hand(old, new, process, *open_calls)
        assert new.backend.state is State.READY
        os.write(process.stdout, line[cut:])
        new.turn()
        old.turn()
        assert replies(old) + replies(new) == [(7, line[:-1])], cut
        assert bool(replies(old)) == (cut == len(line))


@pytest.mark.parametrize("room", [1, 2, 20, 500, 4095])
def test_a_call_that_is_half_written_is_written_to_its_end(stage: Make, room: int) -> None:
    old, new = stage(), heir(stage)
    process = old.connect()
    process.heard()
    inside = fill(process, room)
    around_text = len(b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"text":""}}')
    # Of a write a pipe takes what is beyond whole pages, if its last page has room for that.
    text = "x" * (8192 + room + 1 - around_text)
    for call in (7, 8):
        old.ledger.take(call)
        old.backend.call(call, "tools/call", b'{"text":"%b"}' % text.encode())
    old.turn()
    frozen = hand(old, new, process, 7, 8)
    assert frozen.unsent == [7, 8] and custody_of(old).sent == room
    assert new.ledger.read() == dict.fromkeys((7, 8), Reached.RECEIVED)
    while new.backend._connection and new.backend._connection._transport._queue.size:
        process._rest += os.read(process.stdin or 0, 1 << 20)
        new.turn()
    process._rest = process._rest[inside:]
    assert [(one["id"], one["params"]["text"]) for one in process.heard()] == [(7, text), (8, text)]
    assert new.ledger.read() == dict.fromkeys((7, 8), Reached.WRITTEN)


def fill(process: Process, room: int) -> int:
    """Leave so much room in its stdin."""
    fd, size = process.kept[0], 0
    os.set_blocking(fd, False)
    try:
        while True:
            size += os.write(fd, b" " * 4096)
    except BlockingIOError:
        pass
    size -= len(os.read(process.stdin or 0, 4096))
    return size + os.write(fd, b" " * (4096 - room))


def test_calls_leave_the_ledger_when_the_word_of_it_has_arrived(stage: Make) -> None:
    marks: list[Callable[[], None]] = []
    old = stage()
    process = old.connect()
    for call in (7, 8):
        old.ledger.take(call)
        old.backend.call(call, "tools/call", b"{}")
    old.turn()
    old.backend._around = msgspec.structs.replace(
        old.around, when_written=lambda act, number: marks.append(lambda: act(number))
    )
    process.say(method="notifications/x")
    frozen = old.freeze()
    assert frozen.unsent == [] and old.told[-1] == ("frozen", [7, 8])
    assert set(old.ledger.read()) == {7, 8}
    while marks:
        marks.pop()()
    assert old.ledger.read() == {}


def test_after_that_nothing_of_it_is_touched(stage: Make) -> None:
    old = stage()
    process = old.connect()
    kept: list[Callable[[], None]] = []
    transport = old.backend._connection._transport  # type: ignore[union-attr]
    transport._when_written = lambda act, number: kept.append(lambda: act(number))
    old.backend.call(7, "tools/call", b"{}")
    process.say(id=7, result={})
    before = len(os.listdir("/dev/fd"))
    old.turn()
    old.backend.call(8, "tools/call", b"{}")
    old.freeze()
    assert len(os.listdir("/dev/fd")) == before - 4, "three pipe ends and the mailbox"
    assert process.pid not in old.around.life.groups and old.backend.pid is None
    mailbox = os.pread(process.kept[3], 4096, 0)
    process.say(id=8, result={})
    process.heard()
    for act in kept:
        act()
    old.backend.pause(paused=True)
    old.backend.pause(paused=False)
    old.backend.cancel(8, b"{}")
    old.wait(1000)
    assert os.pread(process.kept[3], 4096, 0) == mailbox
    assert process.heard() == [] and len(replies(old)) == 1


def test_a_call_of_its_own_is_no_longer_waited_for(stage: Make) -> None:
    old, new = stage(), heir(stage)
    process = old.connect()
    process.heard()
    fill(process, 5)
    old.backend.call(-9, "tools/call", b"{}")
    old.turn()
    frozen = hand(old, new, process)
    assert frozen.unsent == [] and old.told[-1] == ("frozen", [-9])
    assert [unsent.number for unsent in custody_of(old).outbox] == [0]


def test_errands_that_are_not_written_go_along(stage: Make) -> None:
    old, new = stage(), heir(stage)
    process = old.connect()
    process.heard()
    inside = fill(process, 5)
    old.backend.call(7, "tools/call", b"{}")
    assert old.backend.cancel(7, b'{"requestId":7}', 70)
    assert old.backend.answer(process.pid, b'"q"', b'"result":{}}', 71)
    old.turn()
    frozen = hand(old, new, process)
    assert frozen.unsent == [70, 71], "the call is cancelled"
    assert new.ledger.read() == dict.fromkeys((70, 71), Reached.RECEIVED)
    process._rest += os.read(process.stdin or 0, 1 << 20)
    new.turn()
    process._rest = process._rest[inside:]
    assert [one.get("method") for one in process.heard()] == [
        "tools/call",
        "notifications/cancelled",
        None,
    ]
    assert [told for told in new.told if told[0] == "done"] == [("done", 70), ("done", 71)]
    assert not new.backend.answer(process.pid + 1, b'"q"', b"", 72), "void: the process is gone"
    assert not old.backend.cancel(7, b"{}", 73)


# ---- the conversation ---------------------------------------------------------------------------


def test_it_moves_between_any_two_messages_of_the_handshake(stage: Make) -> None:
    one = stage()
    process = one.start_process()
    asked: list[dict[str, Any]] = []
    answers = 0
    workers = [one]
    while one.backend.state is not State.READY:
        other = heir(stage)
        workers.append(other)
        hand(one, other, process)
        one = other
        asked += [message for message in process.heard() if "id" in message]
        if asked:
            request = asked.pop(0)
            page = {"tools": [{"name": f"t{answers}"}], "nextCursor": f"c{answers}"}
            last = {"tools": [{"name": "last"}]}
            result = RESULT if request["method"] == "initialize" else page if answers < 3 else last
            process.say(id=request["id"], result=result)
            answers += 1
            one.turn()
    assert one.backend.lists is not None and len(one.backend.lists.tools) == 3
    assert answers == 4, "nothing was asked twice"
    assert len(workers) > 4


def test_what_it_asks_for_itself_never_has_the_id_of_another_question(stage: Make) -> None:
    one, two = stage(), heir(stage)
    process = one.connect()
    process.heard()
    ids = []
    for giver, taker in ((one, two), (two, one), (one, two)):
        process.say(method="notifications/tools/list_changed")
        giver.turn()
        ids += [message["id"] for message in process.heard()]
        taker.sent.clear()
        giver.sent.clear()
        hand(giver, taker, process)
        process.say(id=ids[-1], result={"tools": [{"name": f"n{len(ids)}"}]})
        taker.turn()
        assert taker.backend.lists is not None
        assert taker.backend.lists.tools == [b'{"name": "n%d"}' % len(ids)]
    assert len(set(ids)) == 3


def test_level_and_subscriptions_are_said_again_only_where_they_differ(stage: Make) -> None:
    one, two = stage(), heir(stage)
    for worker in (one, two):
        worker.backend.set_level("error")
        worker.backend.subscribe(frozenset({"a://b"}))
    process = one.connect(logging={}, resources={"subscribe": True})
    process.heard()
    hand(one, two, process)
    assert process.heard() == []
    one.backend.set_level("debug")
    one.backend.subscribe(frozenset({"a://c"}))
    hand(two, one, process)
    assert [(m["method"], m["params"]) for m in process.heard()] == [
        ("logging/setLevel", {"level": "debug"}),
        ("resources/subscribe", {"uri": "a://c"}),
        ("resources/unsubscribe", {"uri": "a://b"}),
    ]


def test_one_that_was_greeted_for_another_client_is_started_anew(stage: Make) -> None:
    one, two = stage(), heir(stage)
    process = one.connect()
    two.introduce(roots={})
    one.backend.call(7, "tools/call", b"{}")
    one.turn()
    hand(one, two, process, 7)
    assert two.backend.state is State.READY, "not under a call"
    process.say(id=7, result={})
    two.turn()
    two.introduce(roots={})
    assert two.backend.state is State.STOPPING


def test_figures_go_along(stage: Make) -> None:
    one, two = stage(), heir(stage)
    one.connect()
    one.exit(3)
    one.wait(1.1)
    process = one.connect()
    os.write(process.stdout or 0, b"noise\n")
    one.turn()
    hand(one, two, process)
    backend = two.backend
    assert (backend.restarts, backend.last_error) == (1, "it exited with status 3")
    assert backend.skipped_lines == one.backend.skipped_lines == 1
    assert process.pid in two.around.life.groups and backend.pid == process.pid


# ---- in every state -----------------------------------------------------------------------------


def given_back(one: Stage, pid: int = 0) -> None:
    assert one.backend.state is State.AWAITED and one.count(v1.Frozen) == 1
    assert one.sent[-1] == v1.Frozen("fix", pid)
    one.wait(1000)
    assert one.backend.state is State.AWAITED, "no timer is left"
    spawns = one.count(v1.Spawn)
    one.backend.want()
    assert one.count(v1.Spawn) == spawns


def test_while_it_is_being_started(stage: Make) -> None:
    one, two = stage(), heir(stage)
    one.backend.freeze()
    assert one.backend.state is State.LEAVING and one.count(v1.Frozen) == 0
    process = one.start_process()
    given_back(one, process.pid)
    two.adopt(process, one.payloads[v1.Frozen])
    assert process.heard()[0]["method"] == "initialize"
    assert two.backend.state is State.CONNECTING


def test_while_it_is_being_refused(stage: Make) -> None:
    one = stage()
    one.backend.freeze()
    one.refuse()
    given_back(one)


def test_though_its_descriptors_do_not_come(stage: Make) -> None:
    one = stage()
    one.backend.freeze()
    one.backend.spawned(v1.Spawned(one.spawn.token, "fix", 4711))
    given_back(one, 4711)


def test_while_it_stops(stage: Make) -> None:
    one = stage()
    one.connect()
    one.introduce(roots={})
    assert one.backend.state is State.STOPPING
    one.backend.freeze()
    one.backend.freeze()
    assert one.count(v1.Frozen) == 0
    one.exit(0)
    given_back(one)


@pytest.mark.parametrize("lingers", [False, True])
def test_while_it_falls(stage: Make, lingers: bool) -> None:
    one = stage()
    process = one.connect()
    one.backend.call(7, "tools/call", b"{}")
    one.turn()
    process.heard()
    process.close("stdout")
    one.turn()
    assert one.backend.state is State.FALLEN
    if lingers:
        one.wait(0.11)
        assert one.backend.state is State.ENDING
    one.backend.freeze()
    assert one.count(v1.Frozen) == 0 and one.count(v1.StopBackend) == 1
    if lingers:
        one.wait(0.6)
        assert one.told == [("lost", [7], "it closed its output")]
    one.exit(-15)
    assert [told[:2] for told in one.told] == [("lost", [7]), ("frozen", [])]
    given_back(one)


def test_while_it_waits_for_its_next_start(stage: Make) -> None:
    one, two = stage(), heir(stage)
    one.connect()
    one.exit(1)
    assert one.backend.state is State.BACKING_OFF
    one.backend.freeze()
    given_back(one)
    two.backend.adopt(v1.Adopt(0, "fix", 0), one.payloads[v1.Frozen])
    assert two.backend.state is State.SPAWNING
    assert two.backend.last_error == "it exited with status 1"


def test_where_it_has_failed_sleeps_or_is_switched_off(stage: Make) -> None:
    failed = stage(argv=("nothing-such",))
    assert failed.backend.state is State.FAILED
    failed.backend.freeze()
    given_back(failed)
    idle = stage(client=False)
    idle.backend.freeze()
    given_back(idle)
    disabled = stage(enabled=False)
    disabled.backend.freeze()
    assert disabled.sent == [v1.Frozen("fix", 0)]
    disabled.backend.adopt(v1.Adopt(0, "fix", 0), b"")
    assert disabled.backend.state is State.DISABLED and disabled.count(v1.Spawn) == 0


def test_what_is_given_without_a_process_is_started_as_usual(stage: Make) -> None:
    lazy = heir(stage, lazy=True)
    known = stage()
    known.connect()
    lazy.backend.lists = known.backend.lists
    lazy.backend.want()
    assert lazy.backend.state is State.AWAITED and not lazy.backend.learning
    lazy.backend.adopt(v1.Adopt(0, "fix", 0), b"")
    assert lazy.backend.state is State.IDLE
    nobody = stage(client=False)
    nobody.backend.expect()
    nobody.backend.adopt(v1.Adopt(0, "fix", 0), b"")
    assert nobody.backend.state is State.IDLE and nobody.sent == []


def test_one_whose_process_has_died_in_between(stage: Make) -> None:
    one, two = stage(), heir(stage)
    process = one.connect()
    for call in (7, 8):
        one.backend.call(call, "tools/call", b"{}")
    one.turn()
    process.heard()
    process.say(id=7, result={})
    one.freeze()
    process.close()
    two.adopt(process, one.payloads[v1.Frozen], 7, 8)
    two.backend.exited(v1.Exited("fix", process.pid, -9))
    assert [told[:2] for told in two.told if told[0] in {"replied", "lost"}] == [
        ("replied", 7),
        ("lost", [8]),
    ]
    assert two.backend.state is State.BACKING_OFF


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
    assert joined.found == b"" and joined.outbox == []
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
    one.adopt(process, payload, 7, crashed=crashed)
    (adopted,) = [message for message in one.sent if isinstance(message, v1.Adopted)]
    assert reason in adopted.refusal and one.backend.state is State.AWAITED
    for ends in one.descriptors.fds.values():
        ends.close()
    assert one.told == [] and one.ledger.read() == {} and not one.around.life.groups


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
