"""A remote backend's life: connecting, trouble, back-off, logins, sessions kept and lost."""

import json

import pytest

from relay_supervisor.wire.ledger import Stage
from relay_worker.backends.base import State
from relay_worker.backends.remote.messages import Failure, Fault
from relay_worker.lists import RawLists
from tests.unit.relay_worker.backends.remote.conftest import Make
from tests.unit.relay_worker.backends.remote.stage import INIT


class TestConnecting:
    def test_the_way_to_ready(self, stage: Make) -> None:
        play = stage()
        line = play.ready()
        assert play.states == [State.CONNECTING, State.READY]
        assert play.learned_times == 1
        assert line.hears == {"mcp-session-id": "s-1", "mcp-protocol-version": "2025-11-25"}

    def test_the_first_frames(self, stage: Make) -> None:
        """Nothing names a session before there is one, and nothing overtakes `initialized`."""
        play = stage()
        play.introduce()
        first = play.line.take("initialize")
        assert first.headers == {}
        play.line.listener.opened("s-1")
        play.answer(first, INIT)
        second, *lists = play.line.posts
        assert json.loads(second.body)["method"] == "notifications/initialized"
        assert (second.first, second.urgent) == (True, False)
        assert all(one.headers == second.headers and not one.first for one in lists)

    def test_a_lazy_one_waits_to_be_wanted(self, stage: Make) -> None:
        play = stage(lazy=True)
        play.backend.lists = RawLists()
        play.introduce()
        assert play.lines == []
        play.backend.want()
        play.open()
        assert play.backend.state is State.READY

    def test_a_disabled_one_is_never_connected(self, stage: Make) -> None:
        play = stage(enabled=False)
        play.introduce()
        play.backend.want()
        assert play.lines == []
        assert "disabled" in play.backend.trouble

    def test_it_takes_too_long(self, stage: Make) -> None:
        play = stage(start_timeout_seconds=9.0)
        play.introduce()
        play.wait(9.0)
        assert play.backend.state is State.BACKING_OFF
        assert "start_timeout_seconds" in play.backend.trouble

    def test_another_client_begins_another_session(self, stage: Make) -> None:
        play = stage()
        line = play.ready()
        play.introduce(roots={})
        assert line.closed
        assert line.farewell is not None
        assert play.line is not line
        play.open("s-2")
        assert play.backend.state is State.READY

    def test_but_not_under_a_call(self, stage: Make) -> None:
        play = stage()
        line = play.ready()
        play.call()
        play.introduce(roots={})
        assert not line.closed


