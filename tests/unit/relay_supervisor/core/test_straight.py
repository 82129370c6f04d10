"""The straight way does what the long way does: each is held against the other, event by event.

What it must not take, as something else has to be done there, goes the long way in both.
"""

import json
from typing import Any

import pytest

from relay_supervisor.core import events
from relay_supervisor.core.envelope import CAPABILITIES, LOG_LEVEL, VERSION
from relay_supervisor.core.straight import Straight
from relay_supervisor.wire import cache, v1
from tests.unit.relay_supervisor.core import driver
from tests.unit.relay_supervisor.core.driver import BODY, call, modern, notification, request


class Both:
    """Two relays to which the same happens; in one of them the straight way is never open."""

    def __init__(
        self, *, limits: v1.Limits | None = None, greeted: bool = True, protocol: str = "2025-11-25"
    ) -> None:
        self.one, self.other = driver.Driver(), driver.Driver()
        self.other.relay._straight.look = lambda: None  # type: ignore[method-assign]
        self.went: list[bool] = []
        for relay in (self.one, self.other):
            relay.start(limits=limits)
            if greeted:
                relay.greet(protocol)
                relay.line(call("first"))  # from now on there is a heartbeat
                relay.reply(1)
        self._watch(self.one.relay._straight)

    def _watch(self, straight: Straight) -> None:
        for kind, way in straight._both.items():

            def watched(event: Any, now: float, way: Any = way) -> Any:
                effect = way(event, now)
                self.went.append(effect is not None)
                return effect

            straight._both[kind] = watched

    def do(self, event: events.AnyEvent) -> bool:
        """Let it happen; return whether it went the straight way, where there is one."""
        self.went.clear()
        for relay in (self.one, self.other):
            relay.now += 0.25
            relay.wanted.clear()
            relay.do(event)
        assert self.one.wanted == self.other.wanted
        assert self.one.relay.export() == self.other.relay.export()
        return self.went == [True]

    def line(self, message: object) -> bool:
        """The client writes a line."""
        text = message if isinstance(message, bytes) else json.dumps(message).encode()
        return self.do(events.ClientLine(text))

    def reply(self, outcome: int = v1.OUTCOME_RESULT, generation: int = 1, number: int = 0) -> bool:
        """A worker answers the last call."""
        reply = v1.Reply(number or self.one.state.last_call, outcome)
        return self.do(events.WorkerFrame(generation, v1.encode(reply), b'"result":{"ok":1}}'))


def raw(key: str, rest: str = "") -> bytes:
    """A call with its id as it is written, and with more behind it."""
    params = '{"name":"files__read","arguments":{}}'
    text = f'{{"jsonrpc":"2.0","id":{key},"method":"tools/call","params":{params}{rest}}}'
    return text.encode()


PLAIN = (
    call(7),
    call("seven"),
    call(0),
    call("\x00odd"),
    call(7, _meta={"progressToken": 12, "claudecode/toolUseId": "t"}),
    modern(7, "tools/call", name="files__read", arguments={}),
    modern(7, "tools/call", name="files__read", _meta={"progressToken": 3}),
    raw("-5"),
    raw("7").replace(b"{}", '{"a":"\u00e9"}'.encode()),
    raw("9223372036854775807"),
    raw("9223372036854775808"),
    raw('"\\u0041"', ',"extra":[1]'),
)


@pytest.mark.parametrize("line", PLAIN, ids=str)
def test_a_plain_call_goes_the_straight_way_and_does_all_that_the_long_one_does(line: Any) -> None:
    both = Both()
    assert both.line(line)
    assert both.reply()
    assert not both.one.state.calls and not both.one.state.retained_bytes


OTHER = (
    b"",
    b"{",
    b'{"a":"\xff"}',
    raw("1.5"),
    raw("null"),
    raw("true"),
    raw('"\\ud800"'),
    b"[" + raw("7") + b"]",
    raw("7").replace(b"2.0", b"1.0"),
    raw("7").replace(b"{}", b'{"a":"\xff"}'),
    raw("7").replace(b"files__read", "files__read\u00e9".encode()),
    raw("7").replace(b'"files__read"', b"5"),
    raw("7").replace(b'"files__read"', b"null"),
    request(7, "tools/call"),
    request(7, "tools/call", arguments={}),
    request(7, "tools/list"),
    request(7, "nobody/knows", name="files__read"),
    request(7, "prompts/get", name="files__ask"),
    notification("tools/call", name="files__read"),
    call(7, "not__known"),
    call(7, "slow__think"),  # its backend has a time-out
    call(7, _meta={"progressToken": "a token"}),
    call(7, _meta={"progressToken": 1.5}),
    call(7, _meta=5),
    modern(7, "tools/call", name="files__read", requestState="s"),
    modern(7, "tools/call", name="files__read", _meta={VERSION: "1999-01-01"}),
    modern(7, "tools/call", name="files__read", _meta={CAPABILITIES: 1}),
    modern(7, "tools/call", name="files__read", _meta={CAPABILITIES: None}),
    modern(7, "tools/call", name="files__read", _meta={LOG_LEVEL: "debug"}),
)


@pytest.mark.parametrize("line", OTHER, ids=str)
def test_whatever_is_not_plain_goes_the_long_way(line: Any) -> None:
    both = Both()
    assert not both.line(line)
    assert both.line(call("after")) and both.reply(), "the way is open again"


