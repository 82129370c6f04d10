"""Calls of a legacy client at a modern server behind HTTP, leg by leg, and what goes wrong."""

import json
from typing import Any

import pytest

from relay_supervisor.wire.ledger import Stage as Reached
from relay_worker.backends.remote.messages import Failure, Fault, Post
from tests.unit.relay_worker.backends.modern_stage import DISCOVERED, FORM, REFUSED, asks
from tests.unit.relay_worker.backends.remote.conftest import Make
from tests.unit.relay_worker.backends.remote.stage import RemoteStage

YES = b'"result":{"action":"accept"}}'


@pytest.fixture
def play(stage: Make) -> RemoteStage:
    """A client that can be asked, at a server that speaks nothing else."""
    one = stage()
    one.introduce(elicitation={})
    one.fail(one.line.take("initialize"), Fault.REFUSED, json.dumps(REFUSED), status=400)
    one.answer(one.line.take("server/discover"), DISCOVERED)
    one.give_lists()
    assert one.backend.modern
    return one


def ask(play: RemoteStage, post: Post) -> Any:
    """The server asks by its answer; the question."""
    play.answer(post, asks(a=FORM))
    return [told for told in play.told if told[0] == "asked"][-1]


def answer(play: RemoteStage, question: Any) -> Post:
    """The client answers; the next leg."""
    play.backend.answer(question[1], question[2], YES)
    return play.line.take("tools/call")


def test_the_next_leg(play: RemoteStage) -> None:
    first = play.call(7)
    second = answer(play, ask(play, first))
    body = json.loads(second.body)
    assert body["id"] == "relay-round-7-2" and second.tag == 7
    assert body["params"]["inputResponses"] == {"a": {"action": "accept"}}
    assert second.headers["mcp-name"] == "t" and second.headers["mcp-method"] == "tools/call"
    assert play.ledger.read() == {7: Reached.WRITING}, "as the first one was"
    play.answer(second, {"text": "done"})
    assert play.told[-1] == ("replied", 7, b'{"text": "done"}')


def test_the_end_of_a_leg_that_is_answered_does_not_matter(play: RemoteStage) -> None:
    first = play.call(7)
    play.say(7, id=7, result=asks(a=FORM))
    play.fail(first, Fault.CUT)
    question = play.told[-1]
    assert question[0] == "asked"
    play.answer(answer(play, question))
    assert play.told[-1][:2] == ("replied", 7)


@pytest.mark.parametrize("fault", [Fault.UNREACHED, Fault.CUT, Fault.REFUSED])
def test_a_leg_that_fails_ends_the_call(play: RemoteStage, fault: Fault) -> None:
    """It must not be made anew, as the server has begun with it."""
    second = answer(play, ask(play, play.call(7)))
    play.fail(second, fault, "it is off")
    assert play.told[-1] == ("unfinished", 7, "it is off", True)


def test_a_cancelled_call_takes_its_question_along(play: RemoteStage) -> None:
    question = ask(play, play.call(7))
    play.backend.cancel(7, b"{}")
    assert play.told[-1] == ("withdrew", question[1], question[2])
    play.backend.answer(question[1], question[2], YES)
    assert "tools/call" not in play.line.methods()


def test_a_server_that_is_gone_for_good_takes_it_along_too(play: RemoteStage) -> None:
    ask(play, play.call(7))
    play.line.listener.lost(Failure(Fault.CUT, "gone"))
    assert [told[0] for told in play.told[-2:]] == ["withdrew", "unfinished"]
