"""The era of a request, its token and its route are read from its own envelope and nothing else."""

import json
from typing import Any

import pytest
from msgspec import Raw

from relay_supervisor.core import envelope, mcp
from relay_supervisor.core.envelope import EnvelopeError
from tests.unit.relay_supervisor.core.driver import MODERN_META

VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"


def read(params: object) -> tuple[envelope.Route, envelope.Meta]:
    """Read the envelope of these params."""
    return envelope.read(Raw(json.dumps(params).encode()))


def initialize_params(params: object) -> bytes:
    """The params of an `initialize` made from the `_meta` of these."""
    return envelope.initialize_params(read(params)[1])


def refused(params: object) -> EnvelopeError:
    """The error these params are refused with."""
    with pytest.raises(EnvelopeError) as caught:
        read(params)
    return caught.value


@pytest.mark.parametrize("raw", [b"", b"null", b"{}", b'{"_meta":{}}', b'{"_meta":null}'])
def test_without_an_envelope_a_request_is_of_the_legacy_era(raw: bytes) -> None:
    _, meta = envelope.read(Raw(raw))
    assert (bytes(meta.version), bytes(meta.token)) == (b"", b"")


def test_with_version_and_capabilities_it_is_modern() -> None:
    route, meta = read({"name": "x", "_meta": MODERN_META})
    assert mcp.string(meta.version) == "2026-07-28"
    assert mcp.string(route.name) == "x"


@pytest.mark.parametrize("params", [[], 1, "x", True, {"_meta": []}, {"_meta": 1}])
def test_params_and_meta_that_are_no_objects_are_refused(params: object) -> None:
    assert refused(params).code == mcp.INVALID_PARAMS


@pytest.mark.parametrize(("token", "raw"), [("t", b'"t"'), ("7", b'"7"'), (7, b"7"), (0, b"0")])
def test_a_progress_token_keeps_its_type(token: object, raw: bytes) -> None:
    assert bytes(read({"_meta": {"progressToken": token}})[1].token) == raw


@pytest.mark.parametrize("token", [1.5, True, [], {}])
def test_a_progress_token_of_another_type_is_refused(token: object) -> None:
    assert refused({"_meta": {"progressToken": token}}).code == mcp.INVALID_PARAMS


@pytest.mark.parametrize("version", ["2025-11-25", "2030-01-01", "", 5, None])
def test_an_unsupported_version_names_those_that_are(version: Any) -> None:
    error = refused({"_meta": {**MODERN_META, VERSION: version}})
    assert error.code == mcp.UNSUPPORTED_VERSION == -32022
    assert isinstance(error.data, dict) and error.data["supported"] == ["2026-07-28"]


@pytest.mark.parametrize("capabilities", [[], 1, "x"])
def test_capabilities_must_be_an_object(capabilities: object) -> None:
    error = refused({"_meta": {**MODERN_META, CAPABILITIES: capabilities}})
    assert error.code == mcp.INVALID_PARAMS
    assert CAPABILITIES in str(error)


def test_capabilities_must_be_there() -> None:
    meta = {name: value for name, value in MODERN_META.items() if name != CAPABILITIES}
    error = refused({"_meta": meta})
    assert error.code == mcp.INVALID_PARAMS
    assert CAPABILITIES in str(error)


def test_a_modern_client_gets_initialize_params_made_from_its_envelope() -> None:
    got = json.loads(initialize_params({"_meta": MODERN_META}))
    assert got == {
        "protocolVersion": "2026-07-28",
        "capabilities": {},
        "clientInfo": {"name": "modern", "version": "2"},
    }


def test_a_client_that_does_not_say_who_it_is_is_unknown() -> None:
    meta = {VERSION: "2026-07-28", CAPABILITIES: {"x": {}}}
    got = json.loads(initialize_params({"_meta": meta}))
    assert got["clientInfo"]["name"] == "unknown"
    assert got["capabilities"] == {"x": {}}
