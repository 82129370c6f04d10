"""What goes to the client is JSON-RPC, put together without decoding what others wrote."""

import json

import msgspec
import pytest
from msgspec import Raw

from relay_supervisor.core import mcp


def joined(buffers: tuple[bytes, ...]) -> bytes:
    """The line that these buffers are."""
    return b"".join(bytes(buffer) for buffer in buffers)


def test_a_response_carries_the_id_as_the_client_wrote_it_and_the_members_untouched() -> None:
    line = joined(mcp.response(b'"\\u0041"', b'"result":{"n": 1.50}}'))
    assert line == b'{"jsonrpc":"2.0","id":"\\u0041","result":{"n": 1.50}}\n'


def test_results_and_errors_are_the_rest_of_a_response() -> None:
    assert mcp.result({"a": Raw(b"[1, 2]")}) == b'"result":{"a":[1, 2]}}'
    assert json.loads(b"{" + mcp.error(-5, "no\n")) == {"error": {"code": -5, "message": "no\n"}}
    with_data = json.loads(b"{" + mcp.error(-5, "no", {"supported": ["x"]}))
    assert with_data["error"]["data"] == {"supported": ["x"]}


@pytest.mark.parametrize("modern", [False, True])
def test_a_tool_error_is_a_result_the_model_reads_with_a_result_type_where_due(
    modern: bool,
) -> None:
    result = json.loads(b"{" + mcp.tool_error("sorry", modern=modern))["result"]
    assert result["isError"] is True
    assert result["content"] == [{"type": "text", "text": "sorry"}]
    assert result.get("resultType") == ("complete" if modern else None)


@pytest.mark.parametrize("params", [b"", b'{"a":1}'])
def test_requests_and_notifications_have_params_only_where_there_are_some(params: bytes) -> None:
    want = {"params": {"a": 1}} if params else {}
    asked = json.loads(joined(mcp.request(3, "roots/list", params)))
    assert asked == {"jsonrpc": "2.0", "id": 3, "method": "roots/list", **want}
    told = json.loads(joined(mcp.notification("notifications/x", params)))
    assert told == {"jsonrpc": "2.0", "method": "notifications/x", **want}


@pytest.mark.parametrize("params", [b"", b"{}", b'{"progress":1}', b'{"a":{},"b":"}"}'])
def test_a_member_is_put_in_front_of_the_others(params: bytes) -> None:
    got = json.loads(mcp.with_member(b"progressToken", b'"t"', params))
    assert got == {"progressToken": "t", **json.loads(params or b"{}")}
    assert next(iter(got)) == "progressToken"


def test_members_are_read_one_level_deep_and_only_from_objects() -> None:
    assert mcp.members_of(mcp.NO_PARAMS) == {}
    assert mcp.members_of(Raw(b"null")) == {}
    assert bytes(mcp.members_of(Raw(b'{"a":[1]}'))["a"]) == b"[1]"
    for wrong in (b"[]", b"1", b'"x"', b"{"):
        with pytest.raises(msgspec.MsgspecError):
            mcp.members_of(Raw(wrong))
        assert mcp.members_or_none(Raw(wrong)) is None
    assert mcp.members_or_none(None) is None


def test_a_string_is_read_from_a_json_string_alone() -> None:
    assert mcp.string(Raw(b'"a\\u00e9"')) == "a\u00e9"
    for other in (b"1", b"null", b"[]", b"{}", b"true"):
        assert mcp.string(Raw(other)) is None
    assert mcp.string(None) is None


def test_an_id_is_a_string_or_an_integer_and_a_boolean_is_neither() -> None:
    assert mcp.id_of(Raw(b"1")) == 1
    assert mcp.id_of(Raw(b'"1"')) == "1"
    for other in (b"true", b"1.0", b"null", b"[]", b"nonsense"):
        assert mcp.id_of(Raw(other)) is None
