"""While nobody has a backend, its client goes on: it cancels, answers, and runs out of time. All of
that reaches the process when somebody has it again, or is void as the process is gone.
"""

import json
from typing import Any

import pytest

from relay_supervisor.core import effects
from relay_supervisor.core.generation import Life
from relay_supervisor.wire import v1
from relay_supervisor.wire.ledger import Stage
from tests.unit.relay_supervisor.core.custody_driver import SLOW, CustodyDriver
from tests.unit.relay_supervisor.core.driver import notification, request


@pytest.fixture
def relay() -> CustodyDriver:
    driver = CustodyDriver()
    driver.serve(elicitation={})
    return driver


def cancel(relay: CustodyDriver, key: object) -> None:
    relay.line(notification("notifications/cancelled", requestId=key))


def ask(relay: CustodyDriver, at: int = 0, generation: int = 1) -> None:
    """`files` asks the client."""
    question = v1.BackendRequest("files", b'"q"', relay.pid_of["files"], "elicitation/create", at)
    relay.frame(question, b'{"message":"?"}', generation)


def answer(relay: CustodyDriver, number: int = 1) -> None:
    relay.line({"jsonrpc": "2.0", "id": number, "result": {"action": "accept"}})


def orphaned(relay: CustodyDriver, *keys: object) -> list[int]:
    """Calls at a backend that nobody has: its worker is dead, and no other is up."""
    numbers = [relay.call_on(key)[1] for key in keys]
    relay.kill(1, dict.fromkeys(numbers, int(Stage.WRITTEN)))
    relay.wanted.clear()
    return numbers


def next_worker(relay: CustodyDriver) -> list[Any]:
    """The next one comes up: what it is sent from `files` on, in order."""
    relay.revive(2)
    sent = [
        e.message
        for e in relay.wanted
        if isinstance(e, effects.GiveBackend | effects.SendToWorker) and e.generation == 2
    ]
    first = next(i for i, m in enumerate(sent) if isinstance(m, v1.Adopt) and m.backend == "files")
    relay.wanted.clear()
    return sent[first:]


def test_a_cancelled_call_is_cancelled_at_whoever_has_it_next(relay: CustodyDriver) -> None:
    (number,) = orphaned(relay, 5)
    cancel(relay, 5)
    assert relay.wanted == [] and relay.state.calls == {}
    adopt, told, *_ = next_worker(relay)
    assert adopt.calls == [], "nobody waits for it"
    assert (told.call, told.backend) == (number, "files") and told.errand > number
    relay.reply(number, generation=2)
    assert relay.client() == []


def test_the_other_calls_are_not_cancelled(relay: CustodyDriver) -> None:
    one, other = orphaned(relay, 5, 6)
    cancel(relay, 6)
    adopt, told, *_ = next_worker(relay)
    assert [c.call for c in adopt.calls] == [one] and told.call == other


def test_a_call_over_its_limit_is_answered_in_time_and_cancelled_later(
    relay: CustodyDriver,
) -> None:
    number = relay.call_on(5, "slow__think")[1]
    relay.kill(1, {number: Stage.WRITTEN})
    relay.answers_pings = False
    relay.wanted.clear()
    relay.wait(31.0)
    assert "call_timeout_seconds" in str(relay.client())
    told = [e.message for e in relay.state.errands.values()]
    assert [(m.call, m.backend) for m in told if isinstance(m, v1.Cancel)] == [(number, "slow")]


def test_a_question_stays_open_and_its_answer_goes_to_the_process_that_asked(
    relay: CustodyDriver,
) -> None:
    ask(relay)
    relay.kill(1, {})
    assert [m["method"] for m in relay.client()] == ["elicitation/create"], "and not withdrawn"
    answer(relay)
    told = [m for m in next_worker(relay) if isinstance(m, v1.ClientAnswer)]
    assert [(m.backend, m.id, m.pid) for m in told] == [("files", b'"q"', relay.pid_of["files"])]
    assert told[0].errand > 0
    relay.adopted("files")
    relay.frame(v1.Done(told[0].errand), b"", 2)
    assert relay.state.errands == {}


def test_a_question_told_again_is_asked_once(relay: CustodyDriver) -> None:
    ask(relay, at=7)
    relay.kill(1, {})
    relay.client()
    next_worker(relay)
    relay.adopted("files")
    ask(relay, at=7, generation=2)
    assert relay.client() == [] and len(relay.state.asks) == 1
    ask(relay, at=8, generation=2)
    assert len(relay.client()) == 1


def test_an_answer_comes_back_through_whoever_has_it_by_then(relay: CustodyDriver) -> None:
    ask(relay)
    relay.cut_over()
    relay.hand_over("files")
    answer(relay)
    assert [(g, m.id) for g, m in relay.to_worker(v1.ClientAnswer)] == [(2, b'"q"')]


