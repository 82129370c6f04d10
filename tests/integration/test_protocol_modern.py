"""A client of 2026-07-28 in front of legacy backends: every request carries its own envelope."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.harness import (
    CLIENT_INFO,
    LEGACY,
    MODERN,
    RawClient,
    Relay,
    RpcError,
    fixture_backend,
    json_of,
    modern_meta,
    text_of,
    wait_until,
)
from tests.integration.through import CAPABILITIES, configuration, names

META = "io.modelcontextprotocol/"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
TOOLS_CHANGED = "notifications/tools/list_changed"
PROMPTS_CHANGED = "notifications/prompts/list_changed"
LISTS = {
    "tools": "tools",
    "prompts": "prompts",
    "resources": "resources",
    "resources/templates": "resourceTemplates",
}


@contextmanager
def untouched(**settings: Any) -> Iterator[RawClient]:
    """The client of a relay with two fixture servers that has said nothing yet."""
    backends = {"a": fixture_backend(), "b": fixture_backend()}
    with Relay(configuration(backends, **settings)) as relay:
        yield relay.client


@pytest.fixture(scope="module")
def client() -> Iterator[RawClient]:
    """A client that speaks modern only, for tests that change nothing."""
    with untouched() as client:
        client.modern("tools/list")
        yield client


def call(client: RawClient, name: str, arguments: Any = None, **params: Any) -> Any:
    """Call a tool in the modern era; its result."""
    return client.modern("tools/call", {"name": name, "arguments": arguments or {}, **params})


def listen(client: RawClient, request_id: Any = "listen:0", **wanted: Any) -> Any:
    """Open a subscription and return the params of its acknowledgement."""
    client.start_modern("subscriptions/listen", {"notifications": wanted}, request_id=request_id)
    return client.wait_notification(ACKNOWLEDGED)


class TestDiscover:
    def test_it_says_what_the_relay_speaks_and_is(self) -> None:
        """Claude Code's first message; answered without any backend, by any supported version."""
        with untouched() as client:
            request_id = "server-discover-probe-1"
            client.start_modern("server/discover", request_id=request_id)
            result = client.response(request_id).result
        assert result["supportedVersions"] == [MODERN]
        assert result["resultType"] == "complete"
        assert {"tools", "prompts", "resources"} <= set(result["capabilities"])
        assert "a, b" in result["instructions"]
        assert result["_meta"][META + "serverInfo"]["name"] == "mcp-relay"
        assert result["ttlMs"] >= 0 and result["cacheScope"] in {"private", "public"}

    def test_initialize_may_follow_on_the_same_connection(self) -> None:
        """A client that probes, and then falls back, is a legacy client with all its rights."""
        with untouched() as client:
            client.modern("server/discover")
            assert client.initialize(LEGACY, CAPABILITIES)["protocolVersion"] == LEGACY
            assert "resultType" not in client.request("tools/list")
            question_in = client.start_tool("a__elicit")
            client.answer(client.wait_request("elicitation/create"), {"action": "decline"})
            assert json_of(client.response(question_in).result) == {"action": "decline"}

    def test_lists_may_follow_without_initialize(self) -> None:
        """As Claude Code does: discover, listen, discover again, lists, all at once."""
        with untouched() as client:
            client.modern("server/discover")
            listen(client, toolsListChanged=True, promptsListChanged=True)
            requests = [client.start_modern(f"{what}/list") for what in LISTS]
            requests.append(client.start_modern("server/discover"))
            results = [client.response(request).result for request in requests]
            assert "a__echo" in names(results[0]["tools"])
            assert json_of(call(client, "b__echo", {"x": 1})) == {"x": 1}


class TestLists:
    @pytest.mark.parametrize("what", LISTS)
    def test_they_carry_what_the_era_demands(self, client: RawClient, what: str) -> None:
        """resultType, ttlMs and cacheScope beside the items."""
        result = client.modern(f"{what}/list")
        assert result["resultType"] == "complete"
        assert isinstance(result["ttlMs"], int) and result["ttlMs"] >= 0
        assert result["cacheScope"] == "private"
        assert result[LISTS[what]]

    def test_both_eras_get_the_same_items_on_one_connection(self) -> None:
        """Decided request by request, never locked."""
        with untouched() as client:
            client.initialize()
            for what, member in LISTS.items():
                modern = client.modern(f"{what}/list")
                legacy = client.request(f"{what}/list")
                assert set(legacy) == {member}
                assert modern[member] == legacy[member]
                assert modern[member] == client.modern(f"{what}/list")[member]


