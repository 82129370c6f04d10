"""The legacy handshake and what the relay answers for itself: versions, capabilities, ping, ids."""

from collections.abc import Iterator

import pytest

from tests.harness import (
    CLIENT_INFO,
    LEGACY,
    RawClient,
    Relay,
    RelayHome,
    RpcError,
    fixture_backend,
    json_of,
    modern_meta,
)
from tests.integration.through import CAPABILITIES, configuration, names, relayed, seen

VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    """One relay with two fixture servers, for tests that leave nothing behind in it."""
    with relayed({"a": fixture_backend(), "b": fixture_backend("--name", "other")}) as relay:
        yield relay


@pytest.fixture
def client(relay: Relay) -> RawClient:
    """The client of the shared relay."""
    return relay.client


class TestInitialize:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_every_legacy_version_is_spoken_on_both_sides(self, version: str) -> None:
        """The client gets the version it asks for, so does the backend, and a call works."""
        with relayed(protocol=version) as relay:
            assert relay.client.initialize_result["protocolVersion"] == version
            assert seen(relay.client)["initialize"]["protocolVersion"] == version
            assert json_of(relay.client.call_tool("a__echo", {"v": version})) == {"v": version}

    @pytest.mark.parametrize("version", ["2099-01-01", ""])
    def test_an_unknown_version_is_answered_with_the_newest(self, version: str) -> None:
        """As the specification says; the backend then speaks the answered one."""
        with relayed(protocol=version) as relay:
            assert relay.client.initialize_result["protocolVersion"] == LEGACY
            assert seen(relay.client)["initialize"]["protocolVersion"] == LEGACY

    @pytest.mark.parametrize("version", VERSIONS[:-1])
    def test_a_backend_may_speak_an_older_version_than_the_client(self, version: str) -> None:
        """Version negotiation happens on each side for itself."""
        with relayed({"a": fixture_backend("--protocol", version)}) as relay:
            assert relay.client.initialize_result["protocolVersion"] == LEGACY
            assert json_of(relay.client.call_tool("a__echo", {"x": 1})) == {"x": 1}

    def test_the_backend_sees_the_client_and_not_the_relay(self) -> None:
        """Name, version and whatever else clientInfo and capabilities say are the client's own."""
        info = CLIENT_INFO | {"title": "Tests", "websiteUrl": "https://example.com/", "x-new": [1]}
        capabilities = CAPABILITIES | {"experimental": {"x": {"deep": [1.5, None]}}}
        params = {"protocolVersion": LEGACY, "capabilities": capabilities, "clientInfo": info}
        with Relay(configuration()) as relay:
            relay.client.request("initialize", params)
            relay.client.notify("notifications/initialized")
            assert seen(relay.client)["initialize"] == params

    def test_the_answer_says_who_the_relay_is_and_names_the_backends(self, relay: Relay) -> None:
        """serverInfo is the relay's own; instructions tell the model what is behind it."""
        answer = relay.client.initialize_result
        assert answer["serverInfo"]["name"] == "mcp-relay"
        assert answer["serverInfo"]["version"]
        assert "a, b" in answer["instructions"]
        assert "a__" in answer["instructions"]

    def test_capabilities_are_a_superset_when_nothing_is_known(self) -> None:
        """They cannot be added later: so on the first start everything that can be is declared."""
        bare = fixture_backend("--plain-only", "--tools", "1", "--without", "prompts")
        with relayed({"a": bare | {"start": "lazy"}}) as relay:
            assert relay.client.initialize_result["capabilities"] == {
                "tools": {"listChanged": True},
                "prompts": {"listChanged": True},
                "resources": {"listChanged": True, "subscribe": True},
                "completions": {},
                "logging": {},
                "tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}},
            }

    def test_capabilities_are_those_of_the_backends_once_known(self) -> None:
        """On the second start only what some backend has is declared."""
        without = [f"--without={what}" for what in ("prompts", "completions", "logging")]
        home = RelayHome.make()
        try:
            for _ in range(2):
                with relayed({"a": fixture_backend(*without)}, home=home) as relay:
                    relay.client.list_all("tools")
                    declared = relay.client.initialize_result["capabilities"]
            assert declared == {
                "tools": {"listChanged": True},
                "resources": {"listChanged": True, "subscribe": True},
            }
        finally:
            home.remove()

    def test_calls_work_before_anything_was_listed(self) -> None:
        """Claude Code calls a server it had to start again without listing its tools anew."""
        with relayed() as relay:
            assert json_of(relay.client.call_tool("a__echo", {"first": True})) == {"first": True}
            assert not [f for f in relay.client.frames if "tools" in f.message.get("result", {})]

    def test_a_method_of_a_feature_no_backend_has(self) -> None:
        """Lists without any items are empty lists, not errors."""
        without = [f"--without={what}" for what in ("prompts", "resources")]
        with relayed({"a": fixture_backend(*without)}) as relay:
            for what in ("prompts", "resources", "resources/templates"):
                assert relay.client.list_all(what) == []


