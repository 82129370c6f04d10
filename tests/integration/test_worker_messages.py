"""A real worker process: what backends and client say to each other beside calls."""

import json

from relay_supervisor.wire import cache, v1
from tests.harness.fixture import fixture_backend
from tests.integration.fake_supervisor import FakeSupervisor
from tests.integration.two_backends import no_complaints, two_backends


def test_a_backend_asks_the_client_and_gets_the_answer(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends(), sampling={}, roots={})
    supervisor.tool(5, "fix__sample", prompt="why?")
    request, params = supervisor.expect(v1.BackendRequest)
    assert (request.backend, request.method) == ("fix", "sampling/createMessage")
    assert json.loads(params)["messages"][0]["content"]["text"] == "why?"
    answer = v1.ClientAnswer("fix", request.id, request.pid)
    wrong = v1.ClientAnswer("fix", request.id, request.pid + 1)
    supervisor.send(wrong, b'"result":{"of":"another process"}}')
    supervisor.send(answer, b'"result":{"role":"assistant","deep":[1.50]}}')
    assert supervisor.structured(5) == {"role": "assistant", "deep": [1.5]}
    no_complaints(supervisor)


def test_what_no_client_is_ever_asked_is_refused_here(supervisor: FakeSupervisor) -> None:
    """What this client has not declared, the supervisor refuses: it may be another one per call."""
    supervisor.ready(two_backends(), roots={})
    supervisor.tool(50, "fix__ask_client", method="no/such")
    supervisor.tool(51, "fix__ping_client")
    assert supervisor.structured(50)["error"]["code"] == -32601
    assert supervisor.structured(51) == {}, "a ping is answered here"
    assert not [m for m, _ in supervisor.inbox if isinstance(m, v1.BackendRequest)]


def test_progress_of_the_clients_finds_the_backend_that_asked(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends(), sampling={})
    asked = {"_meta": {"progressToken": "mine"}, "messages": [], "maxTokens": 1}
    supervisor.tool(5, "fix__ask_client", method="sampling/createMessage", params=asked)
    request, params = supervisor.expect(v1.BackendRequest)
    token = json.loads(params)["_meta"]["progressToken"]
    assert token == 'relay:fix:"mine"'
    notification = v1.ClientNotification("notifications/progress")
    supervisor.send(notification, json.dumps({"progressToken": token, "progress": 1}).encode())
    supervisor.send(v1.ClientAnswer("fix", request.id, request.pid), b'"result":{}}')
    supervisor.reply(5)
    supervisor.tool(6, "fix__seen")
    assert supervisor.structured(6)["methods"]["notifications/progress"] == 1


def test_a_backend_withdraws_its_question(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends(), roots={})
    supervisor.tool(5, "fix__ask_and_cancel")
    request, _ = supervisor.expect(v1.BackendRequest)
    cancel, params = supervisor.expect(v1.BackendCancel)
    assert (cancel.backend, cancel.id, cancel.pid) == ("fix", request.id, request.pid)
    assert json.loads(params)["reason"] == "fixture"


def test_roots_changes_go_to_backends_that_know_of_roots(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends(), roots={"listChanged": True})
    supervisor.send(v1.ClientNotification("notifications/roots/list_changed"))
    for backend in ("fix", "two"):
        supervisor.tool(5, f"{backend}__seen")
        methods = supervisor.structured(5)["methods"]
        assert methods["notifications/roots/list_changed"] == 1


def test_the_log_level_reaches_backends_that_start_later(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends())
    supervisor.send(v1.SetLevel("error"))
    supervisor.tool(5, "fix__seen")
    assert supervisor.structured(5)["level"] == "error"
    supervisor.tool(6, "fix__log", level="error")
    message, params = supervisor.expect(v1.Notification)
    assert message.method == "notifications/message"
    assert json.loads(params)["logger"] == "fixture"
    supervisor.tool(7, "fix__die")
    supervisor.reply(7)
    supervisor.tool(8, "fix__seen")
    assert supervisor.structured(8)["level"] == "error"