def test_an_id_that_is_in_use_is_refused() -> None:
    both = Both()
    assert both.line(call(7)) and not both.line(call(7))


@pytest.mark.parametrize(
    "limits", [v1.Limits(retained_bytes_max=50), v1.Limits(requests_in_flight_max=2)], ids=str
)
def test_where_a_limit_is_near_it_is_looked_at_as_always(limits: v1.Limits) -> None:
    both = Both(limits=limits)
    went = [both.line(call(key)) for key in range(4)]
    assert went[0] and not went[3]


@pytest.mark.parametrize("outcome", [v1.OUTCOME_BACKEND_ERROR, v1.OUTCOME_RELAY_ERROR])
def test_answers_that_are_no_results_are_counted(outcome: int) -> None:
    both = Both()
    both.line(call(7))
    assert not both.reply(outcome)
    assert both.one.state.backends["files"].errors == 1


def test_an_answer_counts_once_and_from_whoever_has_the_call() -> None:
    both = Both()
    both.line(call(7))
    assert not both.reply(generation=2) and not both.reply(number=99)
    assert both.reply() and not both.reply()
    assert both.one.state.counts.late_replies == 2


@pytest.mark.parametrize("header", [b"", b"\x93", b"\x93\x44\x01", b"\x93\x44\xa1x\x00"])
def test_a_worker_that_does_not_speak_as_agreed_is_given_up(header: bytes) -> None:
    both = Both()
    assert not both.do(events.WorkerFrame(1, header, b""))
    assert both.one.relay.shared.workers.state.active is None


def test_an_answer_to_what_went_the_long_way_may_come_straight() -> None:
    both = Both()
    assert not both.line(request(7, "resources/read", uri="file:///a")) and both.reply()
    subscribe = request(8, "resources/subscribe", uri="file:///a")
    assert not both.line(subscribe) and not both.reply()
    assert both.one.state.peer.uris == ["file:///a"]


def test_it_is_closed_before_the_client_is_known_and_while_there_is_more_than_calls() -> None:
    both = Both(greeted=False)
    assert not both.line(call(7))
    both = Both()
    assert both.line(call(7))
    assert not both.do(events.ClientClosed())
    assert not both.line(call(8)) and not both.reply()


def test_a_call_in_a_batch_is_answered_with_it() -> None:
    both = Both(protocol="2025-03-26")
    assert not both.line([call(7), call(8)])
    first = both.one.state.last_call - 1
    assert not both.reply(number=first) and not both.reply()
    (line,) = both.one.client()
    assert [part["id"] for part in line] == [7, 8]


def test_the_answer_of_a_parked_call_is_kept_for_the_retry() -> None:
    both = Both()
    elicits = {CAPABILITIES: {"elicitation": {}}}
    assert both.line(modern(7, "tools/call", name="files__read", _meta=elicits))
    number = both.one.state.last_call
    question = v1.BackendRequest("files", b"1", 50, "elicitation/create", call=number)
    both.do(events.WorkerFrame(1, v1.encode(question), b'{"message":"?"}'))
    assert both.one.relay.shared.memory.parking.open, "it is parked"
    assert not both.reply()


def test_after_a_death_calls_are_counted_until_the_worker_is_known_to_be_well() -> None:
    both = Both()
    for relay in (both.one, both.other):
        relay.die()
        relay.revive()
        relay.catalogue(generation=2)
    assert not both.line(call(7)) and not both.reply(generation=2)
    assert both.one.relay.recovery.state.answered == 1


def test_the_heartbeat_begins_again_with_the_first_call_after_a_rest() -> None:
    both = Both()
    for relay in (both.one, both.other):
        relay.wait(10.0)
    assert not both.line(call(7)), "it had to begin the heartbeat"
    assert "heartbeat" in both.one.relay.shared.timers.at


def test_an_answer_that_makes_a_task_or_may_end_one_goes_the_long_way() -> None:
    both = Both()
    for relay in (both.one, both.other):
        relay.catalogue(cache.Body(tools=BODY.tools, capabilities=b'{"tasks":{}}'), "with tasks")
    assert both.line(call(7, _meta={"progressToken": 12}))
    made = v1.Reply(both.one.state.last_call, v1.OUTCOME_RESULT, "t1")
    body = b'"result":{"task":{"taskId":"t1"}}}'
    assert not both.do(events.WorkerFrame(1, v1.encode(made), body))
    assert [known.token for known in both.one.state.task_tokens.values()] == [b"12"]
    both.line(request(8, "tasks/result", taskId="t1"))
    assert not both.reply() and both.one.state.task_tokens == {}


def test_it_stays_closed_after_a_bug_of_ours_until_something_has_gone_well_again() -> None:
    """Who serves may have changed before it."""
    relay = driver.Driver()
    relay.serve()
    relay.line(call(7))
    assert relay.relay._straight.ways
    relay.relay._events[events.StopRequested] = lambda _event, now: int(f"no number at {now}")
    with pytest.raises(ValueError, match="no number"):
        relay.do(events.StopRequested(15))
    assert not relay.relay._straight.ways
    relay.line(call(8))
    assert relay.relay._straight.ways
