"""Which era a stdio backend is spoken to in, and how it is heard in the modern one."""

import json
from typing import Any

import pytest

from relay_supervisor.wire import v1
from relay_worker.backends.base import State
from relay_worker.backends.client import MODERN_PROTOCOL, client_of
from relay_worker.backends.speech import PROBE_SECONDS
from tests.unit.relay_worker.backends.handing import Make, hand, heir
from tests.unit.relay_worker.backends.modern_stage import (
    DISCOVERED,
    META,
    answer_lists,
    connect,
    of,
    told,
)
from tests.unit.relay_worker.backends.stage import Process, Stage

INITIALIZED = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {}}
UNKNOWN = {"code": -32601, "message": "what?"}
LISTEN = "subscriptions/listen"


@pytest.fixture
def modern(stage: Make) -> Stage:
    """A worker with a client of the modern era."""
    one = stage(client=False)
    meet_modern(one)
    return one


def meet_modern(stage: Stage) -> None:
    params = {"protocolVersion": MODERN_PROTOCOL, "capabilities": {"elicitation": {}}}
    session = v1.Session(v1.MODERN, MODERN_PROTOCOL, "")
    stage.backend.introduce(client_of(session, json.dumps(params).encode()))


def first(process: Process) -> dict[str, Any]:
    """The one thing it was asked."""
    (found,) = process.heard()
    return found


def finish(stage: Stage, process: Process) -> list[dict[str, Any]]:
    """Answer the rest up to READY; returns what was said besides."""
    rest = answer_lists(stage, process)
    assert stage.backend.state is State.READY
    return rest


class TestEras:
    def test_a_modern_client_is_put_into_modern_words(self, modern: Stage) -> None:
        process = modern.start_process()
        discover = first(process)
        assert discover["method"] == "server/discover"
        capabilities = discover["params"]["_meta"][f"{META}clientCapabilities"]
        assert capabilities == {"elicitation": {}}
        process.say(id=discover["id"], result=DISCOVERED)
        modern.turn()
        finish(modern, process)
        assert modern.backend.modern and modern.backend.lists is not None
        assert modern.backend.lists.protocol == MODERN_PROTOCOL
        own = {f"{META}protocolVersion": MODERN_PROTOCOL, f"{META}logLevel": "debug", "k": 1}
        process.heard()
        modern.backend.call(7, "tools/call", json.dumps({"name": "t", "_meta": own}).encode())
        modern.turn()
        assert first(process)["params"]["_meta"].items() >= own.items()
        asking = {"resultType": "input_required", "requestState": "s"}
        process.say(id=7, result=asking)
        modern.turn()
        assert len(told(modern, "replied")) == 1, "what it asks for is the client's"

    def test_a_refusal_leads_to_initialize_and_is_remembered(self, modern: Stage) -> None:
        process = modern.start_process()
        process.say(id=first(process)["id"], error=UNKNOWN)
        modern.turn()
        greeting = first(process)
        assert greeting["method"] == "initialize"
        process.say(id=greeting["id"], result=INITIALIZED)
        modern.turn()
        finish(modern, process)
        assert not modern.backend.modern
        modern.exit()
        modern.wait(2)
        assert first(modern.start_process())["method"] == "initialize"

    def test_silence_costs_three_seconds_once(self, modern: Stage) -> None:
        process = modern.start_process()
        assert first(process)["method"] == "server/discover"
        modern.wait(PROBE_SECONDS - 0.1)
        assert process.heard() == [] and PROBE_SECONDS <= 3
        modern.wait(0.1)
        process.say(id=first(process)["id"], result=INITIALIZED)
        modern.turn()
        finish(modern, process)
        modern.exit()
        modern.wait(2)
        assert first(modern.start_process())["method"] == "initialize"

    @pytest.mark.parametrize("refuses", [True, False])
    def test_an_answer_that_is_late_counts(self, modern: Stage, *, refuses: bool) -> None:
        """A slow start reads both questions at once, and may answer the first alone."""
        process = modern.start_process()
        discover = first(process)
        modern.wait(PROBE_SECONDS)
        greeting = first(process)
        process.say(id=discover["id"], result=DISCOVERED)
        if refuses:
            process.say(id=greeting["id"], error=UNKNOWN)
        modern.turn()
        finish(modern, process)
        assert modern.backend.modern

    def test_one_that_refuses_initialize_may_yet_answer_discover(self, modern: Stage) -> None:
        process = modern.start_process()
        discover = first(process)
        modern.wait(PROBE_SECONDS)
        process.say(id=first(process)["id"], error=UNKNOWN)
        modern.turn()
        assert modern.backend.state is State.CONNECTING
        process.say(id=discover["id"], result=DISCOVERED)
        modern.turn()
        finish(modern, process)
        assert modern.backend.modern

    def test_a_late_refusal_does_not(self, modern: Stage) -> None:
        process = modern.start_process()
        discover = first(process)
        modern.wait(PROBE_SECONDS)
        process.say(id=discover["id"], error=UNKNOWN)
        process.say(id=first(process)["id"], result=INITIALIZED)
        modern.turn()
        finish(modern, process)
        assert not modern.backend.modern

    def test_one_that_dies_of_the_question_is_not_asked_again(self, modern: Stage) -> None:
        process = modern.start_process()
        assert first(process)["method"] == "server/discover"
        modern.exit(1)
        modern.wait(2)
        assert first(modern.start_process())["method"] == "initialize"

    def test_one_that_refuses_initialize_and_is_silent_then_is_not_waited_for(
        self, stage: Make
    ) -> None:
        one = stage()
        process = one.start_process()
        process.say(id=first(process)["id"], error={"code": -32000, "message": "no licence"})
        one.turn()
        assert first(process)["method"] == "server/discover"
        one.wait(PROBE_SECONDS - 0.1)
        assert one.backend.state is State.CONNECTING
        one.wait(0.1)
        assert one.backend.state is State.ENDING
        assert one.backend.last_error is not None and "no licence" in one.backend.last_error

    def test_one_of_no_era_is_told_by_what_it_made_of_initialize(self, stage: Make) -> None:
        one = stage()
        process = one.start_process()
        for text in ("no initialize", "no discover"):
            process.say(id=first(process)["id"], error={"code": -1, "message": text})
            one.turn()
        assert one.backend.state is State.ENDING
        assert "no initialize" in (one.backend.last_error or "")

    def test_it_moves_between_any_two_messages_of_the_handshake(self, stage: Make) -> None:
        one = stage()
        process = one.start_process()
        asked: list[dict[str, Any]] = []
        refused = {"code": -32022, "message": "no"}
        workers = 1
        while one.backend.state is not State.READY:
            other = heir(stage)
            hand(one, other, process)
            one, workers = other, workers + 1
            asked += [message for message in process.heard() if "id" in message]
            if asked:
                request = asked.pop(0)
                if request["method"] == "initialize":
                    process.say(id=request["id"], error=refused)
                else:
                    lists = {"tools": [], "resources": [], "resourceTemplates": []}
                    process.say(id=request["id"], result={**DISCOVERED, **lists})
                one.turn()
        assert one.backend.modern and workers > 5


