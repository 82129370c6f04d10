"""A backend goes from worker to worker with its process running, at every byte and at every message
of its handshake; and nobody touches what is another one's.
"""

import json
import os
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from relay_supervisor.wire import v1
from relay_supervisor.wire.ledger import Stage as Reached
from relay_worker.backends.base import State
from tests.unit.relay_worker.backends.handing import (
    Make,
    custody_of,
    descriptors,
    hand,
    heir,
    replies,
)
from tests.unit.relay_worker.backends.stage import Process

RESULT = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {}}


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
        assert replies(old) + replies(new) == [(7, b'{"text":"\xc3\xa9"}')], cut
        assert ("adopted", open_calls) in new.told
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
    before = descriptors()
    old.turn()
    old.backend.call(8, "tools/call", b"{}")
    old.freeze()
    assert descriptors() == before - 4, "three pipe ends and the mailbox"
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


def test_a_list_that_has_changed_meanwhile_is_fetched_once_more(stage: Make) -> None:
    one, two = stage(), heir(stage)
    process = one.connect()
    process.heard()
    for _ in range(2):
        process.say(method="notifications/tools/list_changed")
        one.turn()
    (first,) = process.heard()
    connection = one.backend._connection
    assert connection is not None and connection._patience._timer is not None
    hand(one, two, process)
    assert connection._patience._timer is None, "nobody waits for it here any more"
    process.say(id=first["id"], result={"tools": [1]})
    two.turn()
    (second,) = process.heard()
    process.say(id=second["id"], result={"tools": [1, 2]})
    two.turn()
    assert two.backend.lists is not None and two.backend.lists.tools == [b"1", b"2"]


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


def test_a_handshake_that_is_taken_over_has_to_end_in_time_too(stage: Make) -> None:
    one, two = stage(), heir(stage, start_timeout_seconds=10.0)
    process = one.start_process()
    hand(one, two, process)
    two.wait(11)
    assert two.backend.state is State.ENDING
    assert two.sent[-1] == v1.StopBackend("fix", process.pid)


def test_one_that_nobody_calls_is_at_once_started_anew_for_another_client(stage: Make) -> None:
    one, two = stage(), heir(stage)
    process = one.connect()
    two.introduce(roots={})
    hand(one, two, process)
    assert two.backend.state is State.STOPPING


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


def test_each_message_says_where_in_the_stream_it_is(stage: Make) -> None:
    """Also of several in one line, and whoever reads it: so what is told again can be told."""
    one, two = stage(), heir(stage)
    process = one.connect()
    before = custody_of(one, v1.Joined) and one.backend._connection
    assert before is not None
    start = before._transport._mailbox.parsed
    one.backend.call(7, "tools/call", b"{}")
    one.turn()
    params = {"progressToken": 7, "progress": 1}
    progress = json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
    batch = f"[{progress},{progress}]\n".encode()
    assert process.stdout is not None
    os.write(process.stdout, batch)
    one.turn()
    hand(one, two, process, 7)
    os.write(process.stdout, batch)
    two.turn()
    second = start + len(batch)
    assert (one.places, two.places) == ([start, start + 1], [second, second + 1])


def test_errands_are_void_when_the_process_ends_before_it_has_them(stage: Make) -> None:
    one = stage()
    process = one.connect()
    process.heard()
    fill(process, 5)
    assert one.backend.answer(process.pid, b'"q"', b'"result":{}}', 71)
    one.turn()
    assert ("done", 71) not in one.told
    one.exit(1)
    assert one.told.count(("done", 71)) == 1
    assert not one.backend.answer(process.pid, b'"q"', b'"result":{}}', 72)
