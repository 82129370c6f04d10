"""Requests out of order, ids that repeat or are huge, batches: each in a session of its own."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.harness import (
    RawClient,
    Relay,
    RpcError,
    fixture_backend,
    json_of,
    resident_bytes,
    text_of,
    wait_until,
)

INVALID_REQUEST = -32600


@pytest.fixture
def relay() -> Iterator[Relay]:
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:
        yield relay


@pytest.fixture
def client(relay: Relay) -> RawClient:
    """A client that has not said anything yet."""
    return relay.client


def lines_of(client: RawClient) -> list[bytes]:
    """All that the relay wrote, by line."""
    return list(dict.fromkeys(frame.raw for frame in client.frames))


# ---- the order of things --------------------------------------------------------------------


def test_requests_before_initialize_are_refused_and_initialize_still_works(
    client: RawClient,
) -> None:
    """ping is allowed, everything else is told to wait; nothing of it spoils the session."""
    assert client.request("ping") == {}
    for method, params in (
        ("tools/list", None),
        ("tools/call", {"name": "fix__echo"}),
        ("resources/read", {"uri": "fixture://text"}),
        ("logging/setLevel", {"level": "debug"}),
    ):
        with pytest.raises(RpcError, match="initialize") as refusal:
            client.request(method, params)
        assert refusal.value.code == INVALID_REQUEST
    client.notify("notifications/initialized")
    client.notify("notifications/roots/list_changed")
    client.initialize()
    assert json_of(client.call_tool("fix__echo", {"n": 1})) == {"n": 1}


@pytest.mark.parametrize(
    "params",
    [None, {}, {"protocolVersion": 7}, {"protocolVersion": None}, [], "2025-11-25"],
    ids=["none", "empty", "number", "null", "array", "string"],
)
def test_a_wrong_initialize_is_refused_and_a_right_one_still_works(
    client: RawClient, params: Any
) -> None:
    with pytest.raises(RpcError) as refusal:
        client.request("initialize", params)
    assert refusal.value.code in {INVALID_REQUEST, -32602}
    assert client.initialize()["protocolVersion"] == "2025-11-25"
    assert json_of(client.call_tool("fix__echo", {"n": 1})) == {"n": 1}


def test_initialize_with_odd_members_is_taken(client: RawClient) -> None:
    """Capabilities null, clientInfo missing or a string: clients exist that send such things."""
    params = {"protocolVersion": "2025-06-18", "capabilities": None, "clientInfo": "me"}
    assert client.request("initialize", params)["protocolVersion"] == "2025-06-18"
    client.notify("notifications/initialized")
    assert json_of(client.call_tool("fix__echo", {"n": 1})) == {"n": 1}


def test_a_second_initialize_is_answered_and_harms_nothing(client: RawClient) -> None:
    """Some clients do it after a reload: an answer or an error, and the session goes on."""
    client.initialize()
    hang = client.start_tool("fix__slow", {"seconds": 0.2, "steps": 1})
    again = client.start(
        "initialize", {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {}}
    )
    assert client.response(again).message
    assert "slow" in text_of(client.response(hang).result)
    assert json_of(client.call_tool("fix__echo", {"n": 1})) == {"n": 1}


def test_everything_in_one_write(client: RawClient) -> None:
    """Handshake, list and call without waiting for any answer, all lines at once, with CRLF, blank
    lines and a UTF-8 text in between.
    """
    for number in range(4):
        client.expect(number)
    client.send_line(
        '\n \r\n{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":'
        '"2025-11-25","capabilities":{},"clientInfo":{"name":"ü🌍","version":"1"}}}\r\n\r\n'
        '{"jsonrpc":"2.0","method":"notifications/initialized"}\r\n'
        '\t{"jsonrpc":"2.0","id":1,"method":"tools/list"} \n'
        '{"jsonrpc":"2.0","id":2,"method":"tools/call",'
        '"params":{"name":"fix__echo","arguments":{"ü":"🌍"}}}\r\n'
        '{"jsonrpc":"2.0","id":3,"method":"ping"}\r'
    )
    assert client.response(0).result["serverInfo"]
    assert len(client.response(1).result["tools"]) > 10
    assert json_of(client.response(2).result) == {"ü": "🌍"}
    assert client.response(3).result == {}


# ---- ids ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw_id",
    [
        b"0",
        b"-1",
        b"9007199254740993",
        b"9223372036854775807",
        b"18446744073709551615",
        b"123456789012345678901234567890",
        b'""',
        b'"7"',
        b'"\\u00fc \\"quoted\\" \\ud83c\\udf0d"',
        b'"%s"' % (b"long" * 50_000),
    ],
    ids=lambda raw_id: raw_id[:24].decode(),
)
def test_an_id_comes_back_as_it_was_sent(client: RawClient, raw_id: bytes) -> None:
    """From the relay itself and through a backend, byte for byte."""
    client.initialize()
    client._record.asked.clear()  # Python cannot tell all such ids apart, so bytes are compared
    for tail in (
        b'"method":"ping"}',
        b'"method":"tools/call","params":{"name":"fix__echo","arguments":{"n":1}}}',
    ):
        before = len(client.frames)
        client.child.write(b'{"jsonrpc":"2.0","id":%s,%s\n' % (raw_id, tail))
        wait_until(lambda before=before: len(client.frames) > before, 10.0, "an answer")
        (answer,) = client.frames[before:]
        assert b'"id":%s,' % raw_id in answer.raw
        assert b'"result"' in answer.raw
    client._record.violations.clear()


def test_an_id_in_use_is_refused_and_the_first_request_keeps_it(client: RawClient) -> None:
    """The refusal has no id: under its own it would be the first one's answer. Later the id may be
    used again, and 7 and "7" were two ids all the time.
    """
    client.initialize()
    first = client.start_tool("fix__slow", {"seconds": 0.3, "steps": 1}, request_id=7)
    client.send_line(b'{"jsonrpc":"2.0","id":7,"method":"ping"}')
    error = client.wait_error_without_id()
    assert error["code"] == INVALID_REQUEST
    assert "7" in error["message"]
    client.start("ping", request_id="7")
    assert client.response("7").result == {}
    assert not client.answered(first)
    assert "slow" in text_of(client.response(first).result)


def test_a_duplicate_of_a_cancelled_request_is_a_new_request(client: RawClient) -> None:
    """Cancelled is gone: the id is free at once, and the late answer does not come."""
    client.initialize()
    call = client.start_tool("fix__slow", {"seconds": 0.2, "ignore_cancel": True})
    client.cancel(call)
    client.send_line(b'{"jsonrpc":"2.0","id":%d,"method":"ping"}' % call)
    assert client.response(call).result == {}
    client.call_tool("fix__slow", {"seconds": 0.4, "steps": 1})
    assert len([frame for frame in client.frames if frame.id == call]) == 1


def test_half_an_emoji_is_mended_and_carried(client: RawClient) -> None:
    """JavaScript cuts strings between two surrogates: the rest of the call is fine."""
    client.initialize()
    client.expect(100)
    client.send_line(
        rb'{"jsonrpc":"2.0","id":100,"method":"tools/call","params":{"name":"fix__echo",'
        rb'"arguments":{"half":"a\ud83db","whole":"\ud83c\udf0d","text":"\\ud83d"}}}'
    )
    echoed = json_of(client.response(100).result)
    assert echoed == {"half": "a\ufffdb", "whole": "🌍", "text": "\\ud83d"}


def test_a_nul_as_an_escape_is_a_character_like_any_other(client: RawClient) -> None:
    client.initialize()
    assert json_of(client.call_tool("fix__echo", {"a\0b": "c\0d"})) == {"a\0b": "c\0d"}


def test_a_line_that_never_ends_is_not_collected(relay: Relay) -> None:
    """300 MB without a newline: refused, and most of it not kept."""
    client = relay.client
    client.initialize()
    before = resident_bytes(relay.pid)
    for _ in range(300):
        client.child.write(b"x" * (1 << 20))
    client.child.flush()
    client.send_line(b"")
    assert "frame_bytes_max" in client.wait_error_without_id()["message"]
    assert resident_bytes(relay.pid) - before < 80 << 20
    assert client.request("ping") == {}


# ---- batches --------------------------------------------------------------------------------


def note(method: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method}


def ask(request_id: Any, method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def test_a_batch_is_split_and_its_answers_come_as_one_array(client: RawClient) -> None:
    """2025-03-26: quick, slow, failing and invalid items, and notifications; one array with an
    answer to each, once the last is there; and requests beside the batch do not wait for it.
    """
    client.initialize("2025-03-26")
    for request_id in ("ping", "slow", "echo", "none"):
        client.expect(request_id)
    slow = ask("slow", "tools/call", name="fix__slow", arguments={"seconds": 0.3, "steps": 1})
    client.send_line(
        msgspec.json.encode(
            [
                ask("ping", "ping"),
                slow,
                note("notifications/unheard_of"),
                ask("echo", "tools/call", name="fix__echo", arguments={"n": 1}),
                ask("none", "no/such"),
                17,
            ]
        )
    )
    assert client.request("ping") == {}
    assert not client.answered("ping")
    assert "slow" in text_of(client.response("slow").result)
    assert json_of(client.response("echo").result) == {"n": 1}
    assert client.response("none").error["code"] == -32601
    assert client.wait_error_without_id()["code"] == INVALID_REQUEST
    (array,) = [line for line in lines_of(client) if line.startswith(b"[")]
    assert len(msgspec.json.decode(array)) == 5


def test_a_cancelled_item_is_left_out_and_holds_up_nobody(client: RawClient) -> None:
    """The rest of the batch is answered without it; a batch of nothing but it is not at all."""
    client.initialize("2025-03-26")
    client.send([ask("p", "ping"), ask("h", "tools/call", name="fix__hang")])
    client.send([ask("h2", "tools/call", name="fix__hang")])
    client.cancel("h")
    client.cancel("h2")
    assert client.response("p").result == {}
    arrays = [line for line in lines_of(client) if line.startswith(b"[")]
    assert len(arrays) == 1
    assert len(msgspec.json.decode(arrays[0])) == 1


@pytest.mark.parametrize(
    ("line", "errors"),
    [(b"[]", 1), (b"[[]]", 1), (b"[1,2,3]", 3), (b"[[[[]]]]", 1), (b"[" + b"1," * 5000 + b"1]", 1)],
    ids=["empty", "nested", "numbers", "nested deeper", "5001 items"],
)
def test_a_wrong_batch_is_refused(client: RawClient, line: bytes, errors: int) -> None:
    """-32600, once for the whole or once for each item; then the next batch is fine."""
    client.initialize("2025-03-26")
    client.send_line(line)
    for _ in range(errors):
        assert client.wait_error_without_id()["code"] == INVALID_REQUEST
    client.send([ask("p", "ping")])
    assert client.response("p").result == {}


def test_a_batch_of_notifications_is_not_answered(client: RawClient) -> None:
    client.initialize("2025-03-26")
    before = len(client.frames)
    client.send_line(msgspec.json.encode([note("notifications/initialized")] * 3))
    client.request("ping")
    assert len(client.frames) == before + 1


@pytest.mark.parametrize("protocol", ["2024-11-05", "2025-06-18", "2025-11-25"])
def test_a_batch_in_another_version_is_refused_and_not_run(
    client: RawClient, protocol: str
) -> None:
    """One error for the whole, and nothing in it was carried out."""
    client.initialize(protocol)
    client.call_tool("fix__counter")
    client.send_line(msgspec.json.encode([ask("c", "tools/call", name="fix__counter")] * 2))
    assert client.wait_error_without_id()["code"] == INVALID_REQUEST
    assert json_of(client.call_tool("fix__counter"))["count"] == 2
