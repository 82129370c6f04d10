"""Calls of a legacy client at a modern stdio backend, round by round; and what another worker makes
of them, wherever this one has stopped.
"""

import json
import os
from typing import Any

import msgspec
import pytest

from relay_supervisor.wire import v1
from relay_supervisor.wire.ledger import Stage as Reached
from relay_worker.backends.base import State
from tests.unit.relay_worker.backends.handing import Make, hand, replies
from tests.unit.relay_worker.backends.modern_stage import FORM, META, ROOTS, asks, connect, of, told
from tests.unit.relay_worker.backends.stage import Process, Stage

CAPABILITIES: dict[str, Any] = {"elicitation": {}, "roots": {}}
YES = {"action": "accept"}


@pytest.fixture
def one(stage: Make) -> Stage:
    """A worker with a client that can be asked."""
    one = stage(client=False)
    one.introduce(**CAPABILITIES)
    return one


def next_one(stage: Make, lists: Any) -> Stage:
    """The worker that comes after."""
    two = stage(client=False, generation=4)
    two.backend.expect()
    two.introduce(**CAPABILITIES)
    two.backend.lists = lists
    return two


def call(stage: Stage, process: Process, number: int = 7) -> dict[str, Any]:
    """Make a call; what the backend gets of it."""
    process.heard()
    stage.ledger.take(number)
    assert stage.backend.call(number, "tools/call", b'{"name":"t","_meta":{"x":1}}') is None
    stage.turn()
    (heard,) = process.heard()
    return heard


def asked(stage: Stage, process: Process, result: dict[str, Any], leg: Any = 7) -> list[Any]:
    """The backend asks by its answer; the questions the client gets of that."""
    before = len(told(stage, "asked"))
    process.say(id=leg, result=result)
    stage.turn()
    return told(stage, "asked")[before:]


def answer(stage: Stage, process: Process, question: Any, result: Any = YES) -> None:
    """The client answers."""
    members = json.dumps({"result": result})[1:].encode()
    assert not stage.backend.answer(process.pid, question[1], members, 70), "void at once"
    stage.turn()


def killed(stage: Stage) -> bytes:
    """Forget a worker as it is; what the next one has to go on."""
    connection = stage.backend._connection
    assert connection is not None
    connection._transport._mailbox._open = False
    return stage.payloads[v1.Joined]


def test_what_is_asked_for_comes_with_the_next_leg(one: Stage) -> None:
    process = connect(one)
    first = call(one, process)
    meta = first["params"]["_meta"]
    assert first["id"] == 7 and meta["x"] == 1
    assert meta[f"{META}clientCapabilities"] == CAPABILITIES
    questions = asked(one, process, asks('s "ü"', who=FORM, where=ROOTS))
    assert [(method, json.loads(params)) for _, _, method, params in questions] == [
        ("elicitation/create", FORM["params"]),
        ("roots/list", {}),
    ]
    answer(one, process, questions[1], {"roots": []})
    assert process.heard() == [], "not before all is answered"
    answer(one, process, questions[0])
    (second,) = process.heard()
    extra = {"inputResponses": {"where": {"roots": []}, "who": YES}, "requestState": 's "ü"'}
    assert second["id"] == "relay-round-7-2" and second["params"] == {**first["params"], **extra}
    assert asked(one, process, asks(None, why=FORM), second["id"]) != []
    answer(one, process, told(one, "asked")[-1])
    (third,) = process.heard()
    assert third["params"] == {**first["params"], "inputResponses": {"why": YES}}
    process.say(id=7, result={"text": "of a leg that is over"})
    process.say(id=third["id"], result={"text": "done"})
    one.turn()
    assert [b"done" in text for _, text in replies(one)] == [True]
    answer(one, process, questions[0])
    assert process.heard() == [], "nobody waits for it any more"


def test_questions_have_places_of_their_own(one: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    process = connect(one)
    call(one, process)
    places: list[int] = []
    monkeypatch.setattr(one, "asked", lambda *args: places.append(args[5]))
    asked(one, process, asks(a=FORM, b=FORM, c=ROOTS))
    assert places[0] > 0 and places == list(range(places[0], places[0] + 3))


def test_a_state_alone_is_given_back_after_a_moment(one: Stage) -> None:
    process = connect(one)
    call(one, process)
    assert asked(one, process, asks("x")) == [] and process.heard() == []
    one.wait(1)
    (again,) = process.heard()
    assert again["params"]["requestState"] == "x" and "inputResponses" not in again["params"]


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (asks(None), "without saying for what"),
        (asks(a={"method": "sampling/createMessage"}), "did not declare sampling"),
        (asks(a={"method": "tools/list"}), "no client can be asked for"),
        (asks(a={**FORM, "params": {"mode": "url"}}), "by url, which the client cannot do"),
        (asks(a={"params": {}}), "(a) cannot be understood"),
        (asks(a={**FORM, "params": [1]}), "(a) cannot be understood"),
        ({"resultType": "input_required", "inputRequests": 7}, "cannot be understood"),
        ({"resultType": "task", "taskId": "t"}, "'task', which this client does not know"),
        (asks(**dict.fromkeys(map(str, range(65)), FORM)), "64 things at once (INPUTS_MAX)"),
    ],
)
def test_what_cannot_be_asked_ends_the_call(one: Stage, result: dict[str, Any], why: str) -> None:
    process = connect(one)
    call(one, process)
    assert asked(one, process, result) == []
    ((number, reason, may_have_run),) = told(one, "unfinished")
    assert (number, may_have_run) == (7, True) and why in reason
    assert process.heard() == [] and not one.backend._connection.in_flight  # type: ignore[union-attr]