class TestCalls:
    def test_the_ledger_is_ahead_of_the_frame(self, stage: Make) -> None:
        play = stage()
        play.ready()
        post = play.call(7)
        assert play.ledger.read() == {7: Stage.WRITING}
        play.line.listener.sent(post.number)
        assert play.ledger.read() == {7: Stage.WRITTEN}
        play.answer(post, {"ok": 1})
        assert play.told == [("replied", 7, b'{"ok": 1}')]

    def test_an_answer_counts_by_where_it_came_not_by_its_id(self, stage: Make) -> None:
        play = stage()
        play.ready()
        post = play.call(7)
        play.say(7, id=None, result={})
        assert play.told == [("replied", 7, b"{}")]
        play.answer(post)
        assert len(play.told) == 1, "a second answer is dropped"

    def test_one_that_comes_by_itself_counts_by_its_id(self, stage: Make) -> None:
        play = stage()
        play.ready()
        play.call(7)
        play.say(id=7, result={})
        assert play.told == [("replied", 7, b"{}")]

    def test_progress_counts_until_the_answer(self, stage: Make) -> None:
        play = stage()
        play.ready()
        post = play.call(7)
        late = {"progressToken": 7, "progress": 1}
        play.say(7, method="notifications/progress", params=late)
        assert [told[:2] for told in play.told] == [("progressed", 7)]
        play.answer(post)
        play.told.clear()
        play.say(method="notifications/progress", params=late)
        assert play.told == []

    def test_what_is_said_in_the_stream_of_a_call_is_told_with_it(self, stage: Make) -> None:
        play = stage()
        play.ready()
        play.call(7)
        play.say(7, method="vendor/event", params={})
        play.say(method="vendor/event", params={})
        assert play.told == [("notified", "vendor/event", 7), ("notified", "vendor/event")]

    @pytest.mark.parametrize(
        ("fault", "told"),
        [
            (Fault.CUT, ("unfinished", 7, "why", True)),
            (Fault.FAILED, ("unfinished", 7, "why", True)),
            (Fault.STRANGE, ("unfinished", 7, "why", True)),
            (Fault.REFUSED, ("unfinished", 7, "why", False)),
            (Fault.UNREADABLE, ("unusable", 7, "why")),
        ],
    )
    def test_a_failure_of_one_is_of_one(
        self, stage: Make, fault: Fault, told: tuple[object, ...]
    ) -> None:
        play = stage()
        play.ready()
        post = play.call(7)
        play.fail(post, fault, "why")
        assert play.told == [told]
        assert play.backend.state is State.READY

    def test_one_that_was_never_sent_is_for_another_time(self, stage: Make) -> None:
        """And whoever comes next waits."""
        play = stage()
        play.ready()
        play.fail(play.call(7), Fault.UNREACHED, "it is off")
        assert play.told == [("unread", [7], "it is off")]
        assert play.backend.state is State.BACKING_OFF

    def test_a_cancelled_one(self, stage: Make) -> None:
        play = stage()
        line = play.ready()
        post = play.call(7)
        play.backend.cancel(7, b'{"requestId":7}')
        cancelled = line.take("notifications/cancelled")
        assert cancelled.urgent, "what it waits behind may be what it cancels"
        assert line.aborted == [post.number]
        play.backend.cancel(7, b'{"requestId":7}')
        assert line.posts == []

    def test_too_much_that_the_server_does_not_take(self, stage: Make) -> None:
        play = stage()
        play.ready()
        big = b'{"x":"' + b"x" * (40 << 20) + b'"}'
        assert play.backend.call(1, "tools/call", big) is None
        assert "not sent" in (play.backend.call(2, "tools/call", big) or "")
        play.answer(play.line.take("tools/call"))
        assert play.backend.call(3, "tools/call", big) is None

    def test_what_is_secret_is_not_in_an_error(self, stage: Make) -> None:
        play = stage()
        play.log.hide(["super-secret"])
        play.ready()
        play.fail(play.call(7), Fault.REFUSED, "it said super-secret")
        assert play.told == [("unfinished", 7, "it said ***", False)]


class TestQuestions:
    def test_an_answer_goes_to_the_connection_that_asked(self, stage: Make) -> None:
        play = stage()
        line = play.ready(roots={})
        play.say(id="q", method="roots/list")
        ((_, pid, raw_id, _),) = play.told
        play.backend.answer(pid + 1, raw_id, b'"result":{}}')
        assert line.posts == []
        play.backend.answer(pid, raw_id, b'"result":{}}')
        post = line.take()
        assert json.loads(post.body) == {"jsonrpc": "2.0", "id": "q", "result": {}}
        assert post.urgent

    def test_the_stream_says_in_which_call_it_is_asked(self, stage: Make) -> None:
        play = stage()
        play.ready(roots={})
        play.call(7)
        play.say(7, id="q", method="roots/list")
        play.say(id="r", method="roots/list")
        assert [told[2:] for told in play.told] == [
            (b'"q"', "roots/list", 7),
            (b'"r"', "roots/list"),
        ]

    def test_those_of_two_workers_cannot_be_mixed_up(self, stage: Make) -> None:
        """As they may share a session, and pids tell askers apart."""
        play = stage()
        play.ready(roots={})
        play.say(id="q", method="roots/list")
        assert play.told[0][1] >> 32 == 3, "the generation is in it"


