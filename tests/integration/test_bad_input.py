"""Whatever a client sends: a JSON-RPC error where one is due, and the relay goes on serving."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness import RawClient, Relay, RpcError, fixture_backend, json_of, resident_bytes

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
NO_ID = object()
FRAME_BYTES_MAX = 1 << 20


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    """One relay for all of this: what one test spoils, the next would notice."""
    config = {
        "backends": {"fix": fixture_backend()},
        "relay": {"frame_bytes_max": FRAME_BYTES_MAX},
    }
    with Relay(config) as relay:
        relay.client.initialize()
        relay.client.call_tool("fix__echo")
        yield relay


@pytest.fixture
def client(relay: Relay) -> Iterator[RawClient]:
    """Its client; afterwards it serves as before, and the backend has no complaint."""
    yield relay.client
    assert_serves(relay.client)
    assert json_of(relay.client.call_tool("fix__violations")) == {"violations": []}
    relay.client.assert_clean()
    assert relay.client._record.errors_without_id == [], "more errors than lines"


def assert_serves(client: RawClient) -> None:
    """A ping, a list, a call."""
    assert client.request("ping") == {}
    assert len(client.request("tools/list")["tools"]) > 10
    assert json_of(client.call_tool("fix__echo", {"still": "here"})) == {"still": "here"}


def error_for(client: RawClient, line: bytes | str, request_id: Any = NO_ID) -> dict[str, Any]:
    """Send a line; the error object of its answer."""
    if request_id is NO_ID:
        client.send_line(line)
        error: dict[str, Any] = client.wait_error_without_id()
        return error
    client.expect(request_id)
    client.send_line(line)
    answer = client.response(request_id)
    assert answer.error is not None, answer.raw
    return dict(answer.error)


NOT_JSON = {
    "words": b"hello, is anybody there?",
    "cut short": b'{"jsonrpc":"2.0","id":1,"method":"pi',
    "single quotes": b"{'jsonrpc':'2.0','id':1,'method':'ping'}",
    "trailing comma": b'{"jsonrpc":"2.0","id":1,"method":"ping",}',
    "two in a line": b'{"jsonrpc":"2.0","id":1,"method":"ping"} {"jsonrpc":"2.0"}',
    "NaN": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":NaN}}',
    "a NUL": b'{"jsonrpc":"2.0","id":1,\0"method":"ping"}',
    "only NULs": b"\0" * 100,
    "a NUL in a string": b'{"jsonrpc":"2.0","id":1,"method":"pi\0ng"}',
    "not UTF-8": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"\xff"}}',
    "half of a character": '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"ü"}}'.encode(
        "latin-1"
    ),
    "UTF-16": '{"jsonrpc":"2.0","id":1,"method":"ping"}'.encode("utf-16-le"),
    "a shell's error": b"bash: mcp-relay: command not found",
    "an unclosed bracket": b"[" * 1000,
}


@pytest.mark.parametrize("line", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_what_is_not_json_is_a_parse_error(client: RawClient, line: bytes) -> None:
    """-32700, the id null, as nobody can know it; and a message that says what is wrong."""
    error = error_for(client, line)
    assert error["code"] == PARSE_ERROR
    assert len(error["message"]) > 10


@pytest.mark.parametrize("levels", [2_000, 100_000])
@pytest.mark.parametrize(
    "line", [b"@", b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":@}}']
)
def test_deep_nesting_is_a_parse_error(client: RawClient, levels: int, line: bytes) -> None:
    """Deeper than any parser goes: neither a crash nor a silence."""
    for nested in (b"[" * levels + b"]" * levels, b'{"a":' * levels + b"1" + b"}" * levels):
        assert error_for(client, line.replace(b"@", nested))["code"] == PARSE_ERROR


@pytest.mark.parametrize("levels", [500, 100_000])
def test_a_deeply_nested_answer_of_a_backend_is_carried_or_an_error(
    client: RawClient, levels: int
) -> None:
    """Its call is answered in any case."""
    answer = client.response(client.start_tool("fix__deep", {"levels": levels}))
    if levels == 500:
        assert answer.raw.count(b"[") > levels
    else:
        assert answer.result["isError"]


WRONG = {
    "a number": (b"42", NO_ID),
    "a string": (b'"ping"', NO_ID),
    "null": (b"null", NO_ID),
    "an empty object": (b"{}", NO_ID),
    "no method": (b'{"jsonrpc":"2.0","id":"w1"}', "w1"),
    "no version": (b'{"id":"w2","method":"ping"}', "w2"),
    "version 1": (b'{"jsonrpc":"1.0","id":"w3","method":"ping"}', "w3"),
    "the version as a number": (b'{"jsonrpc":2.0,"id":"w4","method":"ping"}', "w4"),
    "method a number": (b'{"jsonrpc":"2.0","id":"w5","method":7}', "w5"),
    "method null": (b'{"jsonrpc":"2.0","id":"w6","method":null}', "w6"),
    "id a fraction": (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', NO_ID),
    "id a whole float": (b'{"jsonrpc":"2.0","id":1e3,"method":"ping"}', NO_ID),
    "id null": (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', NO_ID),
    "id true": (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', NO_ID),
    "id an object": (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', NO_ID),
    "id an array": (b'{"jsonrpc":"2.0","id":[1],"method":"ping"}', NO_ID),
    "an empty batch": (b"[]", NO_ID),
    "a batch, which this version has not": (
        b'[{"jsonrpc":"2.0","id":"w7","method":"ping"}]',
        NO_ID,
    ),
}


@pytest.mark.parametrize(("line", "request_id"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_envelope_is_an_invalid_request(
    client: RawClient, line: bytes, request_id: Any
) -> None:
    """-32600, under the id where there is a usable one, else null."""
    assert error_for(client, line, request_id)["code"] == INVALID_REQUEST


PARAMS = {
    "params an array": ("tools/call", [1], {INVALID_PARAMS, INVALID_REQUEST}),
    "params a string": ("tools/list", "x", {INVALID_PARAMS, INVALID_REQUEST}),
    "a call without a name": ("tools/call", {"arguments": {}}, {INVALID_PARAMS}),
    "a call of number 7": ("tools/call", {"name": 7}, {INVALID_PARAMS}),
    "an unknown tool": ("tools/call", {"name": "nobody__has_this"}, {INVALID_PARAMS}),
    "an unknown tool of a known backend": (
        "tools/call",
        {"name": "fix__has_not_this"},
        {INVALID_PARAMS},
    ),
    "an unknown prompt": ("prompts/get", {"name": "fix__none"}, {INVALID_PARAMS}),
    "an unknown resource": ("resources/read", {"uri": "nowhere://x"}, {-32002, INVALID_PARAMS}),
    "a read without a uri": ("resources/read", {}, {INVALID_PARAMS}),
    "an unknown cursor": ("tools/list", {"cursor": "never given out"}, {INVALID_PARAMS}),
    "an unknown level": ("logging/setLevel", {"level": "loud"}, {INVALID_PARAMS}),
    "an unknown reference": (
        "completion/complete",
        {"ref": {"type": "ref/x"}, "argument": {"name": "a", "value": ""}},
        {INVALID_PARAMS},
    ),
    "an unknown method": ("tools/destroy", {}, {METHOD_NOT_FOUND}),
    "an empty method": ("", {}, {METHOD_NOT_FOUND, INVALID_REQUEST}),
    "a method of the relay's client": ("roots/list", {}, {METHOD_NOT_FOUND}),
    "a notification sent as a request": ("notifications/initialized", {}, {METHOD_NOT_FOUND}),
    "a very long method": ("m" * 100_000, {}, {METHOD_NOT_FOUND}),
}


@pytest.mark.parametrize(("method", "params", "codes"), PARAMS.values(), ids=PARAMS.keys())
def test_a_request_that_cannot_be_carried_out_says_why(
    client: RawClient, method: str, params: Any, codes: set[int]
) -> None:
    """The code of the specification, under the request's id."""
    with pytest.raises(RpcError) as failure:
        client.request(method, params)
    assert failure.value.code in codes
    assert failure.value.message