class TestListen:
    def test_it_is_acknowledged_and_stays_open(self) -> None:
        """With the filter that is honoured, stamped with the id of the request, type and all."""
        with untouched() as client:
            for request_id in ("listen:0", 4711):
                wanted = {"toolsListChanged": True, "promptsListChanged": True}
                params = listen(client, request_id, **wanted)
                assert params["_meta"] == {META + "subscriptionId": request_id}
                assert params["notifications"] == wanted
                call(client, "a__echo")
                assert not client.answered(request_id)

    def test_changes_come_stamped_and_only_those_wanted(self) -> None:
        """One notification for each subscription that asked for it."""
        with untouched() as client:
            listen(client, "both", toolsListChanged=True, promptsListChanged=True)
            listen(client, 4712, promptsListChanged=True)
            for what in LISTS:
                client.modern(f"{what}/list")
            call(client, "a__add_tool", {"name": "new"})
            stamp = {"_meta": {META + "subscriptionId": "both"}}
            assert client.wait_notification(TOOLS_CHANGED) == stamp
            assert "a__new" in names(client.modern("tools/list")["tools"])
            call(client, "a__add_prompt", {"name": "new"})
            stamps = [client.wait_notification(PROMPTS_CHANGED)["_meta"] for _ in range(2)]
            ids = {meta[META + "subscriptionId"] for meta in stamps}
            assert ids == {"both", 4712}
            call(client, "a__add_resource", {"uri": "fixture://new"})
            assert not client.notifications("notifications/resources/list_changed")
            assert len(client.notifications(TOOLS_CHANGED)) == 1

    def test_without_one_nothing_is_announced(self) -> None:
        """In this era every notification belongs to a request."""
        with untouched() as client:
            client.modern("tools/list")
            call(client, "a__add_tool", {"name": "new"})
            wait_until(lambda: "a__new" in names(client.modern("tools/list")["tools"]), 10)
            call(client, "a__log", {"level": "alert"})
            call(client, "a__echo")
            assert not [frame for frame in client.frames if not frame.is_response]

    def test_it_ends_when_it_is_cancelled(self) -> None:
        """And another one is not touched by that."""
        with untouched() as client:
            listen(client, "first", toolsListChanged=True)
            listen(client, "second", toolsListChanged=True)
            client.modern("tools/list")
            client.cancel("first")
            call(client, "a__add_tool", {"name": "new"})
            stamp = {META + "subscriptionId": "second"}
            assert client.wait_notification(TOOLS_CHANGED)["_meta"] == stamp
            assert len(client.notifications(TOOLS_CHANGED)) == 1

    def test_updates_of_resources(self) -> None:
        """The URIs of the filter are subscribed to at the backend, and let go of with it."""
        with untouched() as client:
            uri = "fixture://text"
            listen(client, "updates", resourceSubscriptions=[uri])
            wait_until(lambda: json_of(call(client, "a__seen"))["subscriptions"] == [uri], 10)
            call(client, "a__touch_resource", {"uri": uri})
            assert client.wait_notification("notifications/resources/updated") == {
                "_meta": {META + "subscriptionId": "updates"},
                "uri": uri,
            }
            client.cancel("updates")
            wait_until(lambda: json_of(call(client, "a__seen"))["subscriptions"] == [], 10)


class TestCalls:
    def test_a_call(self, client: RawClient) -> None:
        """The result says that it is complete; the backend sees nothing of the envelope."""
        result = call(client, "a__echo", {"x": [1.5]})
        assert result["resultType"] == "complete" and json_of(result) == {"x": [1.5]}
        meta = {"claudecode/toolUseId": "t", META + "logLevel": "info"}
        assert json_of(call(client, "a__meta", _meta=meta)) == {"claudecode/toolUseId": "t"}

    def test_progress(self, client: RawClient) -> None:
        """Under the client's token."""
        meta = {"progressToken": "p"}
        result = call(client, "a__slow", {"seconds": 0.01, "steps": 2}, _meta=meta)
        assert text_of(result) == "slow"
        reported = client.notifications("notifications/progress")
        assert [one["progress"] for one in reported if one["progressToken"] == "p"] == [1, 2]

    def test_cancellation(self, client: RawClient) -> None:
        """The backend is told; there is no answer."""
        params = {"name": "b__hang", "arguments": {"tag": "m"}}
        request_id = client.start_modern("tools/call", params)
        client.cancel(request_id)
        wait_until(lambda: json_of(call(client, "b__seen"))["cancelled"], 10)
        assert not client.answered(request_id)

    def test_prompts_and_resources(self, client: RawClient) -> None:
        """With the members the era demands."""
        params = {"name": "a__greet", "arguments": {"name": "Ada"}}
        assert client.modern("prompts/get", params)["resultType"] == "complete"
        read = client.modern("resources/read", {"uri": "fixture://text"})
        assert read["resultType"] == "complete"
        assert read["ttlMs"] >= 0 and read["cacheScope"] in {"private", "public"}

    def test_what_a_backend_asks_comes_as_the_answer_to_the_call(self) -> None:
        """No server asks a modern client by a request."""
        with untouched() as client:
            params = {"name": "a__roots", "arguments": {}}
            request_id = client.start_modern("tools/call", params, capabilities=CAPABILITIES)
            asked = client.response(request_id).result
            assert asked["resultType"] == "input_required" and asked["requestState"]
            ((key, question),) = asked["inputRequests"].items()
            assert question["method"] == "roots/list"
            retry = {
                **params,
                "requestState": asked["requestState"],
                "inputResponses": {key: {"roots": []}},
            }
            request_id = client.start_modern("tools/call", retry, capabilities=CAPABILITIES)
            assert json_of(client.response(request_id).result) == {"roots": []}
            handshake = json_of(call(client, "a__seen"))["initialize"]
            assert handshake["clientInfo"] == CLIENT_INFO
            assert handshake["capabilities"] == CAPABILITIES
            assert not [frame for frame in client.frames if frame.method == "roots/list"]