class TestBackOff:
    def test_it_goes_on_with_the_session(self, stage: Make) -> None:
        play = stage()
        line = play.ready()
        under_way = play.call(8)
        play.fail(play.call(7), Fault.UNREACHED)
        play.wait(1.0)
        assert play.backend.state is State.CONNECTING
        assert play.line is line, "what is under way goes on"
        assert line.take("tools/list").headers["mcp-session-id"] == "s-1"
        play.answer(under_way, {})
        assert ("replied", 8, b"{}") in play.told

    def test_it_gives_up_in_the_end_until_somebody_wants_it(self, stage: Make) -> None:
        play = stage()
        play.introduce()
        for delay in (1.0, 2.0, 4.0):
            play.fail(play.line.take("initialize"), Fault.UNREACHED)
            assert play.backend.state is State.BACKING_OFF
            play.wait(delay)
        play.fail(play.line.take("initialize"), Fault.UNREACHED)
        assert play.backend.state is State.FAILED
        play.backend.want()
        play.open()
        assert play.backend.state is State.READY

    def test_it_waits_as_long_as_the_server_says(self, stage: Make) -> None:
        play = stage()
        play.introduce()
        play.fail(play.line.take("initialize"), Fault.REFUSED, status=429, retry_after_seconds=3.0)
        play.wait(2.9)
        assert play.backend.state is State.BACKING_OFF
        play.wait(0.1)
        assert play.backend.state is State.CONNECTING

    def test_but_no_longer_than_the_maximum(self, stage: Make) -> None:
        play = stage()
        play.introduce()
        more = {"status": 429, "retry_after_seconds": 9999.0}
        play.fail(play.line.take("initialize"), Fault.REFUSED, **more)
        assert play.backend.state is State.BACKING_OFF
        play.wait(4.0)
        assert play.backend.state is State.CONNECTING

    def test_a_server_that_cannot_be_heard_any_more_is_down(self, stage: Make) -> None:
        play = stage()
        line = play.ready()
        line.listener.listening(Failure(Fault.UNREACHED, "it is off"), gap=False)
        assert play.backend.state is State.BACKING_OFF

    @pytest.mark.parametrize("fault", [Fault.CUT, Fault.REFUSED, Fault.EXPIRED])
    def test_but_one_without_that_stream_is_not(self, stage: Make, fault: Fault) -> None:
        play = stage()
        line = play.ready()
        line.listener.listening(Failure(fault, "no", 404), gap=False)
        assert play.backend.state is State.READY


class TestLogin:
    def test_is_waited_for(self, stage: Make) -> None:
        play = stage()
        play.introduce()
        play.fail(play.line.take("initialize"), Fault.LOGIN, "it answered HTTP 401")
        assert play.backend.state is State.FAILED
        assert "relayctl backend login far" in play.backend.trouble
        play.wait(2.0)
        assert play.backend.state is State.FAILED
        play.file = ("new",)
        play.wait(2.0)
        assert play.backend.state is State.CONNECTING

    def test_under_a_call(self, stage: Make) -> None:
        play = stage()
        play.ready()
        play.fail(play.call(7), Fault.LOGIN, "it answered HTTP 401")
        assert play.told == [("unfinished", 7, "it answered HTTP 401", False)]
        assert play.backend.state is State.FAILED


def test_a_call_is_answered_though_the_client_is_another_one_when_it_comes_back(
    stage: Make,
) -> None:
    play = stage()
    line = play.ready(roots={})
    post = play.call(7)
    play.fail(play.call(8), Fault.UNREACHED)
    play.introduce(sampling={})
    play.wait(60)
    assert play.backend.state is State.CONNECTING and not line.closed
    play.answer(post, {})
    assert ("replied", 7, b"{}") in play.told
