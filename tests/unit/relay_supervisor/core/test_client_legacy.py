"""A client with a handshake: every method it has, in and out of order."""

import json
from typing import Any

import pytest

from relay_supervisor.core import events, mcp
from relay_supervisor.core.client import GREETING_SECONDS_MAX
from relay_supervisor.core.logs import LEVELS
from relay_supervisor.wire import cache, v1
from tests.unit.relay_supervisor.core.driver import Driver, call, notification, request

VERSIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]


@pytest.fixture
def relay() -> Driver:
    driver = Driver()
    driver.serve()
    return driver


@pytest.fixture
def fresh() -> Driver:
    """A worker is up, the client has said nothing yet."""
    driver = Driver()
    driver.start()
    return driver


def hello(key: object = 0, version: object = "2025-11-25", **params: Any) -> dict[str, Any]:
    """An initialize request."""
    return request(key, "initialize", protocolVersion=version, capabilities={}, **params)


# ---- the handshake


@pytest.mark.parametrize("version", VERSIONS)
def test_initialize_is_answered_with_the_version_that_was_asked_for(
    fresh: Driver, version: str
) -> None:
    result = fresh.ask(hello(version=version))["result"]
    assert result["protocolVersion"] == version
    assert result["serverInfo"] == {"name": "mcp-relay", "version": "9.9"}
    assert result["capabilities"] == {"tools": {"listChanged": True}}
    assert result["instructions"] == "Use it."


@pytest.mark.parametrize("version", ["1999-01-01", "2026-07-28", "x", ""])
def test_another_version_is_answered_with_the_newest_of_ours(fresh: Driver, version: str) -> None:
    assert fresh.ask(hello(version=version))["result"]["protocolVersion"] == VERSIONS[-1]
    assert json.loads(fresh.state.peer.params)["protocolVersion"] == VERSIONS[-1]


@pytest.mark.parametrize("version", [5, None, []])
def test_initialize_needs_a_version(fresh: Driver, version: object) -> None:
    assert fresh.ask(hello(version=version))["error"]["code"] == -32602
    assert fresh.ask(request(1, "initialize"))["error"]["code"] == -32602
    assert fresh.ask(call(2))["error"]["code"] == -32600, "a failed handshake opens nothing"


@pytest.mark.parametrize("odd", [{"clientInfo": 5}, {"clientInfo": {"name": 5}}, {"x": [[]]}, {}])
def test_initialize_forgives_what_it_does_not_need(fresh: Driver, odd: dict[str, Any]) -> None:
    message = request(0, "initialize", protocolVersion="2025-11-25", **odd)
    assert "result" in fresh.ask(message)
    assert fresh.state.peer.name == "unknown"


def test_the_worker_is_told_who_the_client_is(fresh: Driver) -> None:
    fresh.line(hello(clientInfo={"name": "cc", "version": "2.1"}))
    ((generation, session, payload),) = fresh.frames(v1.Session)
    assert generation == 1
    assert (session.era, session.protocol, session.log_level) == (v1.LEGACY, "2025-11-25", None)
    assert session.cache_path.startswith("/state/cache/")
    assert json.loads(payload)["clientInfo"] == {"name": "cc", "version": "2.1"}


def test_before_initialize_only_ping_is_served(fresh: Driver) -> None:
    assert fresh.ask(request(1, "ping"))["result"] == {}
    for method in [*mcp.LISTS, *mcp.ROUTED_BY, "logging/setLevel"]:
        answer = fresh.ask(request(2, method, name="n", uri="u", level="info"))
        assert answer["error"]["code"] == -32600 and "initialize" in answer["error"]["message"]
    assert fresh.frames(v1.Call) == []


def test_a_call_right_after_initialize_is_carried_out_without_any_list(fresh: Driver) -> None:
    """A respawned server gets tools/call right after the handshake."""
    fresh.line(hello())
    fresh.line(call(1))
    assert len(fresh.frames(v1.Call)) == 1


def test_initialize_waits_for_the_instructions_and_for_no_longer_than_its_limit() -> None:
    relay = Driver()
    relay.do(events.Started())
    relay.line(hello("a"))
    relay.wait(GREETING_SECONDS_MAX - 0.1)
    assert relay.client() == []
    relay.wait(0.1)
    (answer,) = relay.client()
    assert "instructions" not in answer["result"]
    assert set(answer["result"]["capabilities"]) >= {"tools", "prompts", "resources"}
    later = Driver()
    later.do(events.Started())
    later.line(hello("a"))
    later.hatch()
    later.configure()
    (answer,) = later.client()
    assert answer["result"]["instructions"] == "Use it."
    later.wait(10)
    assert later.client() == []


def test_a_second_greeting_does_not_make_the_first_one_wait_longer() -> None:
    relay = Driver()
    relay.do(events.Started())
    relay.line(hello("a"))
    relay.wait(GREETING_SECONDS_MAX * 0.75)
    relay.line(hello("b"))
    relay.wait(GREETING_SECONDS_MAX * 0.25)
    assert "a" in [answer["id"] for answer in relay.client()]


# ---- what it asks


def test_unknown_methods_are_refused_and_unknown_notifications_ignored(relay: Driver) -> None:
    answer = relay.ask(request("x", "tools/explode"))
    assert (answer["id"], answer["error"]["code"]) == ("x", -32601)
    assert "tools/explode" in answer["error"]["message"]
    relay.line(notification("notifications/whatever", a=1))
    assert relay.wanted == []


@pytest.mark.parametrize("line", [b"", b" ", b"\t \r"])
def test_a_blank_line_means_nothing(relay: Driver, line: bytes) -> None:
    relay.line(line)
    assert relay.wanted == []


