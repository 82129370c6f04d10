"""Resources of several backends: one rule for whose a URI is, in every message, also after a swap.

Both backends are the same fixture server, so that all they list collides; what they have seen tells
who was asked.
"""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness import RawClient, Relay, RpcError, fixture_backend, wait_until
from tests.integration.through import relayed, seen

UPDATED = "notifications/resources/updated"
LINKED = "elsewhere://linked"
SHARED = "fixture://text"


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    """`one` has what is named; `two` the same and more."""
    backends = {"one": fixture_backend(), "two": fixture_backend("--resources", "3")}
    with relayed(backends, probation_seconds=0.1, probation_calls=1000) as relay:
        yield relay


@pytest.fixture
def client(relay: Relay) -> RawClient:
    """The client of the shared relay."""
    return relay.client


def asked(client: RawClient, method: str) -> dict[str, int]:
    """How often each backend was asked that."""
    return {name: seen(client, name)["methods"].get(method, 0) for name in ("one", "two")}


def asked_more(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {name for name in before if after[name] > before[name]}


def send_link(client: RawClient, backend: str, uri: str) -> None:
    """Have a backend name a resource that nobody lists."""
    link = {"type": "resource_link", "uri": uri, "name": "linked"}
    client.call_tool(f"{backend}__raw_result", {"result": {"content": [link]}})


def readers(client: RawClient, uri: str) -> set[str]:
    """Read a resource, there or not; return which backends were asked."""
    before = asked(client, "resources/read")
    client.response(client.start("resources/read", {"uri": uri}))
    return asked_more(before, asked(client, "resources/read"))


@pytest.mark.parametrize(
    ("uri", "owner"),
    [
        pytest.param(SHARED, "one", id="listed by both"),
        pytest.param("fixture://plain/0001", "two", id="listed by one"),
        pytest.param("fixture://item/7", "one", id="a template of both"),
    ],
)
def test_one_backend_is_asked_and_told(client: RawClient, uri: str, owner: str) -> None:
    """Reading, subscribing and updates are the same backend's; the other one hears nothing."""
    other = "two" if owner == "one" else "one"
    assert readers(client, uri) == {owner}
    client.request("resources/subscribe", {"uri": uri})
    assert uri in seen(client, owner)["subscriptions"]
    assert uri not in seen(client, other)["subscriptions"]
    told = len(client.notifications(UPDATED))
    params = {"method": UPDATED, "params": {"uri": uri}}
    client.call_tool(f"{other}__notify_client", params)
    client.call_tool(f"{owner}__touch_resource", {"uri": uri})
    assert client.notifications(UPDATED)[told:] == [{"uri": uri}]
    client.request("resources/unsubscribe", {"uri": uri})
    assert uri not in seen(client, owner)["subscriptions"]


def test_collisions_are_told(relay: Relay) -> None:
    """In the status, item by item, and in the log."""
    reported = [
        (entry["backend"], entry["kind"], entry["name"])
        for entry in relay.status()["registry"]["quarantined"]
    ]
    assert reported == [
        ("two", "resources", "fixture://blob"),
        ("two", "resources", SHARED),
        ("two", "templates", "fixture://item/{id}"),
    ]
    relay.wait_logged("backend two lists 2 resources that another backend has already")


def test_a_completion_goes_where_a_read_goes(client: RawClient) -> None:
    before = asked(client, "completion/complete")
    ref = {"type": "ref/resource", "uri": "fixture://item/{id}"}
    params = {"ref": ref, "argument": {"name": "id", "value": "b"}}
    assert client.request("completion/complete", params)["completion"]["values"] == ["beta"]
    assert asked_more(before, asked(client, "completion/complete")) == {"one"}


def test_a_modern_client_subscribes_by_the_same_rule(client: RawClient) -> None:
    wanted = {"resourceSubscriptions": ["fixture://plain/0002", SHARED]}
    listen = client.start_modern("subscriptions/listen", {"notifications": wanted})
    client.wait_notification("notifications/subscriptions/acknowledged")
    wait_until(lambda: SHARED in seen(client, "one")["subscriptions"], 10)
    assert seen(client, "two")["subscriptions"] == ["fixture://plain/0002"]
    client.call_tool("two__touch_resource", {"uri": "fixture://plain/0002"})
    told = client.wait_notification(UPDATED, lambda params: "_meta" in params)
    assert told["uri"] == "fixture://plain/0002"
    client.cancel(listen)
    wait_until(lambda: not seen(client, "two")["subscriptions"], 10)


class TestLinks:
    """Links need not be listed: they lead to whoever sent them."""

    def test_nobody_is_asked_for_what_nobody_named(self, client: RawClient) -> None:
        with pytest.raises(RpcError) as refused:
            client.request("resources/read", {"uri": "elsewhere://unheard/of"})
        assert refused.value.code == -32002
        with pytest.raises(RpcError) as refused:
            client.modern("resources/read", {"uri": "elsewhere://unheard/of"})
        assert refused.value.code == -32602
        assert readers(client, "elsewhere://unheard/of") == set()

    def test_a_link_leads_to_who_sent_it_also_after_a_swap_and_a_death(self, relay: Relay) -> None:
        client = relay.client
        send_link(client, "two", LINKED)
        assert readers(client, LINKED) == {"two"}
        swap(relay)
        assert readers(client, LINKED) == {"two"}
        kill_worker(relay)
        assert readers(client, LINKED) == {"two"}


def test_subscriptions_stay_where_they_are_over_a_swap_and_a_restart(relay: Relay) -> None:
    client = relay.client
    client.request("resources/subscribe", {"uri": "fixture://plain/0000"})
    swap(relay)
    client.call_tool("two__die")
    wait_until(lambda: seen(client, "two")["subscriptions"] == ["fixture://plain/0000"], 20)
    assert seen(client, "one")["subscriptions"] == []
    client.call_tool("two__touch_resource", {"uri": "fixture://plain/0000"})
    client.wait_notification(UPDATED, lambda params: params == {"uri": "fixture://plain/0000"})


def swap(relay: Relay) -> None:
    """Have another worker serve."""
    done = relay.relayctl("swap", "--json")
    assert done.returncode == 0, done.stdout + done.stderr


def kill_worker(relay: Relay) -> None:
    """Kill the worker, and wait until another one serves."""
    (before,) = active(relay)
    os.kill(before["pid"], signal.SIGKILL)
    wait_until(lambda: [one for one in active(relay) if one["pid"] != before["pid"]], 20)


def active(relay: Relay) -> list[dict[str, Any]]:
    """The workers that serve."""
    workers: list[dict[str, Any]] = relay.status()["workers"]
    return [worker for worker in workers if worker["state"] == "active"]
