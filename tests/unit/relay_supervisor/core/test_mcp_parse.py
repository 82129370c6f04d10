"""Every line a client can write is told apart, and a bad one gets the error the protocol wants."""

import json
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_supervisor.core import mcp


def invalid(line: bytes) -> tuple[int, bytes]:
    """Code and echoed id of the error for *line*."""
    message = mcp.parse(line)
    assert isinstance(message, mcp.Invalid), message
    assert message.message
    return message.code, message.raw_id


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        (b"7", 7),
        (b'"7"', "7"),
        (b"0", 0),
        (b"-3", -3),
        (b'""', ""),
        (b"9007199254740993", 9007199254740993),
        # Larger ones are kept as text, as the state is to be written down.
        (b"9223372036854775807", 9223372036854775807),
        (b"123456789012345678901234567890", "\x00123456789012345678901234567890"),
        (b"-9223372036854775808", "\x00-9223372036854775808"),
        (b'"server-discover-probe-1"', "server-discover-probe-1"),
        (b'"\\u00e9"', "\u00e9"),
        # Not to be taken for such a large one, nor for a key of the core's own.
        (b'"\\u0000parked 1"', "\x00\x00parked 1"),
    ],
)
def test_an_id_keeps_its_value_its_type_and_its_bytes(raw: bytes, key: mcp.Id) -> None:
    message = mcp.parse(b'{"jsonrpc":"2.0","id":' + raw + b',"method":"ping"}')
    assert message == mcp.Request(key, raw, "ping", mcp.NO_PARAMS)
    assert type(message.id) is type(key)


@pytest.mark.parametrize("raw", [b"null", b"1.5", b"1.0", b"1e3", b"true", b"[1]", b'{"a":1}'])
def test_an_id_that_is_neither_string_nor_integer_is_refused_without_it(raw: bytes) -> None:
    assert invalid(b'{"jsonrpc":"2.0","id":' + raw + b',"method":"ping"}') == (-32600, b"null")
    assert invalid(b'{"jsonrpc":"2.0","id":' + raw + b',"result":{}}') == (-32600, b"null")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"hello",
        b'{"jsonrpc":"2.0","id":1,"method":"ping"',
        b'{"jsonrpc":"2.0","id":1,"method":"ping"}}',
        b'{"jsonrpc":"2.0","id":01,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":\x01}}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":NaN}}',
        b"{'jsonrpc':'2.0'}",
        b'[{"jsonrpc":"2.0"}',
        b"[1,]",
        b'"text',
        b'\xff{"jsonrpc":"2.0","id":1,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"method":"p\xc3ng"}',
        b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"ping"}',
    ],
)
def test_what_is_no_json_or_no_utf8_is_a_parse_error(line: bytes) -> None:
    assert invalid(line) == (-32700, b"null")


@pytest.mark.parametrize("line", [b"1", b'"text"', b"null", b"true", b"1.5"])
def test_json_that_is_no_object_is_an_invalid_request(line: bytes) -> None:
    assert invalid(line) == (-32600, b"null")


@pytest.mark.parametrize(
    ("line", "echoed"),
    [
        (b"{}", b"null"),
        (b'{"id":4,"method":"ping"}', b"4"),
        (b'{"jsonrpc":"1.0","id":4,"method":"ping"}', b"4"),
        (b'{"jsonrpc":2.0,"id":4,"method":"ping"}', b"4"),
        (b'{"jsonrpc":"2.0","id":"x","method":5}', b'"x"'),
        (b'{"jsonrpc":"2.0","id":4,"method":null}', b"4"),
        (b'{"jsonrpc":"2.0","id":4}', b"4"),
        (b'{"jsonrpc":"2.0","result":{}}', b"null"),
        (b'{"jsonrpc":"2.0","method":["ping"]}', b"null"),
    ],
)
def test_a_wrong_envelope_is_refused_under_its_own_id(line: bytes, echoed: bytes) -> None:
    assert invalid(line) == (-32600, echoed)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_nesting_without_end_is_an_error_and_not_the_end(opening: bytes) -> None:
    depth = 200_000
    assert invalid(opening * depth) == (-32700, b"null")
    body = b"[" * depth + b"]" * depth
    line = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":' + body + b"}}"
    assert invalid(line) == (-32700, b"null")