def test_questions_of_backends_without_a_process_are_none_of_its_business(
    relay: CustodyDriver,
) -> None:
    relay.frame(v1.BackendRequest("remote", b"1", 0, "elicitation/create"), b'{"message":"?"}')
    relay.backend_dies("files")
    relay.cut_over()
    relay.frame(v1.Frozen("files", 0), b"left", 1)
    answer(relay)
    assert [(g, m.backend) for g, m in relay.to_worker(v1.ClientAnswer)] == [(1, "remote")]


def test_a_question_of_one_that_dies_meanwhile_is_withdrawn(relay: CustodyDriver) -> None:
    ask(relay)
    relay.kill(1, {})
    relay.client()
    relay.backend_dies("files")
    (withdrawn,) = relay.client()
    assert withdrawn["method"] == "notifications/cancelled" and relay.state.asks == {}


def test_the_dead_ask_nothing(relay: CustodyDriver) -> None:
    """What one has written is read after its end; nobody waits for an answer."""
    relay.backend_dies("files")
    ask(relay)
    assert relay.client() == [] and relay.state.asks == {} and relay.state.errands == {}


def test_a_refusal_reaches_the_backend_like_an_answer() -> None:
    relay = CustodyDriver()
    relay.serve()  # the client can answer no questions
    ask(relay)
    ((_, told, payload),) = relay.frames(v1.ClientAnswer)
    assert told.errand > 0 and json.loads(b"{" + payload)["error"]["code"] == -32601
    relay.kill(1, {})
    again = [m for m in next_worker(relay) if isinstance(m, v1.ClientAnswer)]
    assert [(m.id, m.pid) for m in again] == [(told.id, told.pid)]


def test_nobody_is_told_of_what_is_no_news(relay: CustodyDriver) -> None:
    pid = relay.pid_of["files"]
    number = relay.call_on(5, _meta={"progressToken": "p"})[1]

    def say(at: int, generation: int) -> int:
        news = v1.Notification("files", "notifications/message", pid, at)
        relay.frame(news, b'{"level":"info","data":1}', generation)
        relay.frame(v1.Progress(number, pid, at + 1), b'{"progress":1}', generation)
        return len(relay.client())

    assert say(0, 1) == 2
    relay.kill(1, {number: Stage.WRITTEN})
    next_worker(relay)
    relay.adopted("files")
    assert say(0, 2) == 0 and say(20, 2) == 2
    relay.backend_dies("files")
    relay.frame(v1.BackendState("files", "backing_off", None), b"", 2)
    relay.spawn("files", 2)
    assert relay.relay.charges.is_news(relay.pid_of["files"], 0), "another process, another output"


def test_what_two_backends_say_is_news_each_by_itself(relay: CustodyDriver) -> None:
    for name in ("files", "slow"):
        news = v1.Notification(name, "notifications/message", relay.pid_of[name], 3)
        relay.frame(news, b'{"level":"info","data":1}')
        assert len(relay.client()) == 1


def test_news_of_a_backend_on_its_way_are_told(relay: CustodyDriver) -> None:
    """By the worker that has it yet, though another one serves."""
    relay.line(request(5, "resources/subscribe", uri="file:///a"))
    relay.reply(relay.one(v1.Call).call)
    relay.cut_over()
    relay.client()

    def updated(name: str) -> int:
        method, pid = "notifications/resources/updated", relay.pid_of[name]
        relay.frame(v1.Notification(name, method, pid, 0), b'{"uri":"file:///a"}', 1)
        return len(relay.client())

    assert updated("files") == 1
    relay.control("rollback", 8)
    assert updated("slow") == 1, "and who takes it back says what it has"


# ---- drains


def test_what_is_about_to_move_is_not_cut_off(relay: CustodyDriver) -> None:
    """Its drain is over, and one of its backends is asked back just then."""
    number = relay.call_on(5)[1]
    limits = v1.Limits(probation_seconds=0.0, drain_max_seconds=5.0)
    relay.swap()
    relay.candidate(2, backends=[], limits=limits, states={})
    assert relay.life(1) is Life.DRAINING
    relay.wait(4.0)
    relay.swap(8)
    relay.candidate(3, limits=limits, states={"files": "awaited", "slow": "awaited"})
    relay.wait(2.0)
    assert relay.client() == [] and relay.life(1) is Life.DRAINING
    relay.hand_over("files", 1, 3)
    relay.hand_over("slow", 1, 3)
    assert relay.life(1) is Life.RETIRED
    relay.reply(number, generation=3)
    assert len(relay.client()) == 1


def test_what_stays_is_cut_off_when_the_rest_has_moved(relay: CustodyDriver) -> None:
    limits = v1.Limits(probation_seconds=0.0, drain_max_seconds=5.0)
    relay.call_on(5)
    relay.swap()
    relay.candidate(2, backends=[], limits=limits, states={})
    relay.wait(4.0)
    relay.swap(8)
    relay.candidate(3, backends=[SLOW], limits=limits, states={"slow": "awaited"})
    relay.wait(2.0)
    assert relay.client() == []
    relay.frozen("slow", 1)
    assert "drain_max_seconds" in str(relay.client())
    assert relay.one(v1.Cancel).errand > 0
