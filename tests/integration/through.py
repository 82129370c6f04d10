"""Relays in front of fixture servers, as most of the protocol's tests want them.

At the end every fixture server is asked what the relay did to it that no client may do.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.harness import LEGACY, RawClient, Relay, RelayHome, fixture_backend

CAPABILITIES = {"roots": {"listChanged": True}, "sampling": {}, "elicitation": {}}
"""What the client declares unless a test is about that."""


def configuration(backends: Mapping[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    """A relay.yaml with these backends (default: one fixture server named `a`).

    The first list waits long enough for them also on a loaded machine.
    """
    return {
        "backends": {"a": fixture_backend()} if backends is None else dict(backends),
        "relay": {"first_list_wait_seconds": 30, **settings},
    }


@contextmanager
def relayed(
    backends: Mapping[str, Any] | None = None,
    *,
    capabilities: Mapping[str, Any] | None = None,
    protocol: str = LEGACY,
    home: RelayHome | None = None,
    **settings: Any,
) -> Iterator[Relay]:
    """A relay after the handshake; in the end its fixture servers must have no complaint."""
    with Relay(configuration(backends, **settings), home=home) as relay:
        relay.client.initialize(protocol, CAPABILITIES if capabilities is None else capabilities)
        yield relay
        assert_no_complaint(relay.client)


def assert_no_complaint(client: RawClient) -> None:
    """Fail if a fixture server saw the relay break a rule."""
    for name in names(client.list_all("tools")):
        if name.endswith("__violations"):
            assert client.call_tool(name)["structuredContent"] == {"violations": []}, name


def names(items: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names of list items."""
    return [item["name"] for item in items]


def seen(client: RawClient, backend: str = "a") -> dict[str, Any]:
    """What a fixture server has received so far."""
    found: dict[str, Any] = client.call_tool(f"{backend}__seen")["structuredContent"]
    return found


def backend_state(client: RawClient, backend: str) -> dict[str, Any]:
    """A backend's object in the status, by the relay's own tool: quicker than relayctl."""
    status = client.call_tool("relay__status")["structuredContent"]
    found: dict[str, Any] = next(b for b in status["backends"] if b["name"] == backend)
    return found
