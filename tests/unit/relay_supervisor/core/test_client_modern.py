"""A client without a handshake (2026-07-28): its era is in the envelope of each request."""

import json
from typing import Any

import pytest

from relay_supervisor.core import events, mcp
from relay_supervisor.core.client import LISTENS_MAX
from relay_supervisor.wire import cache, v1
from tests.unit.relay_supervisor.core.driver import (
    BODY,
    MODERN_META,
    Driver,
    call,
    modern,
    notification,
    request,
)

SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
ALL = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}


@pytest.fixture
def relay() -> Driver:
    driver = Driver()
    driver.start()
    return driver


def listen(relay: Driver, key: object = "listen:0", **wanted: Any) -> Any:
    """Open a subscription; returns the acknowledgement."""
    return relay.ask(modern(key, "subscriptions/listen", notifications=wanted))


def changed(relay: Driver, digest: str = "x") -> None:
    """The worker has another catalogue."""
    tools = [cache.Entry(digest, "b", b'{"name":"%s"}' % digest.encode())]
    relay.catalogue(cache.Body(tools=tools, capabilities=b"{}"), digest)
    relay.wait(1)


def test_discover_says_what_is_spoken_and_may_not_be_kept(relay: Driver) -> None:
    result = relay.ask(modern("server-discover-probe-1", "server/discover"))["result"]
    assert result["supportedVersions"] == ["2026-07-28"]
    assert result["resultType"] == "complete"
    assert (result["ttlMs"], result["cacheScope"]) == (0, "private")
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "mcp-relay"
    assert result["capabilities"] == {"tools": {"listChanged": True}}
    assert result["instructions"] == "Use it."


def test_discover_says_nothing_of_the_tasks_of_the_era_before(relay: Driver) -> None:
    """Which are declared, while a backend is unknown, to whoever may use them."""
    declared = b'{"tasks":{"list":{}},"x":1.0}'
    relay.catalogue(cache.Body(tools=BODY.tools, capabilities=declared), "with tasks")
    discovered = relay.ask(modern(0, "server/discover"))["result"]["capabilities"]
    assert discovered == {"x": 1.0}
    assert relay.greet()["capabilities"] == {"tasks": {"list": {}}, "x": 1.0}


def test_a_probe_alone_decides_nothing(relay: Driver) -> None:
    """Claude Code may fall back to initialize after its probe."""
    relay.ask(modern(0, "server/discover"))
    assert relay.frames(v1.Session) == [] and relay.state.peer.era is None
    assert relay.greet()["protocolVersion"] == "2025-11-25"
    assert relay.state.peer.era == v1.LEGACY


def test_the_first_real_request_introduces_the_client(relay: Driver) -> None:
    relay.line(modern(0, "tools/list"))
    ((_, session, payload),) = relay.frames(v1.Session)
    assert (session.era, session.protocol) == (v1.MODERN, "2026-07-28")
    assert json.loads(payload) == {
        "protocolVersion": "2026-07-28",
        "capabilities": {},
        "clientInfo": {"name": "modern", "version": "2"},
    }
    relay.line(modern(1, "tools/list"))
    assert relay.frames(v1.Session) == []


@pytest.mark.parametrize("method", mcp.LISTS)
def test_every_list_carries_its_caching(relay: Driver, method: str) -> None:
    result = relay.ask(modern(1, method))["result"]
    assert (result["resultType"], result["ttlMs"], result["cacheScope"]) == (
        "complete",
        0,
        "private",
    )
    assert result[mcp.LISTS[method].value]


def test_calls_need_no_handshake_and_go_with_their_whole_envelope(relay: Driver) -> None:
    relay.line(modern(1, "tools/call", name="files__read", _meta={"progressToken": 5}))
    ((_, message, payload),) = relay.frames(v1.Call)
    assert message == v1.Call(1, "tools/call", "files__read", v1.MODERN)
    assert json.loads(payload)["_meta"] == {**MODERN_META, "progressToken": 5}
    relay.frame(v1.Progress(1), b'{"progress":1}')
    (progress,) = relay.client()
    assert progress["params"]["progressToken"] == 5