def test_every_depth_up_to_the_limit_is_classified_without_raising() -> None:
    for depth in range(sys.getrecursionlimit() + 50):
        body = b"[" * depth + b"1" + b"]" * depth
        message = mcp.parse(b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":' + body + b"}}")
        assert isinstance(message, mcp.Request | mcp.Invalid)


def test_requests_notifications_and_responses_are_told_apart() -> None:
    request = mcp.parse(b'{"params":{"a":1},"method":"m","id":2,"jsonrpc":"2.0","extra":0}')
    assert isinstance(request, mcp.Request) and bytes(request.params) == b'{"a":1}'
    note = mcp.parse(b'{"jsonrpc":"2.0","method":"n","params":{}}')
    assert isinstance(note, mcp.Notification) and (note.method, bytes(note.params)) == ("n", b"{}")
    answer = mcp.parse(b'{"jsonrpc":"2.0","id":3,"result":{"x":[1, 2]}}')
    assert answer == mcp.Response(3, b'"result":{"x":[1, 2]}}')
    failed = mcp.parse(b'{"id":"q","error":{"code":1,"message":"no"},"jsonrpc":"2.0","_x":1}')
    assert isinstance(failed, mcp.Response) and failed.id == "q"
    assert json.loads(b"{" + failed.members) == {"error": {"code": 1, "message": "no"}, "_x": 1}


def test_an_array_is_a_batch_of_what_is_still_to_be_parsed() -> None:
    batch = mcp.parse(b' [ {"a":1} , 2,"x" ]')
    assert isinstance(batch, mcp.Batch)
    assert [bytes(item) for item in batch.items] == [b'{"a":1}', b"2", b'"x"']
    assert mcp.parse(b"[]") == mcp.Batch([])


def test_white_space_and_a_carriage_return_around_a_message_do_no_harm() -> None:
    line = b' \t{ "jsonrpc" : "2.0" , "id" : 1 , "method" : "ping" }\r'
    assert mcp.parse(line) == mcp.Request(1, b"1", "ping", mcp.NO_PARAMS)


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        (rb"a\ud83d", "a\ufffd"),
        (rb"\ud83db", "\ufffdb"),
        (rb"\ude00", "\ufffd"),
        (rb"\ude00\ud83d", "\ufffd\ufffd"),
        (rb"\ud83d\ude00\ud83d", "\U0001f600\ufffd"),
        (rb"\\ud83d\ud83d", "\\ud83d\ufffd"),
        (rb"\uD83D\uDE00 \uD83D", "\U0001f600 \ufffd"),
    ],
)
def test_half_an_emoji_is_mended_and_nothing_else(text: bytes, mended: str) -> None:
    """JavaScript clients send lone surrogates when they cut a string; msgspec refuses them."""
    line = b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":"' + text + b'"}}'
    message = mcp.parse(line)
    assert isinstance(message, mcp.Request)
    assert json.loads(bytes(message.params)) == {"a": mended}


_STRINGS = ['"2.0"', '"1.0"', '"a"', '"\\u00e9"']
_VALUES = st.sampled_from([*_STRINGS, "1", "-7", "null", "1.5", "true", "{}", "[1]"])
_NAMES = st.sampled_from(["jsonrpc", "id", "method", "params", "result", "error", "x"])
_SOUND = {"jsonrpc": '"2.0"', "id": "1", "method": '"m"'}


@given(st.dictionaries(_NAMES, _VALUES, max_size=3), st.sampled_from([*_SOUND, "", "} "]))
def test_read_in_one_go_a_line_means_what_it_means_read_member_by_member(
    members: dict[str, str], missing: str
) -> None:
    """A sound request, with members of other kinds, without one of its own, or cut."""
    members = {name: value for name, value in (_SOUND | members).items() if name != missing}
    line = "{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}"
    line = line.removesuffix(missing.strip()) if missing == "} " else line
    assert shown(mcp.parse(line.encode())) == shown(mcp._parse_thoroughly(line.encode()))


def shown(message: mcp.Message) -> object:
    """A message in a form that can be compared."""
    return type(message).__name__, [
        bytes(value) if isinstance(value, msgspec.Raw) else value
        for value in msgspec.structs.astuple(message)
    ]
