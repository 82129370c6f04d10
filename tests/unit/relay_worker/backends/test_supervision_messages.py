"""What passes between a backend and the relay while it runs, on a clock of our own."""

import os
from collections.abc import Callable

from relay_worker.backends.base import State
from tests.unit.relay_worker.backends.stage import Stage

Make = Callable[..., Stage]


def test_messages_both_ways(stage: Make) -> None:
    one = stage(client=False)
    one.introduce(sampling={}, roots={})
    process = one.connect()
    process.heard()
    one.backend.call(7, "tools/call", b'{"a":1}')
    one.backend.cancel(7, b'{"requestId":7}')
    one.backend.cancel(7, b'{"requestId":7}')
    process.say(id=7, result={})
    process.say(id="q", method="sampling/createMessage", params={})
    process.say(method="notifications/progress", params={"progressToken": 7, "progress": 1})
    one.turn()
    assert one.told == [("asked", process.pid, b'"q"', "sampling/createMessage", b"")]
    one.backend.answer(process.pid, b'"q"', b'"result":{}}')
    one.backend.answer(process.pid + 1, b'"q"', b'"result":{}}')
    one.backend.notify("notifications/roots/list_changed", b"", "roots")
    one.backend.notify("notifications/x", b"{}", "elicitation")
    one.turn()
    assert [(m.get("method"), m.get("id")) for m in process.heard()] == [
        ("tools/call", 7),
        ("notifications/cancelled", None),
        (None, "q"),
        ("notifications/roots/list_changed", None),
    ]


def test_the_last_lines_of_stderr_are_in_the_trouble(stage: Make) -> None:
    one = stage()
    process = one.start_process()
    lines = b"".join(b"line %d\n" % number for number in range(20))
    os.write(process.stderr, lines)
    one.exit(1)
    assert one.backend.trouble == (
        "Backend 'fix' is not ready (backing_off): it exited with status 1\n"
        "Its last lines on stderr:\nline 15\nline 16\nline 17\nline 18\nline 19"
    )
    assert ("stderr", lines) in one.told


def test_a_list_that_is_not_answered_is_given_up_in_time(stage: Make) -> None:
    one = stage()
    process = one.connect()
    process.heard()
    process.say(method="notifications/tools/list_changed")
    one.turn()
    assert [message["method"] for message in process.heard()] == ["tools/list"]
    one.wait(31)
    process.say(method="notifications/tools/list_changed")
    one.turn()
    (request,) = process.heard()
    process.say(id=request["id"], result={"tools": [1]})
    one.turn()
    assert one.backend.lists is not None and one.backend.lists.tools == [b"1"]
    one.wait(100)
    assert one.backend.state is State.READY


def test_an_oversized_reply_is_told_by_its_id_or_by_there_being_one_call(stage: Make) -> None:
    one = stage()
    process = one.connect()
    process.heard()
    for call in (7, 8, 9):
        one.backend.call(call, "tools/call", b"{}")
    junk = "x" * 30_000

    process.say_in_pieces(one.turn, id=8, result=[junk] * 5)
    process.say_in_pieces(one.turn, result=[junk] * 5, id=7)
    process.say_in_pieces(one.turn, id="other", result=[junk] * 5)
    assert [told for told in one.told if told[0] == "unusable"] == [
        ("unusable", 8),
        ("unusable", 7),
        ("unusable", 9),
    ]
    assert one.backend.skipped_lines == 3


def test_progress_of_a_call_that_is_over_may_be_a_tasks(stage: Make) -> None:
    """Where there are any; and it is not for us to know whose."""
    for declared, told in (({}, []), ({"tasks": {}}, [("progressed", 7, b'{"progress":1}')])):
        one = stage()
        process = one.connect(**declared)
        process.say(method="notifications/progress", params={"progressToken": 7, "progress": 1})
        one.turn()
        assert [what for what in one.told if what[0] == "progressed"] == told


def test_a_call_without_params_has_none(stage: Make) -> None:
    one = stage()
    process = one.connect()
    process.heard()
    one.backend.call(7, "tasks/list", b"")
    one.turn()
    assert process.heard() == [{"jsonrpc": "2.0", "id": 7, "method": "tasks/list"}]