class TestErrors:
    def test_an_unsupported_version(self, client: RawClient) -> None:
        """-32022, saying what is supported."""
        params = {"_meta": modern_meta() | {META + "protocolVersion": "2099-01-01"}}
        with pytest.raises(RpcError) as refused:
            client.request("tools/list", params)
        assert refused.value.code == -32022
        assert MODERN in refused.value.data["supported"]
        assert refused.value.data["requested"] == "2099-01-01"

    @pytest.mark.parametrize("capabilities", [None, "roots", []])
    def test_without_client_capabilities(self, client: RawClient, capabilities: object) -> None:
        """The envelope must have them, as an object: -32602."""
        meta = modern_meta()
        del meta[META + "clientCapabilities"]
        if capabilities is not None:
            meta[META + "clientCapabilities"] = capabilities
        with pytest.raises(RpcError) as refused:
            client.request("tools/list", {"_meta": meta})
        assert refused.value.code == -32602

    @pytest.mark.parametrize(
        "method",
        ["ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"],
    )
    def test_what_the_era_has_done_away_with(self, client: RawClient, method: str) -> None:
        """-32601, whatever the backends would say."""
        with pytest.raises(RpcError) as refused:
            client.modern(method, {"level": "info", "uri": "fixture://text"})
        assert refused.value.code == -32601

    def test_codes_of_the_other_era_are_translated(self, client: RawClient) -> None:
        """An unknown resource is -32602 now, from the relay and from a backend."""
        for uri in ("file:///nowhere", "fixture://none"):
            with pytest.raises(RpcError) as refused:
                client.modern("resources/read", {"uri": uri})
            assert refused.value.code == -32602

    def test_unknown_tools_and_methods(self, client: RawClient) -> None:
        """As in the other era."""
        for code, method, params in (
            (-32602, "tools/call", {"name": "a__none"}),
            (-32601, "does/not-exist", {}),
            (-32050, "tools/call", {"name": "a__error", "arguments": {"code": -32050}}),
        ):
            with pytest.raises(RpcError) as refused:
                client.modern(method, params)
            assert refused.value.code == code

    @pytest.mark.parametrize("code", [-32020, -32021])
    def test_what_a_backend_says_of_headers_and_capabilities_is_its_own(
        self, client: RawClient, code: int
    ) -> None:
        """The relay has no headers, and does not know what a tool needs: its server does."""
        error = {"code": code, "data": {"requiredCapabilities": {"sampling": {}}}}
        with pytest.raises(RpcError) as refused:
            client.modern("tools/call", {"name": "a__error", "arguments": error})
        assert (refused.value.code, refused.value.data) == (code, error["data"])

    def test_discover_needs_its_envelope(self, client: RawClient) -> None:
        """Without one it is a broken request."""
        with pytest.raises(RpcError) as refused:
            client.request("server/discover")
        assert refused.value.code in {-32602, -32601}


def test_each_request_says_anew_what_can_be_asked_in_it(client: RawClient) -> None:
    """The first one has declared nothing, and that is all a legacy backend was told."""

    def elicit(**capabilities: Any) -> Any:
        params = {"name": "a__elicit", "arguments": {"message": "who?"}}
        key = client.start_modern("tools/call", params, capabilities=capabilities)
        return client.response(key).result

    assert elicit()["structuredContent"]["error"]["code"] == -32601
    asked = elicit(elicitation={})
    assert asked["resultType"] == "input_required"
    (question,) = asked["inputRequests"].values()
    assert question["params"]["message"] == "who?"
    assert elicit(sampling={})["structuredContent"]["error"]["code"] == -32601