IGNORED = {
    "blank": b"",
    "white space": b" \t \r",
    "unknown notification": b'{"jsonrpc":"2.0","method":"notifications/unheard_of"}',
    "an answer to nothing": b'{"jsonrpc":"2.0","id":4711,"result":{}}',
    "an answer to a string id": b'{"jsonrpc":"2.0","id":"x","result":{}}',
    "an error to nothing": b'{"jsonrpc":"2.0","id":4711,"error":{"code":1,"message":"x"}}',
    "cancel of nothing": (
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":424242}}'
    ),
    "cancel without id": b'{"jsonrpc":"2.0","method":"notifications/cancelled"}',
    "cancel of an object": (
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{}}}'
    ),
    "cancel with a list": b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":[]}',
    "progress of nothing": (
        b'{"jsonrpc":"2.0","method":"notifications/progress",'
        b'"params":{"progressToken":"?","progress":1}}'
    ),
    "initialized twice": b'{"jsonrpc":"2.0","method":"notifications/initialized"}',
}


@pytest.mark.parametrize("line", IGNORED.values(), ids=IGNORED.keys())
def test_what_needs_no_answer_gets_none(client: RawClient, line: bytes) -> None:
    """Neither an error nor an end: the answer to the next request is the next line."""
    before = len(client.frames)
    client.send_line(line)
    client.request("ping")
    assert len(client.frames) == before + 1


@pytest.mark.parametrize("size", [FRAME_BYTES_MAX + 1, 12 * FRAME_BYTES_MAX])
def test_an_oversized_line_is_refused_naming_the_setting(
    relay: Relay, client: RawClient, size: int
) -> None:
    """The line is dropped whole, the next one is understood; memory does not follow its length."""
    before = resident_bytes(relay.pid)
    head = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"x":"'
    error = error_for(client, head + b"y" * (size - len(head) - 3) + b'"}}')
    assert error["code"] == INVALID_REQUEST
    assert "frame_bytes_max" in error["message"]
    assert resident_bytes(relay.pid) - before < 8 * FRAME_BYTES_MAX


def test_an_oversized_answer_of_a_backend_is_an_error_of_that_call(client: RawClient) -> None:
    """Named, with the setting; other calls of that backend are not touched."""
    big = client.start_tool("fix__big", {"bytes": FRAME_BYTES_MAX + 1000})
    small = client.start_tool("fix__big", {"bytes": 1000})
    result = client.response(big).result
    assert result["isError"]
    assert "frame_bytes_max" in json.dumps(result)
    assert "isError" not in client.response(small).result
