"""The headers of a modern request say what its body says; held against the SDK's own reading."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mcp.shared.inbound import (
    InboundModernRoute,
    classify_inbound_request,
    decode_header_value,
    find_invalid_x_mcp_header,
    mcp_param_headers,
    x_mcp_header_map,
)

from relay_supervisor.wire import v1
from relay_worker.backends.client import client_of
from relay_worker.backends.remote.mirror import Mirror, encoded
from relay_worker.backends.speech import ModernSpeech, Spoken

SCHEMA = {
    "type": "object",
    "properties": {
        "a": {"type": "string", "x-mcp-header": "A"},
        "deep": {"type": "object", "properties": {"n": {"type": "integer", "x-mcp-header": "N"}}},
        "yes": {"type": "boolean", "x-mcp-header": "Yes"},
        "free": {"type": "string"},
    },
}


@given(st.text())
@example(" x")
@example("x ")
@example("a\nb")
@example("=?base64?eA==?=")
@example("grüße")
def test_a_value_survives_in_a_header(value: str) -> None:
    header = encoded(value)
    assert header == header.strip()
    assert header.isprintable() and header.isascii()
    assert decode_header_value(header) == value


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "a": st.text() | st.none(),
            "deep": st.fixed_dictionaries({}, optional={"n": st.integers()}) | st.just(1),
            "yes": st.booleans(),
            "free": st.text(),
        },
    )
)
def test_arguments_are_mirrored_as_the_sdk_does(arguments: dict[str, object]) -> None:
    assert find_invalid_x_mcp_header(SCHEMA) is None
    mirror = Mirror()
    mirror.learn([json.dumps({"name": "t", "inputSchema": SCHEMA}).encode()])
    params = json.dumps({"name": "t", "arguments": arguments}).encode()
    found = {k: v for k, v in mirror.headers("tools/call", params).items() if "param" in k}
    want = mcp_param_headers(x_mcp_header_map(SCHEMA), arguments)
    assert found == {name.lower(): value for name, value in want.items()} or found == {
        "mcp-param-" + name[len("Mcp-Param-") :]: value for name, value in want.items()
    }


@pytest.mark.parametrize(
    "text", [b"x-mcp-header", b'{"name":1,"inputSchema":"x-mcp-header"}', b'["x-mcp-header"]']
)
def test_a_tool_that_is_none_is_passed_over(text: bytes) -> None:
    mirror = Mirror()
    mirror.learn([text])
    assert mirror.headers("tools/call", b'{"name":"t"}')["mcp-name"] == "t"


@pytest.mark.parametrize("era", [v1.LEGACY, v1.MODERN])
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {"name": "t", "arguments": {}, "_meta": {"x": 1}}),
        ("prompts/get", {"name": "grüße"}),
        ("resources/read", {"uri": "file:///a b"}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "p"}}),
    ],
)
def test_a_call_is_one_that_a_modern_server_takes(
    era: int, method: str, params: dict[str, object]
) -> None:
    who = {"capabilities": {"roots": {}}, "clientInfo": {"name": "n", "version": "1"}}
    session = v1.Session(era, "2025-11-25", "")
    speech = ModernSpeech(client_of(session, json.dumps(who).encode()), Mirror())
    spoken = speech.call(7, method, json.dumps(params).encode())
    assert isinstance(spoken, Spoken)
    body = json.loads(spoken.body)
    route = classify_inbound_request(body, headers=dict(spoken.headers))
    assert isinstance(route, InboundModernRoute), route
    assert route.client_capabilities == {"roots": {}}
    sent = {key: value for key, value in body["params"].items() if key != "_meta"}
    assert sent == {key: value for key, value in params.items() if key != "_meta"}