def test_a_client_that_refuses_is_not_asked_for_the_rest(one: Stage) -> None:
    process = connect(one)
    call(one, process)
    first, second = asked(one, process, asks(a=FORM, b=ROOTS))
    members = b'"error":{"code":-1,"message":"no"}}'
    one.backend.answer(process.pid, first[1], members)
    ((_, reason, _),) = told(one, "unfinished")
    assert "elicitation/create, and the client refused: no (-1)" in reason
    assert [found[1] for found in told(one, "withdrew")] == [second[1]]


def test_a_backend_that_is_never_content_is_given_up(one: Stage) -> None:
    process = connect(one)
    leg: Any = call(one, process)["id"]
    legs = 1
    while not told(one, "unfinished"):
        asked(one, process, asks(str(legs)), leg)
        one.wait(1)
        for message in process.heard():
            leg, legs = message["id"], legs + 1
    assert legs == 32 and "32 times (INPUT_ROUNDS_MAX)" in told(one, "unfinished")[0][1]


@pytest.mark.parametrize("while_asked", [True, False])
def test_a_cancelled_call(one: Stage, *, while_asked: bool) -> None:
    process = connect(one)
    call(one, process)
    (question,) = asked(one, process, asks(a=FORM))
    if not while_asked:
        answer(one, process, question)
        process.heard()
    under_way = one.backend.cancel(7, b'{"requestId":7,"reason":"r"}', 80)
    one.turn()
    assert under_way is not while_asked
    if while_asked:
        assert process.heard() == [] and told(one, "withdrew") == [
            (process.pid, question[1], b"{}")
        ]
        answer(one, process, question)
        assert process.heard() == []
    else:
        (message,) = process.heard()
        assert message["params"] == {"requestId": "relay-round-7-2", "reason": "r"}


def test_a_backend_that_dies_while_the_client_is_asked(one: Stage) -> None:
    """Its call is lost: it must not be made anew, though the last leg was never read."""
    process = connect(one)
    call(one, process)
    (question,) = asked(one, process, asks(a=FORM))
    answer(one, process, question)
    one.exit(1)
    assert told(one, "unread") == [] and told(one, "lost")[0][0] == [7]


class TestSwap:
    def test_while_the_client_is_asked(self, stage: Make, one: Stage) -> None:
        process = connect(one)
        first = call(one, process)
        questions = asked(one, process, asks(a=FORM, b=ROOTS))
        answer(one, process, questions[0])
        two = next_one(stage, one.backend.lists)
        hand(one, two, process, 7)
        assert process.heard() == []
        answer(two, process, questions[1], {"roots": []})
        (again,) = process.heard()
        responses = {"a": YES, "b": {"roots": []}}
        wanted = {**first["params"], "inputResponses": responses, "requestState": "s"}
        assert again["params"] == wanted
        process.say(id=again["id"], result={})
        two.turn()
        assert len(replies(two)) == 1

    def test_before_the_client_is_asked(self, stage: Make, one: Stage) -> None:
        process = connect(one)
        call(one, process)
        two = next_one(stage, one.backend.lists)
        hand(one, two, process, 7)
        (question,) = asked(two, process, asks(a=FORM))
        answer(two, process, question)
        assert len(process.heard()) == 1

    def test_the_next_worker_knows_the_client_by_what_is_left(
        self, stage: Make, one: Stage
    ) -> None:
        process = connect(one)
        two = stage(client=False, generation=4)
        two.backend.expect()
        hand(one, two, process)
        meta = call(two, process)["params"]["_meta"]
        assert meta[f"{META}clientCapabilities"] == CAPABILITIES
        assert meta[f"{META}protocolVersion"] == "2026-07-28"

    @pytest.mark.parametrize("queued", [True, False])
    def test_before_the_next_leg_is_written(self, stage: Make, one: Stage, *, queued: bool) -> None:
        process = connect(one)
        call(one, process)
        (question,) = asked(one, process, asks(a=FORM))
        if not queued:
            hold_back(one)
        else:
            fill(process)
        answer(one, process, question)
        two = next_one(stage, one.backend.lists)
        frozen = hand(one, two, process, 7)
        assert frozen.unsent == ([7] if queued else [])
        if queued:
            drain(process)
            two.turn()
        (again,) = of(process.heard(), "tools/call")
        assert again["id"] == "relay-round-7-2" and two.ledger.read() == {7: Reached.WRITTEN}


