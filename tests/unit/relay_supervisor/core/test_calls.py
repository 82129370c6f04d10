"""A request becomes a call of its own number, and comes back under the client's id, once."""

import json
from typing import Any

import pytest

from relay_supervisor.core import events
from relay_supervisor.wire import v1
from tests.unit.relay_supervisor.core.driver import Driver, call, modern, notification, request


@pytest.fixture
def relay() -> Driver:
    driver = Driver()
    driver.serve()
    return driver


ROUTED: list[tuple[str, dict[str, Any], str]] = [
    ("tools/call", {"name": "files__read", "arguments": {"a": 1}}, "files__read"),
    ("prompts/get", {"name": "files__ask"}, "files__ask"),
    ("resources/read", {"uri": "file:///a"}, "file:///a"),
    ("resources/subscribe", {"uri": "file:///a"}, "file:///a"),
    ("resources/unsubscribe", {"uri": "file:///a"}, "file:///a"),
    ("completion/complete", {"ref": {"type": "ref/prompt", "name": "x"}, "argument": {}}, ""),
]


@pytest.mark.parametrize(("method", "params", "name"), ROUTED)
def test_every_routed_method_goes_to_the_worker_byte_for_byte_and_back(
    relay: Driver, method: str, params: dict[str, Any], name: str
) -> None:
    raw = json.dumps(params, indent=1).replace("\n", " ").encode()
    line = b'{"jsonrpc":"2.0","id":"c","method":"%s","params":%s}' % (method.encode(), raw)
    relay.line(line)
    ((generation, message, payload),) = relay.frames(v1.Call)
    tell = not name  # only the worker knows whose prompt or template a completion is for
    assert (generation, message) == (1, v1.Call(1, method, name, v1.LEGACY, tell=tell))
    assert payload == raw
    relay.reply(1, b'"result":{"n": 1.0},"_x":[]}')
    assert relay.raw() == [b'{"jsonrpc":"2.0","id":"c","result":{"n": 1.0},"_x":[]}\n']
    assert relay.state.calls == {} and relay.state.requests == {}
    assert relay.state.retained_bytes == 0


@pytest.mark.parametrize(("method", "params", "name"), ROUTED[:-1])
def test_what_has_no_name_to_be_routed_by_is_refused(
    relay: Driver, method: str, params: dict[str, Any], name: str
) -> None:
    member = "uri" if method.startswith("resources") else "name"
    for wrong in ({}, {**params, member: 5}, {**params, member: None}):
        answer = relay.ask(request(1, method, **wrong))
        assert answer["error"]["code"] == -32602 and member in answer["error"]["message"]
    assert relay.frames(v1.Call) == [] and relay.state.retained_bytes == 0


@pytest.mark.parametrize(
    "raw", [b"7", b'"7"', b"0", b'"\\u0041"', b"-1", b"123456789012345678901234567890"]
)
def test_the_client_gets_its_id_and_its_token_back_as_it_wrote_them(
    relay: Driver, raw: bytes
) -> None:
    relay.line(
        b'{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":'
        b'{"name":"t","_meta":{"progressToken":%s}}}' % (raw, raw)
    )
    relay.frame(v1.Progress(1), b'{"progress":1,"total":2}')
    relay.reply(1)
    progress, answer = relay.raw()
    assert b'"params":{"progressToken":%s,"progress":1,"total":2}' % raw in progress
    assert answer.startswith(b'{"jsonrpc":"2.0","id":%s,' % raw)


def test_ids_that_look_alike_are_different_requests(relay: Driver) -> None:
    relay.line(call(7))
    relay.line(call("7"))
    relay.reply(2, b'"result":"text"}')
    relay.reply(1, b'"result":"number"}')
    assert relay.raw() == [
        b'{"jsonrpc":"2.0","id":"7","result":"text"}\n',
        b'{"jsonrpc":"2.0","id":7,"result":"number"}\n',
    ]


def test_call_numbers_are_never_used_again(relay: Driver) -> None:
    numbers = []
    for _ in range(5):
        relay.line(call(1))
        number = relay.one(v1.Call).call
        relay.reply(number)
        numbers.append(number)
    relay.do(events.WorkerPipeFailed(1, "gone"))
    relay.wait(1)
    relay.hatch(2)
    relay.configure(2)
    relay.line(call(1))
    numbers.append(relay.one(v1.Call).call)
    assert numbers == [1, 2, 3, 4, 5, 6]