def test_a_line_that_was_too_long_is_answered_without_an_id(relay: Driver) -> None:
    relay.do(events.ClientLineTooLong(1234))
    (answer,) = relay.client()
    assert answer["id"] is None and answer["error"]["code"] == -32600
    assert "1234" in answer["error"]["message"] and "frame_bytes_max" in answer["error"]["message"]


def test_garbage_between_good_lines_harms_none_of_them(relay: Driver) -> None:
    for garbage in (b"{", b"\xff", b"[[[[", b'{"jsonrpc":"2.0","id":{}}', b"\0"):
        assert relay.ask(garbage)["error"]["code"] in {-32700, -32600}
        assert relay.ask(request(1, "ping"))["result"] == {}


@pytest.mark.parametrize("level", LEVELS)
def test_the_log_level_is_answered_here_and_told_to_this_worker_and_the_next(
    relay: Driver, level: str
) -> None:
    assert relay.ask(request(1, "logging/setLevel", level=level))["result"] == {}
    assert relay.one(v1.SetLevel) == v1.SetLevel(level)
    relay.do(events.WorkerPipeFailed(1, "gone"))
    relay.wait(1)
    relay.hatch(2)
    relay.configure(2)
    assert relay.one(v1.Session).log_level == level


@pytest.mark.parametrize("level", ["loud", 5, None, "INFO"])
def test_a_level_that_is_none_is_refused(relay: Driver, level: object) -> None:
    answer = relay.ask(request(1, "logging/setLevel", level=level))
    assert answer["error"]["code"] == -32602 and "warning" in answer["error"]["message"]
    assert relay.frames(v1.SetLevel) == []


@pytest.mark.parametrize("method", mcp.LISTS)
def test_every_list_is_one_page_and_a_cursor_is_unknown(relay: Driver, method: str) -> None:
    result = relay.ask(request(1, method))["result"]
    assert list(result) == [mcp.LISTS[method].value] and len(next(iter(result.values()))) >= 1
    for cursor in ("", "abc"):
        answer = relay.ask(request(2, method, cursor=cursor))
        assert answer["error"]["code"] == -32602 and "cursor" in answer["error"]["message"]
    assert relay.ask(request(3, method, cursor=None))["result"] == result


def test_subscriptions_of_the_modern_era_are_unknown_without_an_envelope(relay: Driver) -> None:
    assert relay.ask(request(1, "subscriptions/listen"))["error"]["code"] == -32601
    assert relay.ask(request(2, "server/discover"))["error"]["code"] == -32602


# ---- what it is told


def note(relay: Driver, method: str, **params: Any) -> list[Any]:
    """What the client gets for a backend's notification."""
    relay.frame(v1.Notification("files", method), json.dumps(params).encode())
    return relay.client()


def test_notifications_of_backends_are_passed_on_once_the_client_is_greeted() -> None:
    relay = Driver()
    relay.start()
    assert note(relay, "notifications/message", level="info", data=1) == []
    relay.ask(hello())
    (told,) = note(relay, "notifications/message", level="info", data=1)
    assert told["params"] == {"level": "info", "data": 1}


def test_updates_are_for_resources_the_client_subscribed(relay: Driver) -> None:
    assert note(relay, "notifications/resources/updated", uri="file:///a") == []
    relay.line(request(1, "resources/subscribe", uri="file:///a"))
    relay.reply(1)
    relay.client()
    (told,) = note(relay, "notifications/resources/updated", uri="file:///a", title="t")
    assert told["params"] == {"uri": "file:///a", "title": "t"}
    part = note(relay, "notifications/resources/updated", uri="file:///a/part")
    assert len(part) == 1, "it may be of a part of what was subscribed to"
    assert note(relay, "notifications/resources/updated") == []
    relay.line(request(2, "resources/unsubscribe", uri="file:///a"))
    relay.reply(2)
    relay.client()
    assert note(relay, "notifications/resources/updated", uri="file:///a") == []


def test_roots_changes_go_to_the_backends(relay: Driver) -> None:
    relay.line(notification("notifications/roots/list_changed"))
    ((_, message, payload),) = relay.frames(v1.ClientNotification)
    assert (message.method, payload) == ("notifications/roots/list_changed", b"")


def changed(relay: Driver, digest: str, *names: str) -> None:
    """The worker has another catalogue: these tools alone."""
    tools = [cache.Entry(n, "b", b'{"name":"%s"}' % n.encode()) for n in names]
    relay.catalogue(cache.Body(tools=tools, capabilities=b"{}"), digest)


def test_changes_within_a_moment_become_one_notification_about_what_was_listed(
    relay: Driver,
) -> None:
    relay.ask(request(1, "tools/list"))
    for number in range(5):
        changed(relay, f"x{number}", f"tool{number}")
        relay.wait(0.009)
    assert relay.client() == []
    relay.wait(0.2)
    assert [told["method"] for told in relay.client()] == ["notifications/tools/list_changed"]
    names = [tool["name"] for tool in relay.ask(request(2, "tools/list"))["result"]["tools"]]
    assert names == ["tool4"]
    changed(relay, "y", "tool4")
    relay.wait(1)
    assert relay.client() == []


def test_a_change_before_the_client_is_initialized_is_told_when_it_is() -> None:
    relay = Driver()
    relay.start()
    relay.ask(hello())
    relay.ask(request(1, "tools/list"))
    changed(relay, "x", "other")
    relay.wait(1)
    assert relay.client() == [], "nothing is told to a client that is not ready"
    relay.line(notification("notifications/initialized"))
    relay.wait(1)
    assert [told["method"] for told in relay.client()] == ["notifications/tools/list_changed"]
