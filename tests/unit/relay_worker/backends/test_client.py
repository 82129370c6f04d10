"""What the backends are told of the client."""

import json

import pytest

from relay_supervisor.wire import v1
from relay_worker.backends.client import Client, client_of

LEGACY = v1.Session(v1.LEGACY, "2025-06-18", "")
MODERN = v1.Session(v1.MODERN, "2026-07-28", "")


def test_a_legacy_client_is_shown_as_it_is() -> None:
    payload = (
        b'{"protocolVersion":"2024-11-05","capabilities":{"roots":{"listChanged":true},"x":{"n":1.0}},'
        b'"clientInfo":{"name":"c","version":"1","title":"T"},"more":1e2,"_meta":{}}'
    )
    client = client_of(LEGACY, payload)
    assert client.params == (
        b'{"protocolVersion":"2024-11-05","capabilities":{"roots":{"listChanged":true},"x":{"n":1.0}},'
        b'"clientInfo":{"name":"c","version":"1","title":"T"},"more":1e2}'
    )
    assert client.can("roots") and not client.can("sampling")


def test_a_modern_client_is_shown_with_all_it_can_be_asked() -> None:
    """The supervisor parks the call in which a backend asks."""
    capabilities = {"roots": {}, "sampling": {}, "elicitation": {}, "extensions": {"a": {}}}
    payload = {"protocolVersion": "2026-07-28", "capabilities": capabilities}
    client = client_of(MODERN, json.dumps(payload).encode())
    params = json.loads(client.params)
    assert params["protocolVersion"] == "2025-11-25"
    assert params["capabilities"] == capabilities
    assert params["clientInfo"]["name"]
    assert client.can("sampling")


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"capabilities":7,"protocolVersion":[]}'])
def test_an_odd_client_still_gets_an_initialize(payload: bytes) -> None:
    params = json.loads(client_of(LEGACY, payload).params)
    assert params["protocolVersion"] == "2025-06-18"
    assert params["capabilities"] == {}


def test_a_version_nobody_knows_becomes_the_newest() -> None:
    client = client_of(LEGACY, b'{"protocolVersion":"2099-01-01"}')
    assert json.loads(client.params)["protocolVersion"] == "2025-11-25"


TASKS = (
    b'{"tasks":{"list":{}},"sampling":{},"extensions":{"a":{},"io.modelcontextprotocol/tasks":{}}}'
)
ACROSS = {"sampling": {}, "extensions": {"a": {}}}


@pytest.mark.parametrize("session", [LEGACY, MODERN])
def test_tasks_are_shown_to_servers_of_the_clients_own_era(session: v1.Session) -> None:
    """The other one has a different kind of them, which nobody bridges."""
    client = client_of(session, b'{"capabilities":%b}' % TASKS)
    legacy = json.loads(client.params)["capabilities"]
    modern = json.loads(client.envelope)["io.modelcontextprotocol/clientCapabilities"]
    own, other = (modern, legacy) if session is MODERN else (legacy, modern)
    assert own == json.loads(TASKS) and other == ACROSS
    assert client.can("tasks") == (session is LEGACY)


def test_a_client_that_is_known_from_custody_has_no_tasks_for_modern_servers() -> None:
    client = Client.left(client_of(LEGACY, b'{"capabilities":%b}' % TASKS).params, ["tasks"])
    assert json.loads(client.envelope)["io.modelcontextprotocol/clientCapabilities"] == ACROSS
