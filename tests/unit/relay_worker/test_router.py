"""Calls on their way, with backends and a clock of our own."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from relay_supervisor.wire import v1
from relay_worker.backends.base import State
from relay_worker.flights import AGAIN_BYTES_MAX
from tests.unit.relay_worker.router_stage import LISTS, Stage


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    one = Stage(monkeypatch)
    yield one
    one.loop.close()
    assert one.errors == []


@pytest.mark.parametrize(
    ("method", "params", "sent"),
    [
        ("tools/call", {"name": "one__echo", "x": 1}, {"name": "echo", "x": 1}),
        ("prompts/get", {"name": "one__greet"}, {"name": "greet"}),
        ("resources/read", {"uri": "a://b"}, {"uri": "a://b"}),
        ("resources/read", {"uri": "a://item/7"}, {"uri": "a://item/7"}),
        ("resources/subscribe", {"uri": "a://b"}, {"uri": "a://b"}),
        ("resources/unsubscribe", {"uri": "a://b"}, {"uri": "a://b"}),
        (
            "completion/complete",
            {"ref": {"type": "ref/prompt", "name": "one__greet", "y": 2}, "argument": {}},
            {"ref": {"type": "ref/prompt", "name": "greet", "y": 2}, "argument": {}},
        ),
        (
            "completion/complete",
            {"ref": {"type": "ref/resource", "uri": "a://item/{id}"}},
            {"ref": {"type": "ref/resource", "uri": "a://item/{id}"}},
        ),
    ],
)
def test_requests_go_to_their_backend_under_its_names(
    stage: Stage, method: str, params: dict[str, Any], sent: dict[str, Any]
) -> None:
    stage.call(7, method, {**params, "_meta": {"progressToken": "t"}})
    assert stage.one.told == [(7, method, {**sent, "_meta": {"progressToken": 7}})]
    assert stage.two.told == [] and stage.sent == []


@pytest.mark.parametrize("era", [v1.LEGACY, v1.MODERN])
@pytest.mark.parametrize(
    ("method", "params", "code", "text"),
    [
        ("tools/call", {"name": "one__x"}, -32602, "Unknown tool: one__x"),
        ("tools/call", {}, -32602, "Unknown tool: "),
        ("prompts/get", {"name": "x"}, -32602, "Unknown prompt: x"),
        ("completion/complete", {}, -32602, "completion/complete needs a ref"),
        ("completion/complete", {"ref": {}}, -32602, "Unknown completion ref: None"),
        (
            "completion/complete",
            {"ref": {"type": "ref/prompt", "name": "x"}},
            -32602,
            "Unknown prompt: x",
        ),
        ("tasks/get", {}, -32601, "Method not found: tasks/get"),
    ],
)
def test_what_nobody_has_is_refused(
    stage: Stage, era: int, method: str, params: dict[str, Any], code: int, text: str
) -> None:
    stage.call(7, method, params, era)
    assert stage.answers() == {7: {"error": {"code": code, "message": text}}}


def test_a_resource_nobody_has_depends_on_the_era(stage: Stage) -> None:
    stage.known["two"] = LISTS  # with one owner only, it would be asked
    stage.adopt()
    for number, era in enumerate((v1.LEGACY, v1.MODERN)):
        stage.call(number, "resources/read", {"uri": "x://y"}, era)
    codes = [stage.answers()[number]["error"]["code"] for number in (0, 1)]
    assert codes == [-32002, -32602]


def test_a_modern_client_gets_modern_answers(stage: Stage) -> None:
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "progressToken": 1}
    stage.call(7, "tools/call", {"name": "one__echo", "_meta": meta}, v1.MODERN)
    assert stage.one.told[0][2]["_meta"] == {"progressToken": 7}
    stage.reply(stage.one, 7, b'{"id":7,"result":{"content":[]}}')
    assert stage.answers()[7]["result"]["resultType"] == "complete"
    stage.one.refusal = "does not read"
    stage.call(8, "tools/call", {"name": "one__echo"}, v1.MODERN)
    result = stage.answers()[8]["result"]
    assert result["isError"] and result["resultType"] == "complete"


def test_a_call_waits_for_its_backend_and_starts_it(stage: Stage) -> None:
    stage.one.state = State.IDLE
    stage.tool(7)
    stage.tool(8)
    assert stage.one.told == ["want", "want"] and stage.sent == []
    stage.one.state = State.READY
    stage.router.look_again()
    stage.router.look_again()
    assert [told[0] for told in stage.one.told if told != "want"] == [7, 8]


def test_a_start_that_fails_answers_the_calls_that_waited_for_it(stage: Stage) -> None:
    stage.one.state = State.FAILED
    stage.tool(7)
    stage.call(8, "prompts/get", {"name": "one__greet"})
    stage.one.state = State.BACKING_OFF
    stage.router.look_again()
    assert stage.sent == []
    stage.one.state = State.FAILED
    stage.router.look_again()
    assert stage.one.told.count("want") == 4, "a retry is wanted, not forced"
    answers = stage.answers()
    assert answers[7]["result"]["isError"]
    assert answers[7]["result"]["content"][0]["text"] == "trouble with one"
    assert answers[8]["error"] == {"code": -32000, "message": "trouble with one"}


def test_a_backend_that_cannot_even_be_tried_is_told_at_once(stage: Stage) -> None:
    stage.one.state = State.FAILED
    stage.one.after_want = State.FAILED
    stage.tool(7)
    assert stage.answers()[7]["result"]["isError"]


def test_no_call_waits_longer_than_a_start_may_take(stage: Stage) -> None:
    stage.one.state = State.SPAWNING
    stage.tool(7)
    for _ in range(29):
        stage.clock += 1
        stage.router.look_again()
        stage.loop.turn(0)
    assert stage.sent == []
    stage.clock += 1.5
    stage.loop.turn(0)
    text = stage.answers()[7]["result"]["content"][0]["text"]
    assert text.startswith("trouble with one\n") and "start_timeout_seconds" in text
    stage.one.state = State.READY
    stage.router.look_again()
    assert len(stage.sent) == 1 and not any(told != "want" for told in stage.one.told)


def test_before_there_is_a_catalogue_everything_waits(stage: Stage) -> None:
    stage.router.catalogue = None
    stage.tool(7)
    stage.call(8, "unheard/of")
    stage.router.look_again()
    assert stage.sent == []
    stage.adopt()
    stage.router.look_again()
    assert stage.one.told[0][0] == 7 and stage.answers()[8]["error"]["code"] == -32601


def test_a_name_waits_for_the_backend_of_its_prefix(stage: Stage) -> None:
    stage.two.lists, stage.two.learning, stage.two.state = None, True, State.SPAWNING
    stage.tool(7, "two__echo")
    stage.tool(8, "two__nothing")
    stage.tool(9, "one__nothing")
    assert list(stage.answers()) == [9], "its owner has said what it has"
    stage.two.lists, stage.two.learning, stage.two.state = LISTS, False, State.READY
    stage.known["two"] = LISTS
    stage.adopt()
    stage.router.look_again()
    assert stage.two.told[-1][0] == 7
    assert stage.answers()[8]["error"]["message"] == "Unknown tool: two__nothing"


def test_a_name_without_a_known_prefix_waits_for_whoever_is_still_learned(stage: Stage) -> None:
    stage.two.lists, stage.two.learning, stage.two.state = None, True, State.SPAWNING
    stage.tool(7, "whose")
    stage.call(8, "resources/read", {"uri": "x://y"})
    assert stage.sent == [] and stage.one.told == [(8, "resources/read", {"uri": "x://y"})]
    stage.two.learning, stage.two.state = False, State.FAILED
    stage.router.look_again()
    assert stage.answers()[7]["error"]["code"] == -32602


def test_a_failed_backend_whose_lists_are_unknown_is_tried_for_its_prefix(stage: Stage) -> None:
    stage.two.lists, stage.two.state = None, State.FAILED
    stage.tool(7, "two__echo")
    assert stage.two.told == ["want"] and stage.sent == []
    stage.two.state = State.FAILED
    stage.router.look_again()
    assert stage.answers()[7]["result"]["content"][0]["text"] == "trouble with two"


def test_a_catalogue_that_rests_is_brought_up_to_date_for_an_unknown_name(stage: Stage) -> None:
    def refresh() -> bool:
        stage.known["two"] = LISTS
        stage.adopt()
        return True

    stage.router.refresh = refresh
    stage.tool(7, "two__echo")
    assert stage.two.told[0][0] == 7


def test_cancelled_calls_are_never_answered(stage: Stage) -> None:
    stage.one.state = State.SPAWNING
    stage.tool(7)
    stage.router.cancel(v1.Cancel(7), b"")
    stage.one.state = State.READY
    stage.tool(8)
    stage.router.cancel(v1.Cancel(8), b'{"requestId":"theirs","reason":"r","_meta":{"x":1}}')
    stage.router.cancel(v1.Cancel(9), b"")
    stage.router.look_again()
    stage.reply(stage.one, 8, b'{"id":8,"result":{}}')
    stage.clock += 1000
    stage.loop.turn(0)
    assert stage.sent == []
    params = {"requestId": 8, "reason": "r", "_meta": {"x": 1}}
    assert stage.one.told[-1] == ("cancel", 8, params)


def test_calls_that_died_with_their_backend_are_answered(stage: Stage) -> None:
    stage.tool(7)
    stage.call(8, "resources/read", {"uri": "a://b"})
    stage.router.lost(stage.one, [7, 8, 99], "it exited with status 3")
    answers = stage.answers()
    text = answers[7]["result"]["content"][0]["text"]
    assert "'one' died" in text and "status 3" in text and "may have run" in text
    assert answers[8]["error"]["code"] == -32000
    stage.tool(9)
    stage.router.unusable(stage.one, 9, "is over frame_bytes_max")
    assert "frame_bytes_max" in stage.answers()[9]["result"]["content"][0]["text"]


def test_calls_that_were_never_read_are_sent_again_but_once(stage: Stage) -> None:
    stage.tool(7, extra=1)
    stage.tool(8, text="x" * AGAIN_BYTES_MAX)
    stage.tool(9)
    stage.reply(stage.one, 9, b'{"id":9,"result":{}}')
    sent = stage.one.told[0]
    stage.one.state, stage.one.told = State.BACKING_OFF, []
    stage.router.unread(stage.one, [7, 8, 9], "it was ended by SIGKILL")
    text = stage.answers()[8]["result"]["content"][0]["text"]
    assert "died before it read this call" in text and "has not run" in text
    stage.one.state = State.READY
    stage.router.look_again()
    assert stage.one.told == ["want", sent]
    stage.router.unread(stage.one, [7], "it was ended by SIGKILL")
    assert "has not run" in stage.answers()[7]["result"]["content"][0]["text"]


def test_a_backend_that_is_gone_from_the_configuration(stage: Stage) -> None:
    stage.router.backends = {}
    stage.tool(7)
    assert stage.answers()[7]["result"]["isError"]


def test_a_bug_of_ours_is_an_error_of_the_call(stage: Stage) -> None:
    stage.router.failed(v1.Call(7, "tools/call", "x", v1.LEGACY))
    assert stage.answers()[7]["error"]["code"] == -32603


def test_messages_beside_calls_are_passed_on(stage: Stage) -> None:
    router, one = stage.router, stage.one
    stage.tool(7)
    router.progressed(one, 7, b"{}", 10)
    router.progressed(one, 8, b"{}", 11)
    router.asked(one, 5, b'"q"', "roots/list", b"", 12)
    router.withdrew(one, 5, b'"q"', b"{}")
    router.notified(one, "notifications/message", b"{}", 13)
    assert stage.sent == [
        (v1.Progress(7, 1, 10), b"{}"),
        (v1.Progress(8, 1, 11, "one"), b"{}"),  # of a task, if at all
        (v1.BackendRequest("one", b'"q"', 5, "roots/list", 12), b""),
        (v1.BackendCancel("one", b'"q"', 5), b"{}"),
        (v1.Notification("one", "notifications/message", 1, 13), b"{}"),
    ]
    one.told.clear()
    router.answer(v1.ClientAnswer("one", b'"q"', 5), b'"result":{}}')
    router.answer(v1.ClientAnswer("gone", b'"q"', 5), b'"result":{}}')
    router.set_level("info")
    token = b'{"progressToken":"relay:one:7","progress":1}'
    router.notification(v1.ClientNotification("notifications/progress"), token)
    router.notification(v1.ClientNotification("notifications/progress"), b"{}")
    router.notification(v1.ClientNotification("notifications/roots/list_changed"), b"")
    router.notification(v1.ClientNotification("notifications/unheard_of"), b"")
    assert one.told == [
        ("answer", 5, b'"q"', b'"result":{}}'),
        ("level", "info"),
        ("notify", "notifications/progress", b'{"progressToken":7,"progress":1}', None),
        ("notify", "notifications/roots/list_changed", b"", "roots"),
    ]


def test_each_backend_is_told_its_share_of_the_subscriptions(stage: Stage) -> None:
    stage.known["two"] = msgspec.structs.replace(
        LISTS, resources=[b'{"uri":"t://t","name":"t"}'], templates=[]
    )
    stage.router.resources.subscribe(["a://b", "t://t", "none://x"])
    only = [("subscribe", ["a://b", "none://x", "t://t"])]
    assert stage.one.told == only, "it is the only one with resources so far"
    stage.adopt()
    assert stage.one.told[1:] == [("subscribe", ["a://b"])]
    assert stage.two.told == [("subscribe", ["t://t"])]
    stage.call(7, "resources/unsubscribe", {"uri": "t://t"})
    stage.reply(stage.two, 7, b'{"id":7,"error":{"code":1,"message":"no"}}')
    stage.call(8, "resources/unsubscribe", {"uri": "t://t"})
    stage.reply(stage.two, 8, b'{"id":8,"result":{}}')
    assert stage.two.told[-1] == ("subscribed", "t://t", False)
    stage.call(9, "resources/subscribe", {"uri": "a://item/1"})
    stage.reply(stage.one, 9, b'{"id":9,"result":{}}')
    stage.adopt()
    assert stage.one.told[-1] == ("subscribe", ["a://b", "a://item/1"])
    stage.router.resources.subscribe([])
    assert stage.one.told[-1] == ("subscribe", [])


def test_what_the_relay_answers_itself_is_answered_once(stage: Stage) -> None:
    stage.tool(7)
    stage.router.finish(7, b'"result":{}}')
    stage.router.finish(7, b'"result":{}}')
    stage.router.finish(8, b'"result":{}}')
    assert stage.answers() == {7: {"result": {}}}


def test_calls_of_the_relays_own_are_answered_here(stage: Stage) -> None:
    done: list[tuple[int, bytes]] = []

    def ask(number: int, name: str = "one__echo") -> None:
        message = v1.Call(number, "tools/call", name, v1.LEGACY)
        params = b'{"name":"%b"}' % name.encode()
        stage.router.call_for(message, params, lambda *answer: done.append(answer))

    ask(-1)
    assert stage.one.told == [(-1, "tools/call", {"name": "echo"})]
    stage.reply(stage.one, -1, b'{"id":0,"result":{}}')
    stage.reply(stage.one, -1, b'{"id":0,"result":{}}')
    assert done == [(v1.OUTCOME_RESULT, b'"result":{}}')]
    ask(-2)
    large = b'{"id":0,"result":{"x":"%b"}}' % (b"y" * (64 << 10))
    stage.reply(stage.one, -2, large)
    assert done[1] == (v1.OUTCOME_RESULT, large.removeprefix(b'{"id":0,'))
    ask(-3, "none__echo")
    assert done[2][0] == v1.OUTCOME_REFUSED and b"Unknown tool" in done[2][1]
    assert stage.answers() == {}


def test_a_call_of_the_relays_own_waits_and_is_withdrawn_like_any_other(stage: Stage) -> None:
    done: list[tuple[int, bytes]] = []
    stage.one.state = State.SPAWNING
    message = v1.Call(-7, "tools/call", "one__echo", v1.LEGACY)
    stage.router.call_for(message, b"{}", lambda *answer: done.append(answer))
    assert stage.router.waits(-7)
    stage.one.state = State.READY
    stage.router.look_again()
    assert not stage.router.waits(-7)
    stage.router.cancel(v1.Cancel(-7), b"")
    assert stage.one.told[-1] == ("cancel", -7, {"requestId": "relay-call-7"})
    stage.reply(stage.one, -7, b'{"id":0,"result":{}}')
    assert done == [] and stage.answers() == {}


def test_a_modern_backend_gets_a_modern_clients_words(stage: Stage) -> None:
    stage.one.modern = True
    meta = {f"io.modelcontextprotocol/{key}": {} for key in ("clientCapabilities", "logLevel")}
    stage.call(7, "tools/call", {"name": "one__echo", "_meta": meta}, v1.MODERN)
    ((_, _, params),) = stage.one.told
    assert params["_meta"] == meta


def test_a_legacy_client_gets_none_of_a_modern_backends_members(stage: Stage) -> None:
    stage.one.modern = True
    extra = {"resultType": "complete", "ttlMs": 5, "cacheScope": "public"}
    for call, era in ((7, v1.LEGACY), (8, v1.MODERN)):
        stage.call(call, "resources/read", {"uri": "a://b"}, era)
        result = {"contents": [], **extra, "x": 1}
        stage.reply(stage.one, call, msgspec.json.encode({"id": call, "result": result}))
    answers = stage.answers()
    assert answers[7]["result"] == {"contents": [], "x": 1}
    assert answers[8]["result"] == {"contents": [], **extra, "x": 1}