class TestKill:
    def test_while_the_client_is_asked(self, stage: Make, one: Stage) -> None:
        process = connect(one)
        call(one, process)
        first, second = asked(one, process, asks(a=FORM, b=ROOTS))
        answer(one, process, first)
        assert one.ledger.read() == {7: Reached.WRITTEN}, "it goes on"
        two = next_one(stage, one.backend.lists)
        two.adopt(process, killed(one), 7, crashed=True)
        process.heard()
        answer(two, process, first)  # told again, it may be
        answer(two, process, second, {"roots": []})
        (again,) = process.heard()
        assert again["params"]["inputResponses"] == {"a": YES, "b": {"roots": []}}

    def test_while_a_state_alone_waits_to_be_given_back(self, stage: Make, one: Stage) -> None:
        process = connect(one)
        first = call(one, process)
        assert asked(one, process, asks("x")) == [] and process.heard() == []
        assert one.ledger.read() == {7: Reached.WRITTEN}, "it goes on"
        two = next_one(stage, one.backend.lists)
        two.adopt(process, killed(one), 7, crashed=True)
        two.wait(1)
        (again,) = of(process.heard(), "tools/call")
        assert again["params"] == {**first["params"], "requestState": "x"}

    def test_before_the_questions_are_passed_on(self, stage: Make, one: Stage) -> None:
        """They are found again in the mailbox, with the same names."""
        process = connect(one)
        call(one, process)
        transport = one.backend._connection._transport  # type: ignore[union-attr]
        transport._when_written = lambda _act, _number: None
        (question,) = asked(one, process, asks(a=FORM))
        two = next_one(stage, one.backend.lists)
        two.adopt(process, killed(one), 7, crashed=True)
        assert [found[1:] for found in told(two, "asked")] == [question[1:]]
        process.heard()
        answer(two, process, question)
        assert len(process.heard()) == 1

    def test_before_the_next_leg_is_written(self, one: Stage) -> None:
        """Nobody can tell: the supervisor is told that it is none to be made anew."""
        process = connect(one)
        call(one, process)
        (question,) = asked(one, process, asks(a=FORM))
        hold_back(one)
        answer(one, process, question)
        assert one.ledger.read() == {7: Reached.WRITING} and process.heard() == []
        kinds = [type(message) for message in one.sent]
        assert kinds[-2:] == [v1.Joined, v1.Begun] and one.sent[-1] == v1.Begun(7)

    def test_after_the_next_leg_is_written(self, stage: Make, one: Stage) -> None:
        process = connect(one)
        call(one, process)
        (question,) = asked(one, process, asks(a=FORM))
        answer(one, process, question)
        assert one.ledger.read() == {7: Reached.WRITTEN} and len(process.heard()) == 1
        two = next_one(stage, one.backend.lists)
        two.adopt(process, killed(one), 7, crashed=True)
        answer(two, process, question)
        assert of(process.heard(), "tools/call") == [], "not once more"
        (more,) = asked(two, process, asks(b=FORM), "relay-round-7-2")
        answer(two, process, more)
        assert [found["id"] for found in process.heard()] == ["relay-round-7-3"]

    def test_before_anything_was_asked_the_params_are_lost(self, stage: Make, one: Stage) -> None:
        process = connect(one)
        call(one, process)
        two = next_one(stage, one.backend.lists)
        two.adopt(process, killed(one), 7, crashed=True)
        assert asked(two, process, asks(a=FORM)) == []
        assert "is not kept any more" in told(two, "unfinished")[0][1]


def hold_back(stage: Stage) -> None:
    """The supervisor takes nothing more."""
    connection = stage.backend._connection
    assert connection is not None
    around = msgspec.structs.replace(
        connection._bridge._around, when_written=lambda _act, _number: None
    )
    connection._bridge._around = around


def fill(process: Process) -> None:
    """Leave no room in its stdin."""
    os.set_blocking(process.kept[0], False)
    try:
        while True:
            os.write(process.kept[0], b" " * 4096)
    except BlockingIOError:
        pass


def drain(process: Process) -> None:
    """Take out what `fill` has put in."""
    try:
        while os.read(process.stdin or 0, 1 << 16).isspace():
            pass
    except BlockingIOError:
        pass


def test_more_than_is_kept_is_not_asked_for(one: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay_worker.backends.rounds.KEPT_BYTES_MAX", 10)
    process = connect(one)
    call(one, process, 7)
    call(one, process, 8)
    assert len(asked(one, process, asks(a=FORM), 7)) == 1, "one always is"
    assert asked(one, process, asks(a=FORM), 8) == []
    assert told(one, "unfinished")[0][0] == 8
    one.backend.cancel(7, b"{}")
    call(one, process, 9)
    assert len(asked(one, process, asks(a=FORM), 9)) == 1, "there is room again"
    assert one.backend.state is State.READY
