"""What a client could not read never gets to it, and everything else stays as it is."""

import json
from types import EllipsisType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_worker.backends.envelopes import (
    CODE_MAX,
    META_BYTES,
    PLAIN_BYTES_MAX,
    RAW_CHARS_SHOWN,
    plain_members,
    readable_error,
    readable_object,
    readable_params,
)
from relay_worker.repair import plain_result

FILL = b'"fill":"%b"' % (b"x" * META_BYTES)


def shown(text: bytes) -> bytes | None:
    found = readable_object(msgspec.Raw(text))
    return None if found is None else bytes(found)


@pytest.mark.parametrize("text", [b"null", b"[]", b'"{}"', b"1", b"true", b""])
def test_what_is_no_object_cannot_be_read(text: bytes) -> None:
    assert shown(text) is None


@pytest.mark.parametrize("meta", [b"null", b"[]", b'"x"', b"7", b"  false", b'"{"'])
@pytest.mark.parametrize(
    "around", [b'{"_meta": %b,"a":1.0}', b'{"a":1.0,"_meta":%b}', b'{%b,"_meta":%%b}' % FILL]
)
def test_a_meta_that_is_no_object_is_left_out(around: bytes, meta: bytes) -> None:
    rest = b"{%b}" % FILL if FILL in around else b'{"a":1.0}'
    assert shown(around % meta) == rest


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b'{"_meta": {"a":1.0} , "b":[]}',
        b'{"content":[{"_meta":null}], "b":1e2}',
        rb'{"text":"\"_meta\": null", "_meta":{}}',
    ],
)
def test_what_can_be_read_keeps_its_bytes(text: bytes) -> None:
    assert shown(text) == text


VALUES = st.sampled_from([None, [], [None], {"_meta": None}, "_meta", 1.5])


@given(st.dictionaries(st.text(max_size=3), VALUES), VALUES.filter(lambda v: type(v) is not dict))
def test_only_an_odd_meta_goes(members: dict[str, object], meta: object) -> None:
    found = shown(json.dumps({**members, "_meta": meta}).encode())
    assert found is not None
    assert json.loads(found) == members


@pytest.mark.parametrize(
    "text", [b'{"code":-1,"message":"m","data":1.0,"x":[]}', b'{"message":"","code":0}']
)
def test_an_error_keeps_its_bytes(text: bytes) -> None:
    assert readable_error(msgspec.Raw(text), "b") == b'"error":%b}' % text


@pytest.mark.parametrize(
    "text",
    [
        b'"boom"',
        b"[]",
        b"{}",
        b'{"code":1.5,"message":"m"}',
        b'{"code":"E","message":"m"}',
        b'{"code":%d,"message":"m"}' % (CODE_MAX + 1),
        b'{"code":1,"message":null}',
        b'{"code":1}',
        b'"%b"' % (b"x" * 1000),
    ],
)
def test_an_error_that_cannot_be_read_says_the_same_in_one_that_can(text: bytes) -> None:
    found = json.loads(b"{" + readable_error(msgspec.Raw(text), "b"))["error"]
    assert found["code"] == -32603
    assert found["message"].endswith(f": {text.decode()[:RAW_CHARS_SHOWN]}")


PROGRESS, MESSAGE = "notifications/progress", "notifications/message"
ELICITED = "notifications/elicitation/complete"


@pytest.mark.parametrize(
    ("method", "params", "passed"),
    [
        (PROGRESS, b'{"progressToken":1,"progress":1e0, "total":2.50}', ...),
        (
            PROGRESS,
            b'{"progress":1,"total":null,"message":null,"x":1.0}',
            b'{"progress":1,"x":1.0}',
        ),
        (PROGRESS, b'{"progress":1,"_meta":null}', b'{"progress":1}'),
        (PROGRESS, b'{"progress":"1"}', None),
        (PROGRESS, b'{"progress":null}', None),
        (PROGRESS, b'{"progress":1,"message":7}', None),
        (PROGRESS, None, None),
        (MESSAGE, b'{"level":"info", "data":null}', ...),
        (MESSAGE, b'{"level":"info","data":[1.0],"logger":null}', b'{"level":"info","data":[1.0]}'),
        (MESSAGE, b'{"level":"warn","data":1}', None),
        (MESSAGE, b"[]", None),
        (ELICITED, b'{"elicitationId":"e"}', ...),
        (ELICITED, b'{"elicitationId":1}', None),
        ("notifications/vendor", b'{"x": null}', ...),
        ("notifications/vendor", b"[]", None),
        ("notifications/vendor", None, b""),
    ],
)
def test_params_of_notifications(
    method: str, params: bytes | None, passed: bytes | EllipsisType | None
) -> None:
    found = readable_params(method, None if params is None else msgspec.Raw(params))
    assert (None if found is None else bytes(found)) == (params if passed is ... else passed)


@pytest.mark.parametrize("result", [b"{}", b'{"a":{"result":{}}}', b"{%b}" % (b'"a":0,"b":1,' * 9)])
def test_the_members_of_a_plain_response_are_as_they_stand_there(result: bytes) -> None:
    result = result.replace(b",}", b"}")
    line = b'{"id":7,"jsonrpc":"2.0","result":%b}' % result
    found = plain_result(line)
    assert found is not None
    assert plain_members(line, found.result) == b'"result":%b}' % result


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","result":{"a":1},"id":7}',
        b'{"jsonrpc":"2.0","id":7,"result": {"a":1}}',
        b'{"jsonrpc":"2.0","result": {"result":{}},"id":1234}',
        b'{"jsonrpc":"2.0","id":7,"result":{"a":1}} ',
        b'{"jsonrpc":"2.0","id":7,"result":{"a":1} }',
        b'{"jsonrpc":"2.0","id":7,"result":[1]}',
        b'{"jsonrpc":"2.0","id":7,"result":{"_meta":null}}',
        b'{"jsonrpc":"2.0","id":7,"result":{"a":1},"id":8}',
        b'{"jsonrpc":"2.0","result":{"a":1},"id":7,"result":{"b":1}}',
        b'{"jsonrpc":"2.0","id":7,"result":{"a":"%b"}}' % (b"x" * PLAIN_BYTES_MAX),
    ],
)
def test_what_is_written_in_another_way_takes_another_look(line: bytes) -> None:
    found = plain_result(line)
    assert found is not None and plain_members(line, found.result) is None


PIECES = [
    b'"jsonrpc":"2.0"',
    b'"id":7',
    b'"id":1234',
    b'"result":[{}]',
    b'"result":{}',
    b'"result":{"result":{}}',
    b'"result" :{"result":{"a":1}}',
    b'"result": {"result":{}}',
    b'"result":{"result":{"a":[{}]},"b":{"result":{}}}',
    rb'"result":{"a\"result":{}}',
]


@given(st.lists(st.sampled_from(PIECES), max_size=4), st.data())
def test_plain_members_are_never_others_than_a_closer_look_gives(
    more: list[bytes], data: st.DataObject
) -> None:
    line = b"{%b}" % b",".join(data.draw(st.permutations([*PIECES[:2], *more])))
    found = plain_result(line)
    if found is None or (members := plain_members(line, found.result)) is None:
        return
    result = readable_object(found.result)
    assert result is not None and members == b'"result":%b}' % bytes(result)