def test_subscriptions_are_kept_over_a_restart(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends())
    supervisor.send(v1.Subscriptions(["fixture://text", "fixture://item/3", "fixture://none"]))
    supervisor.call(5, "resources/subscribe", {"uri": "fixture://blob"})
    assert "result" in supervisor.reply(5)
    wanted = ["fixture://blob", "fixture://item/3", "fixture://text"]
    supervisor.tool(6, "fix__seen")
    assert set(wanted) <= set(supervisor.structured(6)["subscriptions"])
    supervisor.tool(7, "fix__touch_resource", uri="fixture://text")
    message, params = supervisor.expect(v1.Notification)
    assert message.method == "notifications/resources/updated"
    assert json.loads(params) == {"uri": "fixture://text"}
    supervisor.tool(8, "fix__die")
    supervisor.reply(8)
    supervisor.tool(9, "fix__seen")
    assert set(wanted) <= set(supervisor.structured(9)["subscriptions"])
    supervisor.call(10, "resources/unsubscribe", {"uri": "fixture://blob"})
    assert "result" in supervisor.reply(10)
    supervisor.send(v1.Subscriptions(["fixture://item/3"]))
    supervisor.tool(11, "fix__seen")
    assert supervisor.structured(11)["subscriptions"] == ["fixture://item/3"]


def test_a_modern_client_gets_modern_answers(supervisor: FakeSupervisor) -> None:
    supervisor.configure(two_backends())
    supervisor.session(era=v1.MODERN, roots={}, sampling={}, elicitation={}, other={})
    supervisor.expect(v1.Catalogue, lambda m: m.settled)
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "progressToken": 3,
        "kept": 1,
    }
    params = {"name": "fix__meta", "arguments": {}, "_meta": meta}
    supervisor.call(5, "tools/call", params, era=v1.MODERN)
    result = supervisor.reply(5)["result"]
    assert result["resultType"] == "complete"
    assert result["structuredContent"] == {"progressToken": 5, "kept": 1}
    supervisor.call(6, "resources/read", {"uri": "fixture://text", "_meta": meta}, era=v1.MODERN)
    assert {"resultType", "ttlMs", "cacheScope"} <= set(supervisor.reply(6)["result"])
    supervisor.tool(7, "fix__seen")
    initialize = supervisor.structured(7)["initialize"]
    every = ("roots", "sampling", "elicitation", "other")
    assert initialize["capabilities"] == {name: {} for name in every}
    assert initialize["protocolVersion"] == "2025-11-25"
    no_complaints(supervisor)


def test_another_client_is_introduced_to_the_backends_anew(supervisor: FakeSupervisor) -> None:
    supervisor.configure({"backends": {"fix": fixture_backend("--tools-by-capability")}})
    supervisor.session(era=v1.MODERN)
    supervisor.expect(v1.Catalogue, lambda m: m.settled)
    supervisor.inbox.clear()
    supervisor.session(sampling={})
    _, body = supervisor.expect(v1.Catalogue)
    assert "fix__sample" in [entry.key for entry in cache.decode_body(body).tools]
    assert len(supervisor.spawned) == 2


def test_the_status_tool_shows_what_the_supervisor_knows(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends())
    supervisor.tool(5, "relay__status")
    request, _ = supervisor.expect(v1.StatusRequest)
    backend = {"name": "fix", "state": "ready", "tools": 4, "restarts": 1, "last_error": "x" * 999}
    status = {"id": "i", "health": "ok", "backends": [backend], "registry": {"tools": 5}}
    supervisor.send(v1.StatusReply(request.token), json.dumps(status).encode())
    result = supervisor.reply(5)["result"]
    assert result["structuredContent"] == status
    text = result["content"][0]["text"]
    assert "fix: ready, 4 tools, 1 restarts" in text and len(text) < 500


def test_builtin_tools_can_be_switched_off(supervisor: FakeSupervisor) -> None:
    supervisor.ready({**two_backends(), "relay": {"builtin_tools": False}})
    supervisor.tool(5, "relay__status")
    assert supervisor.reply(5)["error"]["code"] == -32602