class TestListening:
    def test_for_all_there_is(self, stage: Make) -> None:
        one = stage()
        process = connect(one)
        listen = first(process)
        assert listen["method"] == LISTEN
        wanted = {"toolsListChanged": True, "resourcesListChanged": True}
        assert listen["params"]["notifications"] == wanted
        stamp = {"_meta": {f"{META}subscriptionId": listen["id"]}}
        process.say(method="notifications/subscriptions/acknowledged", params=stamp)
        process.say(method="notifications/tools/list_changed", params=stamp)
        process.say(method="notifications/resources/updated", params={"uri": "a://b", **stamp})
        one.turn()
        assert [message["method"] for message in process.heard()] == ["tools/list"]
        updated = ("notifications/resources/updated", b'{"uri":"a://b"}')
        assert told(one, "notified") == [updated]

    @pytest.mark.parametrize("by_call", [True, False])
    def test_for_resources(self, stage: Make, *, by_call: bool) -> None:
        one = stage()
        process = connect(one)
        before = first(process)["id"]
        if by_call:
            one.backend.call(7, "resources/subscribe", b'{"uri":"a://b"}')
            one.backend.call(8, "resources/subscribe", b'{"uri":"a://c"}')
        else:
            one.backend.subscribe(frozenset({"a://b", "a://c"}))
        one.turn()
        heard = process.heard()
        *_, listen = of(heard, LISTEN)
        assert listen["params"]["notifications"]["resourceSubscriptions"] == ["a://b", "a://c"]
        cancelled = [one["params"]["requestId"] for one in of(heard, "notifications/cancelled")]
        assert cancelled[0] == before and listen["id"] not in cancelled
        assert not of(heard, "resources/subscribe")
        answered = [told_of[0] for told_of in told(one, "replied")]
        assert answered == ([7, 8] if by_call else [])

    def test_a_subscription_is_answered_before_it_goes_to_another_worker(self, stage: Make) -> None:
        one, two = stage(), heir(stage)
        process = connect(one)
        one.backend.call(7, "resources/subscribe", b'{"uri":"a://b"}')
        one.backend.subscribed("a://b", wanted=True)
        one.backend.freeze()
        assert [told_of[0] for told_of in told(one, "replied")] == [7]
        two.adopt(process, one.payloads[v1.Frozen])
        process.heard()
        two.backend.subscribe(frozenset())
        two.turn()
        heard = process.heard()
        assert "resourceSubscriptions" not in of(heard, LISTEN)[0]["params"]["notifications"]
        assert len(of(heard, "notifications/cancelled")) == 1, "the one of the worker before"

    def test_for_tasks(self, stage: Make) -> None:
        """Now, with the next process, and under the next worker."""
        one, two = stage(), heir(stage)
        process = connect(one)
        before = first(process)["id"]
        for _ in range(2):
            one.backend.watch(frozenset({"t2", "t1"}))
        one.turn()
        listen, cancelled = process.heard()
        assert listen["params"]["notifications"]["taskIds"] == ["t1", "t2"]
        assert cancelled["params"]["requestId"] == before
        process.say(method="notifications/tasks", params={"taskId": "t1"})
        one.turn()
        assert told(one, "notified") == [("notifications/tasks", b'{"taskId": "t1"}')]
        two.backend.watch(frozenset({"t1"}))
        hand(one, two, process)
        listen, cancelled = process.heard()
        assert listen["params"]["notifications"]["taskIds"] == ["t1"]

    def test_its_end(self, stage: Make) -> None:
        one = stage()
        process = connect(one)
        process.say(id=first(process)["id"], error=UNKNOWN)
        one.turn()
        assert process.heard() == [] and one.backend.state is State.READY


def test_what_has_no_words_there_is_not_said(stage: Make) -> None:
    one = stage(client=False)
    one.introduce(roots={"listChanged": True})
    process = connect(one)
    process.heard()
    one.backend.notify("notifications/roots/list_changed", b"{}", "roots")
    one.backend.set_level("info")
    process.say(id="by itself", method="roots/list")
    one.turn()
    assert process.heard() == [] and told(one, "asked") == []
    one.backend.call(7, "tools/call", b"{}")
    one.turn()
    assert first(process)["params"]["_meta"][f"{META}logLevel"] == "info"
