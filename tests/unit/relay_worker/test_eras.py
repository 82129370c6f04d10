"""A modern client's request fits a legacy backend, and the answer fits the client."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import _v2026_07_28 as modern

from relay_worker.eras import (
    ENVELOPE_KEYS,
    legacy_params,
    legacy_result,
    modern_members,
    same_era_params,
)

ENVELOPE = (
    b'"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    b'"io.modelcontextprotocol/clientCapabilities":{"elicitation":{}},'
    b'"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},'
    b'"io.modelcontextprotocol/logLevel":"info"'
)


def test_the_envelope_is_taken_out_and_all_else_kept() -> None:
    params = (
        b'{"name":"files__read","arguments":{"n": 1.00,"big":123456789012345678901234567890},'
        b'"_meta":{"claudecode/toolUseId":"t","progressToken":"abc",%s},"unknown":[ 1 ]}' % ENVELOPE
    )
    assert legacy_params(params, progress_token=7, name="read") == (
        b'{"name":"read","arguments":{"n": 1.00,"big":123456789012345678901234567890},'
        b'"_meta":{"claudecode/toolUseId":"t","progressToken":7},"unknown":[ 1 ]}'
    )


def test_meta_with_nothing_left_goes() -> None:
    assert legacy_params(b'{"uri":"a:b","_meta":{%s}}' % ENVELOPE) == b'{"uri":"a:b"}'


def test_a_token_is_never_added() -> None:
    assert same_era_params(b'{"name":"a","_meta":{"x":1}}', progress_token=7) == (
        b'{"name":"a","_meta":{"x":1}}'
    )
    assert same_era_params(b'{"name":"a"}', progress_token=7) == b'{"name":"a"}'


def test_the_same_era_keeps_the_envelope() -> None:
    params = b'{"name":"a","_meta":{"progressToken":1,%s}}' % ENVELOPE
    assert same_era_params(params, progress_token=9, name="b") == (
        b'{"name":"b","_meta":{"progressToken":9,%s}}' % ENVELOPE
    )
    assert same_era_params(b'{"_meta":{}}') == b'{"_meta":{}}'


@pytest.mark.parametrize(
    "params",
    [
        b'{"name":"a"%b}',
        b'{"name":7%b,"arguments":{"n": 1.00}}',
        b'{"name":"a","arguments":[ 1e2 ],"_meta":{"x": 1.50}%b}',
        b'{"name":"a","arguments":null,"_meta":{"x":1,"progressToken":"t"}%b}',
        b'{"name":"a","_meta":{}%b}',
        b'{"name":"a","_meta":null%b}',
    ],
)
@pytest.mark.parametrize("token", [None, 9])
def test_the_short_way_has_the_same_end_as_the_long_one(params: bytes, token: int | None) -> None:
    long = same_era_params(params % b',"more":{"a": 1.0}', token, "b")
    assert same_era_params(params % b"", token, "b") == long.replace(b',"more":{"a": 1.0}', b"")


@pytest.mark.parametrize("meta", [b"null", b"5", b"[]", b'"x"'])
def test_a_meta_that_is_no_object_is_for_the_backend_to_refuse(meta: bytes) -> None:
    params = b'{"name":"a","_meta":%s}' % meta
    assert legacy_params(params) == params
    assert legacy_params(params, name="b") == b'{"name":"b","_meta":%s}' % meta


@pytest.mark.parametrize("params", [b"", b"[]", b"{", b"null", b'{"\xff":1}'])
def test_params_that_cannot_be_read_pass(params: bytes) -> None:
    assert legacy_params(params, progress_token=1, name="x") == params
    assert same_era_params(params, progress_token=1, name="x") == params


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (b'"result":{}}', b'"result":{"resultType":"complete"}}'),
        (b'"result":{ }}', b'"result":{"resultType":"complete" }}'),
        (b'"result":{"n":1.00}}', b'"result":{"resultType":"complete","n":1.00}}'),
        (b'"result":{"n":1},"x":2}', b'"result":{"resultType":"complete","n":1},"x":2}'),
        (b'"x":2,"result": {"n":1}}', b'"x":2,"result":{"resultType":"complete","n":1}}'),
        (b'"result":{"resultType":"complete"}}', b'"result":{"resultType":"complete"}}'),
        (b'"result":null}', b'"result":null}'),
        (b'"result":[1]}', b'"result":[1]}'),
        (b'"error":{"code":-32002,"message":"m"}}', b'"error":{"code":-32602,"message":"m"}}'),
        (b'"error":{"code":-32042,"data":[1]}}', b'"error":{"code":-32603,"data":[1]}}'),
        (b'"error":{"code":-32000,"message":"m"}}', b'"error":{"code":-32000,"message":"m"}}'),
        (b'"error":{"message":"m"}}', b'"error":{"message":"m"}}'),
        (b'"error":"text"}', b'"error":"text"}'),
        (b"", b""),
        (b"junk", b"junk"),
    ],
)
def test_members_become_modern(members: bytes, expected: bytes) -> None:
    assert modern_members(members, "tools/call") == expected


def test_a_read_resource_says_how_long_it_holds() -> None:
    assert modern_members(b'"result":{"contents":[]}}', "resources/read") == (
        b'"result":{"resultType":"complete","ttlMs":0,"cacheScope":"private","contents":[]}}'
    )
    asking = b'"result":{"resultType":"input_required","requestState":"s"}}'
    assert modern_members(asking, "resources/read") == asking
    assert modern_members(b'"result":{"ttlMs":5}}', "resources/read") == (
        b'"result":{"resultType":"complete","cacheScope":"private","ttlMs":5}}'
    )


@pytest.mark.parametrize(
    ("method", "kind", "result"),
    [
        ("tools/call", modern.CallToolResult, {"content": [{"type": "text", "text": "x"}]}),
        ("resources/read", modern.ReadResourceResult, {"contents": [{"uri": "a:b", "text": "x"}]}),
        ("prompts/get", modern.GetPromptResult, {"messages": []}),
        ("completion/complete", modern.CompleteResult, {"completion": {"values": ["a"]}}),
    ],
)
def test_the_sdk_takes_it(method: str, kind: type, result: object) -> None:
    members = b'"result":' + msgspec.json.encode(result) + b"}"
    whole = json.loads(b"{" + modern_members(members, method))
    assert kind.model_validate(whole["result"]).result_type == "complete"


def test_the_keys_are_those_of_the_sdk() -> None:
    fields = modern.RequestMetaObject.model_fields.values()
    assert {field.alias for field in fields if "/" in (field.alias or "")} == ENVELOPE_KEYS


VALUES = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=4)


@given(VALUES, VALUES, st.booleans())
def test_any_object_keeps_its_members(result: dict, others: dict, first: bool) -> None:
    others = {key: value for key, value in others.items() if key not in {"error", "result"}}
    whole = {"result": result, **others} if first else {**others, "result": result}
    members = msgspec.json.encode(whole)[1:]
    decoded = msgspec.json.decode(b"{" + modern_members(members, "tools/call"))
    assert decoded == {**others, "result": {"resultType": "complete", **result}}


@given(st.binary(max_size=40))
def test_nothing_raises(text: bytes) -> None:
    legacy_params(text, progress_token=1, name="x")
    same_era_params(text, progress_token=1, name="x")
    modern_members(text, "resources/read")
    modern_members(b'"result":{' + text, "resources/read")


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        (b'{"a": 1.50,"resultType":"complete"}', b'{"a":1.50}'),
        (b'{"ttlMs":1,"a": {"ttlMs":1},"cacheScope":"x"}', b'{"a":{"ttlMs":1}}'),
        (b'{"a" : 1.50}', b'{"a" : 1.50}'),
        (b"[]", b"[]"),
    ],
)
def test_a_legacy_client_gets_no_modern_members(result: bytes, shown: bytes) -> None:
    assert bytes(legacy_result(msgspec.Raw(result))) == shown


def test_what_is_not_complete_is_not_to_be_kept() -> None:
    members = b'"result":{"resultType":"input_required","requestState":"s"}}'
    assert modern_members(members, "resources/read") == members