def test_an_id_in_use_is_refused_under_null_and_the_first_request_lives(relay: Driver) -> None:
    relay.line(call(1))
    answer = relay.ask(call(1))
    assert answer["id"] is None and answer["error"]["code"] == -32600
    relay.reply(1)
    (late,) = relay.client()
    assert late["id"] == 1 and "result" in late
    relay.frames(v1.Call)
    relay.line(call(1))
    assert relay.one(v1.Call).call == 2, "an answered id is free again"


def test_a_second_reply_a_late_one_and_one_to_nothing_are_dropped_and_counted(
    relay: Driver,
) -> None:
    relay.line(call(1))
    relay.reply(1)
    assert len(relay.client()) == 1
    relay.reply(1)
    relay.reply(999)
    assert relay.client() == []
    assert relay.state.counts.late_replies == 2


def test_a_reply_from_a_generation_that_did_not_get_the_call_is_dropped(relay: Driver) -> None:
    relay.line(call(1))
    relay.do(events.WorkerPipeFailed(1, "gone"))
    relay.wait(1)
    relay.hatch(2)
    relay.configure(2)
    relay.client()
    relay.line(call(2))
    relay.reply(2, generation=1)
    relay.reply(1, generation=2)
    assert relay.client() == []
    relay.reply(2, b'"result":"mine"}', generation=2)
    (answer,) = relay.client()
    assert (answer["id"], answer["result"]) == (2, "mine")


def test_progress_stops_with_the_answer_and_is_not_sent_without_a_token(relay: Driver) -> None:
    relay.line(call(1, _meta={"progressToken": "t"}))
    relay.line(call(2))
    relay.frame(v1.Progress(2), b'{"progress":1}')
    relay.frame(v1.Progress(77), b'{"progress":1}')
    assert relay.client() == []
    relay.frame(v1.Progress(1), b"{}")
    (progress,) = relay.client()
    assert progress["params"] == {"progressToken": "t"}
    relay.reply(1)
    relay.client()
    relay.frame(v1.Progress(1), b'{"progress":2}')
    assert relay.client() == []


def test_what_was_subscribed_successfully_is_remembered_for_the_next_worker(
    relay: Driver,
) -> None:
    for number, (method, uri, outcome) in enumerate(
        [
            ("subscribe", "file:///a", v1.OUTCOME_RESULT),
            ("subscribe", "file:///a", v1.OUTCOME_RESULT),
            ("subscribe", "file:///b", v1.OUTCOME_BACKEND_ERROR),
            ("subscribe", "file:///c", v1.OUTCOME_RESULT),
            ("unsubscribe", "file:///c", v1.OUTCOME_RESULT),
            ("unsubscribe", "file:///a", v1.OUTCOME_BACKEND_ERROR),
        ],
        start=1,
    ):
        relay.line(request(number, f"resources/{method}", uri=uri))
        relay.reply(number, outcome=outcome)
    relay.do(events.WorkerPipeFailed(1, "gone"))
    relay.wait(1)
    relay.hatch(2)
    relay.configure(2)
    assert relay.one(v1.Subscriptions) == v1.Subscriptions(["file:///a"])


def test_the_era_of_each_call_is_told_to_the_worker(relay: Driver) -> None:
    relay.line(call(1))
    relay.line(modern(2, "tools/call", name="t"))
    assert [(m.call, m.era) for _, m in relay.to_worker(v1.Call)] == [
        (1, v1.LEGACY),
        (2, v1.MODERN),
    ]


def test_a_worker_that_dies_answers_all_it_had_with_the_outcome_unknown(relay: Driver) -> None:
    relay.line(call(1))
    relay.line(request(2, "resources/subscribe", uri="file:///a"))
    relay.line(modern(3, "tools/call", name="t"))
    relay.do(events.WorkerPipeFailed(1, "gone"))
    assert relay.client() == [], "what became of them is known when its death is proven"
    relay.die()
    tool, subscribe, modern_tool = relay.client()
    assert tool["result"]["isError"] is True and "resultType" not in tool["result"]
    assert "unknown" in tool["result"]["content"][0]["text"]
    assert subscribe["error"]["code"] == -32010
    assert modern_tool["result"]["resultType"] == "complete"
    assert relay.state.counts.unknown_outcome == 3
    assert relay.state.calls == {} and relay.state.retained_bytes == 0


def test_a_cancel_goes_to_the_worker_that_has_the_call_with_its_reason(relay: Driver) -> None:
    relay.line(call(1))
    relay.line(notification("notifications/cancelled", requestId=1, reason="bored"))
    ((generation, message, payload),) = relay.frames(v1.Cancel)
    assert (generation, message) == (1, v1.Cancel(1))
    assert json.loads(payload) == {"requestId": 1, "reason": "bored"}
    relay.reply(1)
    assert relay.client() == []