class TestPing:
    def test_ping_is_answered_before_and_after_the_handshake(self) -> None:
        """The specification allows it at any time."""
        with Relay(configuration()) as relay:
            assert relay.client.request("ping") == {}
            relay.client.initialize()
            assert relay.client.request("ping") == {}

    def test_a_backends_ping_is_answered_without_the_client(self, client: RawClient) -> None:
        """The relay is the client of its backends: their ping is its own affair."""
        assert client.call_tool("a__ping_client")["structuredContent"] == {}
        assert not [frame for frame in client.frames if frame.method == "ping"]


class TestIds:
    @pytest.mark.parametrize(
        "request_id", [70007, "7", "", "listen:0", -3, 2**53 - 1, 2**63, "ü\n"]
    )
    def test_ids_come_back_with_value_and_type(self, client: RawClient, request_id: object) -> None:
        """Claude Code mixes strings and integers on one connection; 0 is that of initialize."""
        answer = client.response(client.start_tool("a__echo", request_id=request_id))
        assert answer.id == request_id and type(answer.id) is type(request_id)

    def test_a_number_and_the_same_number_as_text_are_two_ids(self, client: RawClient) -> None:
        """Both under way at once, answered each with its own payload."""
        group = {"group": "ids", "size": 2}
        for request_id in (70_001, "70001"):
            arguments = {**group, "id": request_id}
            client.start_tool("a__reply_out_of_order", arguments, request_id=request_id)
        for request_id in (70_001, "70001"):
            assert json_of(client.response(request_id).result)["id"] == request_id


class TestUnknown:
    def test_an_unknown_method_is_refused(self, client: RawClient) -> None:
        """-32601, and it is not passed to any backend."""
        with pytest.raises(RpcError) as refused:
            client.request("does/not-exist", {"x": 1})
        assert refused.value.code == -32601
        assert "does/not-exist" not in seen(client)["methods"]

    def test_an_unknown_notification_is_ignored(self, client: RawClient) -> None:
        """No answer, no harm, no backend hears of it."""
        client.notify("notifications/does-not-exist", {"x": 1})
        assert client.request("ping") == {}
        assert "notifications/does-not-exist" not in seen(client)["methods"]

    def test_the_modern_only_methods_need_the_modern_envelope(self, client: RawClient) -> None:
        """In the handshake era there is no subscriptions/listen."""
        with pytest.raises(RpcError) as refused:
            client.request("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        assert refused.value.code == -32601

    def test_a_backend_never_sees_the_envelope_of_the_other_era(self, client: RawClient) -> None:
        """A modern request on a connection that began with initialize works, and is translated."""
        result = client.modern("tools/call", {"name": "a__meta", "arguments": {}})
        assert result["resultType"] == "complete"
        assert json_of(result) == {}
        assert not set(modern_meta()) & set(json_of(result))


def test_both_backends_are_there(client: RawClient) -> None:
    """One client, two servers: the tools of both, each under its own prefix."""
    listed = names(client.list_all("tools"))
    for prefix in ("a", "b"):
        assert f"{prefix}__echo" in listed
        assert json_of(client.call_tool(f"{prefix}__echo", {"of": prefix})) == {"of": prefix}