def test_a_bad_envelope_is_refused_and_harms_nothing(relay: Driver) -> None:
    bad = request(1, "tools/list", _meta={"io.modelcontextprotocol/protocolVersion": "2099-01-01"})
    error = relay.ask(bad)["error"]
    assert error["code"] == -32022
    assert error["data"] == {"supported": ["2026-07-28"], "requested": "2099-01-01"}
    incomplete = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    assert relay.ask(request(2, "tools/list", _meta=incomplete))["error"]["code"] == -32602
    assert relay.ask(request(3, "tools/list", _meta=[]))["error"]["code"] == -32602
    assert relay.state.peer.era is None
    assert "result" in relay.ask(modern(4, "tools/list"))


def test_initialize_is_no_method_of_this_era(relay: Driver) -> None:
    assert relay.ask(modern(1, "initialize"))["error"]["code"] == -32601
    assert relay.greet()["protocolVersion"] == "2025-11-25"


def test_ping_is_no_method_of_this_era(relay: Driver) -> None:
    assert relay.ask(modern(1, "ping"))["error"]["code"] == -32601
    assert relay.ask(request(2, "ping"))["result"] == {}


def test_both_eras_are_served_on_one_connection_whatever_came_first(relay: Driver) -> None:
    assert "resultType" in relay.ask(modern(1, "tools/list"))["result"]
    relay.greet()
    assert "resultType" not in relay.ask(request(2, "tools/list"))["result"]
    assert "resultType" in relay.ask(modern(3, "tools/list"))["result"]
    relay.line(call(4))
    relay.line(modern(5, "tools/call", name="t"))
    assert [m.era for _, m in relay.to_worker(v1.Call)] == [v1.LEGACY, v1.MODERN]


def test_without_initialize_a_request_without_an_envelope_is_refused(relay: Driver) -> None:
    relay.ask(modern(1, "tools/list"))
    assert relay.ask(request(2, "tools/list"))["error"]["code"] == -32600


# ---- subscriptions


def test_a_subscription_is_acknowledged_stamped_and_left_open(relay: Driver) -> None:
    told = listen(relay, **ALL)
    assert told["method"] == "notifications/subscriptions/acknowledged"
    assert told["params"] == {"_meta": {SUBSCRIPTION: "listen:0"}, "notifications": ALL}
    relay.wait(1000)
    assert relay.client() == []


def test_changes_are_told_to_each_subscription_that_wants_them_with_its_own_stamp(
    relay: Driver,
) -> None:
    listen(relay, 1, toolsListChanged=True)
    listen(relay, "1", **ALL)
    listen(relay, 2, promptsListChanged=True)
    relay.ask(modern(9, "tools/list"))
    changed(relay)
    told = relay.client()
    assert [t["method"] for t in told] == ["notifications/tools/list_changed"] * 2
    assert [t["params"]["_meta"][SUBSCRIPTION] for t in told] == [1, "1"]


def test_a_modern_client_is_told_nothing_it_did_not_subscribe(relay: Driver) -> None:
    relay.ask(modern(9, "tools/list"))
    changed(relay)
    relay.frame(v1.Notification("files", "notifications/message"), b'{"level":"info","data":1}')
    assert relay.client() == []


def test_uris_are_told_to_the_worker_and_updates_are_stamped(relay: Driver) -> None:
    listen(relay, 1, resourceSubscriptions=["file:///a", "file:///b"])
    listen(relay, 2, resourceSubscriptions=["file:///b"])
    assert [m.uris for _, m in relay.to_worker(v1.Subscriptions)] == [
        ["file:///a", "file:///b"],
        ["file:///a", "file:///b"],
    ]
    update = v1.Notification("files", "notifications/resources/updated")
    relay.frame(update, b'{"uri":"file:///b"}')
    told = relay.client()
    assert [(t["params"]["uri"], t["params"]["_meta"][SUBSCRIPTION]) for t in told] == [
        ("file:///b", 1),
        ("file:///b", 2),
    ]
    relay.line(notification("notifications/cancelled", requestId=1))
    assert relay.one(v1.Subscriptions).uris == ["file:///b"]
    relay.line(notification("notifications/cancelled", requestId=2))
    relay.frame(update, b'{"uri":"file:///b"}')
    assert relay.client() == []


