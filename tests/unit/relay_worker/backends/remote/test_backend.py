"""A remote backend's life: connecting, trouble, back-off, logins, sessions kept and lost."""

import json

import pytest

from relay_supervisor.wire import v1
from relay_supervisor.wire.ledger import Stage
from relay_worker.backends.base import State
from relay_worker.backends.remote import handover
from relay_worker.backends.remote.messages import Failure, Fault
from relay_worker.lists import RawLists
from tests.unit.relay_worker.backends.remote.conftest import Make
from tests.unit.relay_worker.backends.remote.stage import INIT, RemoteStage


def known(stage: RemoteStage, **changes: object) -> v1.KnownSession:
    """What a worker before has left, given to the backend."""
    said = {"session": "s-0", "client": client(), "protocol": "2025-11-25"}
    said |= {"capabilities": json.dumps(INIT["capabilities"]).encode()}
    message = v1.KnownSession("far", str(changes.pop("spec_hash", "hash")))
    stage.backend.known(message, handover.encode(handover.Handover(**{**said, **changes})))  # type: ignore[arg-type]
    return message


def client() -> bytes:
    """The params a stage's client is introduced with."""
    info = {"name": "mcp-relay", "version": "0"}
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info}
    return json.dumps(params, separators=(",", ":")).encode()


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

    @pytest.mark.parametrize(
        ("fault", "told"),
        [
            (Fault.CUT, ("unfinished", 7, "why", True)),
            (Fault.FAILED, ("unfinished", 7, "why", True)),
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
        play.fail(play.line.take("initialize"), Fault.REFUSED, retry_after_seconds=9999.0)
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


class TestSessions:
    def test_a_lost_one_is_replaced_and_calls_are_sent_again(self, stage: Make) -> None:
        play = stage()
        line = play.ready()
        one, two = play.call(1), play.call(2)
        play.fail(one, Fault.EXPIRED)
        assert play.backend.state is State.CONNECTING
        play.fail(two, Fault.EXPIRED)
        play.open("s-2")
        again = [line.take("tools/call"), line.take("tools/call")]
        assert [post.body for post in again] == [one.body, two.body]
        assert {post.headers["mcp-session-id"] for post in again} == {"s-2"}
        assert play.told == []
        play.fail(again[0], Fault.EXPIRED, "it no longer knows the session")
        assert play.told == [("unfinished", 1, "it no longer knows the session", False)]

    def test_a_late_one_of_a_lost_session_is_sent_at_once(self, stage: Make) -> None:
        play = stage()
        line = play.ready()
        one, two = play.call(1), play.call(2)
        play.fail(one, Fault.EXPIRED)
        play.open("s-2")
        line.take("tools/call")
        play.fail(two, Fault.EXPIRED)
        assert line.take("tools/call").headers["mcp-session-id"] == "s-2"
        assert line.methods() == [], "no third session"

    def test_what_the_client_wants_holds_in_the_new_one(self, stage: Make) -> None:
        play = stage()
        line = play.ready()
        play.backend.set_level("error")
        play.backend.subscribe(frozenset({"u:1"}))
        line.posts.clear()
        play.fail(play.call(1), Fault.EXPIRED)
        play.open("s-2")
        line.take("logging/setLevel")
        line.take("resources/subscribe")

    def test_one_lost_before_it_was_of_any_use_is_a_fault(self, stage: Make) -> None:
        play = stage()
        play.introduce()
        play.line.listener.opened("s-1")
        play.answer(play.line.take("initialize"), INIT)
        play.fail(play.line.take("tools/list"), Fault.EXPIRED)
        assert play.backend.state is State.BACKING_OFF
        play.wait(1.0)
        play.open("s-2")

    def test_calls_that_wait_for_one_are_told_when_it_is_given_up(self, stage: Make) -> None:
        play = stage()
        play.ready()
        play.fail(play.call(1), Fault.EXPIRED)
        play.fail(play.line.take("initialize"), Fault.LOGIN, "it answered HTTP 401")
        assert play.backend.state is State.FAILED
        assert [told[:2] for told in play.told] == [("unread", [1])]

    def test_is_kept_by_the_supervisor(self, stage: Make) -> None:
        play = stage()
        play.ready()
        (payload,) = play.sessions()
        kept = handover.decode(payload)
        assert kept is not None
        assert (kept.session, kept.client) == ("s-1", client())
        play.fail(play.call(1), Fault.EXPIRED)
        play.open("s-2")
        assert play.sessions()[1] == b""
        assert b"s-2" in play.sessions()[2]

    def test_a_server_without_any_leaves_nothing(self, stage: Make) -> None:
        play = stage()
        play.introduce()
        play.open("")
        assert play.sessions() == []

    def test_is_gone_on_with(self, stage: Make) -> None:
        play = stage()
        known(play)
        play.introduce()
        assert "initialize" not in play.line.methods()
        play.give_lists()
        assert play.backend.state is State.READY
        assert play.call(1).headers["mcp-session-id"] == "s-0"

    def test_one_that_is_not_there_any_more_is_begun_anew(self, stage: Make) -> None:
        play = stage()
        known(play)
        play.introduce()
        play.fail(play.line.take("tools/list"), Fault.EXPIRED)
        play.open("s-1")
        assert play.call(1).headers["mcp-session-id"] == "s-1"

    @pytest.mark.parametrize("other", [{"spec_hash": "other"}, {"client": b"{}"}])
    def test_one_of_something_else_is_left_alone(
        self, stage: Make, other: dict[str, object]
    ) -> None:
        play = stage()
        known(play, **other)
        play.introduce()
        play.line.take("initialize")

    def test_at_the_end_the_server_is_told(self, stage: Make) -> None:
        play = stage()
        line = play.ready()
        play.backend.farewell()
        assert line.farewell == {"mcp-session-id": "s-1", "mcp-protocol-version": "2025-11-25"}


class TestHearing:
    def test_only_the_worker_that_serves_does(self, stage: Make) -> None:
        play = stage()
        play.backend.attend(attending=False)
        line = play.ready()
        assert line.hears is None
        play.backend.attend(attending=True)
        assert line.hears is not None
        line.listener.listening(None, gap=False)
        assert "tools/list" in line.methods(), "what changed meanwhile was not heard"
        play.backend.attend(attending=False)
        assert line.hears is None

    def test_a_gap_is_filled(self, stage: Make) -> None:
        play = stage()
        line = play.ready()
        line.listener.listening(None, gap=False)
        assert line.methods() == []
        line.listener.listening(None, gap=True)
        play.give_lists(("t", "more"))
        assert play.learned_times == 2


class TestSse:
    def test_the_end_of_the_stream_is_the_end_of_all(self, stage: Make) -> None:
        play = stage(kind="sse")
        line = play.ready()
        play.call(7)
        line.listener.lost(Failure(Fault.CUT, "it ended the stream"))
        assert play.told == [("unfinished", 7, "it ended the stream", True)]
        assert line.closed
        play.wait(1.0)
        assert play.line is not line
        play.open()
        assert play.backend.state is State.READY

    def test_nothing_of_an_old_line_counts(self, stage: Make) -> None:
        play = stage(kind="sse")
        line = play.ready()
        post = play.call(7)
        line.listener.lost(Failure(Fault.CUT, "it ended the stream"))
        play.told.clear()
        line.listener.received(b"{}", {}, 7)
        line.listener.done(post.number, Failure(Fault.CUT, "late"))
        line.listener.lost(Failure(Fault.CUT, "again"))
        line.listener.listening(Failure(Fault.EXPIRED, "late"), gap=False)
        assert play.told == []
