"""Answers of the client's that do not reach the server which asked."""

import json
from typing import Any

import pytest

from relay_worker.backends.base import State
from relay_worker.backends.remote.messages import Fault, Post
from tests.unit.relay_worker.backends.remote.conftest import Make
from tests.unit.relay_worker.backends.remote.stage import RemoteStage


def ask(play: RemoteStage, call: int | None) -> Post:
    """Have the server ask something in the stream of a call, and the client answer it."""
    play.say(call, id="q", method="roots/list")
    (pid,) = (told[1] for told in play.told if told[0] == "asked")
    play.told.clear()
    play.backend.answer(pid, b'"q"', b'"result":{}}')
    return play.line.take()


def ends(play: RemoteStage) -> dict[int, Any]:
    """The calls that ended, and whether they may have run."""
    return {told[1]: told[3] for told in play.told if told[0] == "unfinished"}


@pytest.fixture
def play(stage: Make) -> RemoteStage:
    one = stage()
    one.ready(roots={})
    return one


def test_when_the_session_is_gone_the_call_ends_and_another_session_begins(
    play: RemoteStage,
) -> None:
    first, other = play.call(7), play.call(8)
    play.fail(ask(play, 7), Fault.EXPIRED, "gone", status=404)
    assert ends(play) == {7: True}
    assert play.line.aborted == [first.number]
    assert play.backend.state is State.CONNECTING
    play.open("s-2")
    assert play.line.posts == [], "nothing is made again"
    play.answer(other, {})
    assert ("replied", 8, b"{}") in play.told


def test_what_nobody_has_answered_goes_with_its_session(play: RemoteStage) -> None:
    """Servers number their questions from 0: else the answer would be taken for another one's."""
    play.call(7)
    play.call(8)
    play.say(7, id=0, method="roots/list")
    play.say(id=1, method="roots/list")
    play.fail(play.call(9), Fault.EXPIRED, "gone", status=404)
    assert [told[2] for told in play.told if told[0] == "withdrew"] == [b"0", b"1"]
    assert ends(play) == {7: True}
    play.open("s-2")
    assert play.line.take("tools/call").tag == 9


def test_when_it_is_not_known_which_call_asked_all_of_that_session_end(play: RemoteStage) -> None:
    play.call(7)
    play.call(8)
    play.fail(ask(play, None), Fault.EXPIRED, "gone", status=404)
    assert ends(play) == {7: True, 8: True}


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.FAILED, Fault.UNREACHED, Fault.LOGIN])
def test_one_that_is_refused_ends_its_call_only(play: RemoteStage, fault: Fault) -> None:
    play.call(7)
    play.call(8)
    play.fail(ask(play, 7), fault, "no")
    assert ends(play) == {7: True}
    assert "did not take the answer" in play.told[0][2]
    assert play.backend.state is State.READY


def test_one_that_may_have_got_there_ends_nothing(play: RemoteStage) -> None:
    play.call(7)
    play.fail(ask(play, 7), Fault.CUT, "broken")
    assert ends(play) == {}


def test_a_refusal_of_what_was_asked_in_no_call_ends_nothing(play: RemoteStage) -> None:
    play.call(7)
    play.fail(ask(play, None), Fault.REFUSED, "no")
    assert ends(play) == {}


def test_a_session_is_not_lost_for_a_notification(play: RemoteStage) -> None:
    """Servers exist that answer 404 to those they do not know."""
    play.backend.notify("notifications/roots/list_changed", b"{}", None)
    post = play.line.take()
    assert json.loads(post.body)["method"] == "notifications/roots/list_changed"
    play.fail(post, Fault.EXPIRED, "what?", status=404)
    assert play.backend.state is State.READY