def test_all_that_an_update_says_is_passed_on(relay: Driver) -> None:
    listen(relay, "l", resourceSubscriptions=["file:///a"])
    update = v1.Notification("files", "notifications/resources/updated")
    relay.frame(update, b'{"uri":"file:///a","method":"m","_meta":{"kept":1}}')
    (told,) = relay.client()
    assert told["params"] == {
        "_meta": {"kept": 1, SUBSCRIPTION: "l"},
        "uri": "file:///a",
        "method": "m",
    }


def test_a_cancelled_subscription_is_free_and_never_answered(relay: Driver) -> None:
    listen(relay, "l", **ALL)
    relay.line(notification("notifications/cancelled", requestId="l"))
    assert relay.client() == [] and relay.state.requests == {}
    relay.ask(modern(9, "tools/list"))
    changed(relay)
    assert relay.client() == []
    listen(relay, "l", **ALL)


def test_an_open_subscription_outlives_its_worker(relay: Driver) -> None:
    listen(relay, "l", toolsListChanged=True)
    relay.ask(modern(9, "tools/list"))
    relay.do(events.WorkerPipeFailed(1, "gone"))
    relay.wait(1)
    relay.hatch(2)
    relay.configure(2)
    assert relay.client() == []
    tools = [cache.Entry("new", "b", b'{"name":"new"}')]
    relay.catalogue(cache.Body(tools=tools), "x", generation=2)
    relay.wait(1)
    (told,) = relay.client()
    assert told["method"] == "notifications/tools/list_changed"
    assert told["params"]["_meta"] == {SUBSCRIPTION: "l"}


def test_what_a_successor_is_told_includes_the_subscribed_uris(relay: Driver) -> None:
    listen(relay, "l", resourceSubscriptions=["file:///a"])
    relay.to_worker(v1.Subscriptions)
    relay.do(events.WorkerPipeFailed(1, "gone"))
    relay.wait(1)
    relay.hatch(2)
    relay.configure(2)
    assert relay.to_worker(v1.Subscriptions) == [(2, v1.Subscriptions(["file:///a"]))]
    relay.frame(
        v1.Notification("files", "notifications/resources/updated"), b'{"uri":"file:///a"}', 2
    )
    assert len(relay.client()) == 1


@pytest.mark.parametrize(
    "wanted", [[], 1, None, {"toolsListChanged": 1}, {"resourceSubscriptions": [5]}]
)
def test_a_filter_that_is_none_is_refused(relay: Driver, wanted: object) -> None:
    answer = relay.ask(modern(1, "subscriptions/listen", notifications=wanted))
    assert answer["error"]["code"] == -32602
    assert relay.state.requests == {} and relay.state.peer.listens == {}


def test_subscriptions_are_limited(relay: Driver) -> None:
    for number in range(LISTENS_MAX):
        listen(relay, number)
    answer = relay.ask(modern("one more", "subscriptions/listen", notifications={}))
    assert str(LISTENS_MAX) in answer["error"]["message"]
    relay.line(notification("notifications/cancelled", requestId=3))
    relay.wanted.clear()
    listen(relay, "one more")


def test_a_list_nobody_listens_for_does_not_count_as_told() -> None:
    """It is told to whoever comes to want it, and not told where it is as it was."""
    relay = Driver()
    relay.start()
    relay.ask(modern("r", "resources/list"))
    relay.line(modern("l", "subscriptions/listen", notifications={"toolsListChanged": True}))
    relay.client()
    changed = cache.Body(tools=BODY.tools, capabilities=BODY.capabilities)
    relay.catalogue(changed, "fewer")
    relay.wait(1.0)
    assert relay.client() == []
    relay.catalogue(BODY, "as before")
    relay.line(request(0, "initialize", protocolVersion="2025-11-25", capabilities={}))
    relay.line(notification("notifications/initialized"))
    relay.wait(1.0)
    told = [m["method"] for m in relay.client() if "method" in m]
    assert "notifications/resources/list_changed" not in told
