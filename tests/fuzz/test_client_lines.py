"""Whatever a client writes, the relay lives, answers in JSON-RPC, and its tables stay in order."""

import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_supervisor.core import events
from relay_supervisor.wire import v1
from tests.fuzz.strategies import lines
from tests.sim import invariants
from tests.unit.relay_supervisor.core.driver import Driver, modern, request


def fresh() -> Driver:
    """Nothing is up, nobody has spoken."""
    relay = Driver()
    relay.do(events.Started())
    return relay


def legacy() -> Driver:
    """A client that may write batches."""
    relay = Driver()
    relay.start()
    relay.greet("2025-03-26", roots={}, elicitation={})
    return relay


def modern_client() -> Driver:
    relay = Driver()
    relay.start()
    relay.ask(modern("first", "tools/list"))
    return relay


def orphaned() -> Driver:
    """The worker is gone, the next not there."""
    relay = legacy()
    relay.do(events.WorkerPipeFailed(1, "gone"))
    return relay


META = b"io.modelcontextprotocol/"
SITUATIONS = (fresh, legacy, modern_client, orphaned)


def in_order(relay: Driver) -> None:
    """The tables agree with one another."""
    world: Any = SimpleNamespace(
        core=relay.state, relay=relay.relay, workers={1: None}, now=relay.now
    )
    invariants.calls_and_requests_belong_together(world)
    invariants.batches_add_up(world)
    invariants.bytes_add_up(world)
    invariants.one_generation_is_active(world)
    invariants.nothing_waits_without_a_deadline(world)


def answers(relay: Driver) -> list[Any]:
    """All answers the client got, out of their batches."""
    flat = []
    for message in relay.client():
        flat += message if isinstance(message, list) else [message]
    return [message for message in flat if "method" not in message]


@given(situation=st.sampled_from(SITUATIONS), written=st.lists(lines(), min_size=1, max_size=8))
def test_any_line_is_survived_and_answered_in_json_rpc(
    situation: Any, written: list[bytes]
) -> None:
    relay = situation()
    relay.wanted.clear()
    for line in written:
        relay.line(line)
        in_order(relay)
        for answer in answers(relay):
            assert answer["jsonrpc"] == "2.0" and ("result" in answer) != ("error" in answer)
            if (key := answer["id"]) is not None:
                assert type(key) in {int, str}
                assert json.dumps(key) in line.decode(errors="replace") or isinstance(key, str)
    for generation, call in relay.to_worker(v1.Call):
        if call.call in relay.state.calls:
            relay.reply(call.call, generation=generation)
    in_order(relay)
    relay.wait(60.0)
    in_order(relay)
    open_ones = {request.phase.value for request in relay.state.requests.values()}
    assert open_ones <= {"listening"}, "everything else has been answered"


@given(line=lines())
def test_after_any_line_a_good_one_is_served_as_ever(line: bytes) -> None:
    relay = legacy()
    relay.line(line)
    relay.wanted.clear()
    relay.line(request("fine", "ping"))
    assert {"jsonrpc": "2.0", "id": "fine", "result": {}} in relay.client()


HOLE = b"@"
VERSION = b'"protocolVersion":"2025-11-25"'
ENVELOPE = b'"_meta":{"%sprotocolVersion":"2026-07-28","%sclientCapabilities":{"x":@}}' % (
    META,
    META,
)


def deep(method: bytes, params: bytes) -> bytes:
    """A request with a hole for what is nested."""
    return b'{"jsonrpc":"2.0","id":1,"method":"%s","params":{%s}}' % (method, params)


DEEP = {
    "initialize": deep(b"initialize", VERSION + b',"x":@'),
    "capabilities": deep(b"initialize", VERSION + b',"capabilities":@,"clientInfo":@'),
    "client name": deep(b"initialize", VERSION + b',"clientInfo":{"name":@}'),
    "id": b'{"jsonrpc":"2.0","id":@,"method":"ping"}',
    "method": b'{"jsonrpc":"2.0","id":1,"method":@}',
    "params": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":@}',
    "meta": deep(b"ping", b'"_meta":@'),
    "token": deep(b"tools/call", b'"name":"x","_meta":{"progressToken":@}'),
    "cursor": deep(b"tools/list", b'"cursor":@'),
    "name": deep(b"tools/call", b'"name":@'),
    "arguments": deep(b"tools/call", b'"name":"x","arguments":@'),
    "filter": deep(b"subscriptions/listen", b'"notifications":{"x":@},' + ENVELOPE),
    "envelope": deep(b"tools/list", ENVELOPE),
    "cancelled": b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":@}}',
    "response": b'{"jsonrpc":"2.0","id":1,"result":@}',
    "batch": b'[{"jsonrpc":"2.0","id":1,"method":"ping","params":@}]',
    "arrays": b"[[@]]",
}


@pytest.mark.parametrize("template", DEEP.values(), ids=DEEP)
@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}")], ids=["[]", "{}"])
@pytest.mark.parametrize("situation", [fresh, legacy])
def test_nesting_of_every_depth_is_survived(
    situation: Any, brackets: tuple[bytes, bytes], template: bytes
) -> None:
    """Python's recursion limit is met at different depths by different readers of one line."""
    opening, closing = brackets
    for depth in range(sys.getrecursionlimit() - 150, sys.getrecursionlimit() + 10):
        relay = situation()
        relay.line(template.replace(HOLE, opening * depth + b"1" + closing * depth))
        relay.raw()
