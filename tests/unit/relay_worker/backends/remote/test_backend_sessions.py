"""The sessions of a remote backend: kept, lost, handed over; what it says by itself; both eras."""

import json

import pytest

from relay_supervisor.wire import v1
from relay_worker.backends.base import State
from relay_worker.backends.client import client_of
from relay_worker.backends.remote import handover
from relay_worker.backends.remote.messages import Failure, Fault
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

    def test_the_time_to_start_counts_once_more_then(self, stage: Make) -> None:
        play = stage(start_timeout_seconds=10.0)
        known(play)
        play.introduce()
        play.wait(9.0)
        listing = play.line.take("tools/list")
        play.line.posts.clear()
        play.fail(listing, Fault.EXPIRED)
        play.wait(9.0)
        play.open("s-1")
        play.wait(11.0)
        assert play.states == [State.CONNECTING, State.READY], "no limit of before came to pass"

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

    def test_only_the_worker_that_serves_says_what_both_are_told(self, stage: Make) -> None:
        play = stage()
        line = play.ready()
        line.methods()
        play.backend.attend(attending=False)
        play.backend.notify("notifications/roots/list_changed", b"{}")
        assert line.methods() == []
        play.backend.attend(attending=True)
        line.methods()
        play.backend.notify("notifications/roots/list_changed", b"{}")
        assert line.methods() == ["notifications/roots/list_changed"]

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
        line.listener.received({}, 7)
        line.listener.done(post.number, Failure(Fault.CUT, "late"))
        line.listener.lost(Failure(Fault.CUT, "again"))
        line.listener.listening(Failure(Fault.EXPIRED, "late"), gap=False)
        assert play.told == []


class TestModern:
    """A server that knows no initialize, behind a client that knows nothing else."""

    def ready(self, play: RemoteStage) -> None:
        """Bring it to READY."""
        play.introduce()
        play.fail(play.line.take("initialize"), Fault.REFUSED, "never heard of it", status=400)
        said = {"supportedVersions": ["2026-07-28"], "capabilities": INIT["capabilities"]}
        play.answer(play.line.take("server/discover"), said)
        play.give_lists()
        assert play.backend.state is State.READY

    def wanted(self, play: RemoteStage) -> object:
        """What it is asked to tell of."""
        post = play.line.take("subscriptions/listen")
        return json.loads(post.body)["params"]["notifications"]

    def test_the_verdict_is_in_what_is_learned(self, stage: Make) -> None:
        play = stage()
        self.ready(play)
        assert play.backend.lists is not None
        assert play.backend.lists.protocol == "2026-07-28"
        assert "notifications/initialized" not in play.line.methods()
        assert play.sessions() == [], "there is no session to keep"

    def test_it_is_listened_to_by_an_open_request(self, stage: Make) -> None:
        play = stage()
        self.ready(play)
        assert self.wanted(play) == {"toolsListChanged": True, "resourcesListChanged": True}

    def test_a_subscription_is_granted_at_once(self, stage: Make) -> None:
        """And is part of the next open request."""
        play = stage()
        self.ready(play)
        self.wanted(play)
        assert play.backend.call(1, "resources/subscribe", b'{"uri":"u:1"}') is None
        assert play.told == []
        play.turn()
        assert play.told == [("replied", 1, b"{}")]
        assert self.wanted(play)["resourceSubscriptions"] == ["u:1"]  # type: ignore[index]

    def test_the_old_request_stays_open_until_the_new_one_is_heard(self, stage: Make) -> None:
        play = stage()
        self.ready(play)
        first = play.line.take("subscriptions/listen")
        play.backend.subscribe(frozenset({"u:1"}))
        play.turn()
        assert play.line.aborted == []
        play.say(method="notifications/subscriptions/acknowledged", params={})
        assert play.line.aborted == [first.number]

    def test_one_that_breaks_off_is_sent_again_later(self, stage: Make) -> None:
        play = stage()
        self.ready(play)
        play.fail(play.line.take("subscriptions/listen"), Fault.CUT)
        assert play.line.methods() == []
        play.wait(1.0)
        self.wanted(play)
        play.say(method="notifications/subscriptions/acknowledged", params={})
        assert "tools/list" in play.line.methods(), "what changed meanwhile was not heard"

    def test_the_log_level_goes_with_each_request(self, stage: Make) -> None:
        play = stage()
        self.ready(play)
        play.backend.set_level("error")
        meta = json.loads(play.call(1).body)["params"]["_meta"]
        assert meta["io.modelcontextprotocol/logLevel"] == "error"
        assert "logging/setLevel" not in play.line.methods()

    def test_silence_about_discover_ends_after_three_seconds(self, stage: Make) -> None:
        play = stage()
        params = {"protocolVersion": "2026-07-28", "capabilities": {}}
        session = v1.Session(v1.MODERN, "2026-07-28", "")
        play.backend.introduce(client_of(session, json.dumps(params).encode()))
        asked = play.line.take("server/discover")
        play.wait(2.9)
        assert play.line.methods() == []
        play.wait(0.1)
        play.open()
        assert asked.number in play.line.aborted
        assert play.backend.state is State.READY

    def test_a_version_that_is_refused_and_offered_is_asked_for_again(self, stage: Make) -> None:
        """Once: and never in the words of the other era, if that is understood."""
        play = stage()
        play.introduce()
        play.fail(play.line.take("initialize"), Fault.REFUSED, "never heard of it", status=400)
        data = {"supported": ["2026-07-28"], "requested": "2026-07-28"}
        error = {"code": -32022, "message": "unsupported", "data": data}
        play.answer(play.line.take("server/discover"), error=error)
        again = play.line.take("server/discover")
        said = {"supportedVersions": ["2026-07-28"], "capabilities": INIT["capabilities"]}
        play.answer(again, said)
        play.give_lists()
        assert play.backend.state is State.READY

    def test_one_that_refuses_what_it_offers_is_given_up(self, stage: Make) -> None:
        play = stage()
        play.introduce()
        play.fail(play.line.take("initialize"), Fault.REFUSED, "never heard of it", status=400)
        error = {"code": -32022, "message": "unsupported", "data": {"supported": ["2026-07-28"]}}
        for _ in range(2):
            play.answer(play.line.take("server/discover"), error=error)
        assert play.line.methods() == []
        assert play.backend.state is State.BACKING_OFF

    def test_neither_era(self, stage: Make) -> None:
        """Then what it made of initialize is what is said."""
        play = stage()
        play.introduce()
        play.fail(play.line.take("initialize"), Fault.REFUSED, "never heard of it")
        play.fail(play.line.take("server/discover"), Fault.REFUSED, "nor of that")
        assert play.backend.state is State.BACKING_OFF
        assert "never heard of it" in play.backend.trouble

    @pytest.mark.parametrize(
        ("fault", "status"),
        [(Fault.UNREACHED, 0), (Fault.LOGIN, 401), (Fault.REFUSED, 429), (Fault.FAILED, 503)],
    )
    def test_what_says_nothing_about_the_era(self, stage: Make, fault: Fault, status: int) -> None:
        play = stage()
        play.introduce()
        play.fail(play.line.take("initialize"), fault, status=status)
        assert play.line.methods() == []
