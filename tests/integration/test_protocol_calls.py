"""Calls and their kin through the relay: tools, prompts, completion, resources, logging."""

from collections.abc import Iterator

import pytest

from tests.harness import (
    RawClient,
    Relay,
    RpcError,
    fixture_backend,
    json_of,
    start_fixture,
    text_of,
    wait_until,
)
from tests.integration.through import backend_state, relayed, seen

UPDATED = "notifications/resources/updated"
MESSAGE = "notifications/message"


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    """One relay with two fixture servers, for tests that leave nothing behind in it."""
    with relayed({"a": fixture_backend(), "b": fixture_backend()}) as relay:
        yield relay


@pytest.fixture
def client(relay: Relay) -> RawClient:
    """The client of the shared relay."""
    return relay.client


class TestTools:
    def test_every_kind_of_content_arrives_as_sent(self, client: RawClient) -> None:
        """Text, image, audio, links, embedded resources, structured content, _meta."""
        with start_fixture() as direct:
            assert client.call_tool("a__contents") == direct.call_tool("contents")
            arguments = {"text": "grüße 🌍", "n": [1, 2.5, None, True], "o": {"": {}}}
            assert client.call_tool("a__echo", arguments) == direct.call_tool("echo", arguments)

    def test_any_result_object_is_passed(self, client: RawClient) -> None:
        """What a later version of the protocol adds must not need a later relay."""
        result = {"content": [{"type": "hologram", "x": 1}], "futureMember": {"a": [None]}}
        assert client.call_tool("a__raw_result", {"result": result}) == result

    def test_a_tools_error_is_a_result(self, client: RawClient) -> None:
        """isError goes to the model."""
        result = client.call_tool("a__tool_error", {"text": "no luck"})
        assert result == {"content": [{"type": "text", "text": "no luck"}], "isError": True}

    def test_a_json_rpc_error_keeps_code_message_and_data(self, client: RawClient) -> None:
        """The relay does not put its own words into a backend's mouth."""
        error = {"code": -32050, "message": "bad ünits", "data": {"why": ["x", 1.5, None]}}
        with pytest.raises(RpcError) as refused:
            client.call_tool("a__error", error)
        assert vars(refused.value) == error

    def test_an_unknown_tool_is_refused(self, client: RawClient) -> None:
        """-32602 with the name, whether the prefix is known or not."""
        for name in ("a__no_such_tool", "no_such_backend__echo", "echo", "", "a__"):
            with pytest.raises(RpcError) as refused:
                client.call_tool(name)
            assert refused.value.code == -32602
            assert name in refused.value.message

    def test_answers_may_come_in_any_order(self, client: RawClient) -> None:
        """Held by two backends and given last first, each answer finds its request."""
        calls = {
            client.start_tool(
                f"{backend}__reply_out_of_order",
                {"group": "g", "size": 10, "n": n, "of": backend},
            ): (backend, n)
            for n in range(10)
            for backend in ("a", "b")
        }
        for request_id, (backend, n) in calls.items():
            answer = json_of(client.response(request_id).result)
            assert (answer["of"], answer["n"]) == (backend, n)

    def test_meta_of_a_call_reaches_the_backend(self, client: RawClient) -> None:
        """Claude Code's toolUseId, trace context, anything; without a token there is none."""
        meta = {"claudecode/toolUseId": "toolu_1", "traceparent": "00-ab-cd-01", "x": {"y": [1]}}
        assert json_of(client.call_tool("a__meta", meta=meta)) == meta
        assert json_of(client.call_tool("a__meta")) == {}

    def test_a_call_without_arguments_gets_none(self, client: RawClient) -> None:
        """`arguments` is optional and is not invented."""
        assert json_of(client.request("tools/call", {"name": "a__echo"})) == {}


class TestPromptsAndCompletion:
    def test_a_prompt_with_arguments(self, client: RawClient) -> None:
        """Description and messages are the backend's."""
        with start_fixture() as direct:
            arguments = {"name": "Ada", "style": "frank"}
            own = direct.request("prompts/get", {"name": "greet", "arguments": arguments})
            params = {"name": "b__greet", "arguments": arguments}
            assert client.request("prompts/get", params) == own

    @pytest.mark.parametrize("name", ["a__greet", "a__no_such_prompt", "greet"])
    def test_a_prompt_that_cannot_be_got(self, client: RawClient, name: str) -> None:
        """A missing argument and an unknown prompt are -32602."""
        with pytest.raises(RpcError) as refused:
            client.request("prompts/get", {"name": name})
        assert refused.value.code == -32602

    @pytest.mark.parametrize(
        ("ref", "argument", "values"),
        [
            ({"type": "ref/prompt", "name": "a__greet"}, "style", ["formal", "friendly", "frank"]),
            ({"type": "ref/prompt", "name": "b__greet", "title": "x"}, "style", ["friendly"]),
            ({"type": "ref/resource", "uri": "fixture://item/{id}"}, "id", ["alpha"]),
        ],
    )
    def test_completion(
        self, client: RawClient, ref: dict[str, str], argument: str, values: list[str]
    ) -> None:
        """Routed by the reference: a prompt by its shown name, a resource by its template."""
        value = values[0] if len(values) == 1 else ""
        params = {"ref": ref, "argument": {"name": argument, "value": value}}
        assert client.request("completion/complete", params)["completion"]["values"] == values

    @pytest.mark.parametrize(
        "ref",
        [
            {"type": "ref/prompt", "name": "greet"},
            {"type": "ref/unheard-of", "name": "a__greet"},
            {},
        ],
    )
    def test_completion_of_nothing_known(self, client: RawClient, ref: dict[str, str]) -> None:
        """-32602."""
        with pytest.raises(RpcError) as refused:
            client.request("completion/complete", {"ref": ref, "argument": {"name": "x"}})
        assert refused.value.code == -32602


class TestResources:
    def test_text_blob_and_template(self, client: RawClient) -> None:
        """A URI that no list has is read from the backend whose template fits."""
        with start_fixture() as direct:
            for uri in ("fixture://text", "fixture://blob", "fixture://item/42"):
                params = {"uri": uri}
                own = direct.request("resources/read", params)
                assert client.request("resources/read", params) == own

    @pytest.mark.parametrize("uri", ["fixture://none", "file:///nowhere", ""])
    def test_a_resource_that_does_not_exist(self, client: RawClient, uri: str) -> None:
        """-32002 in the handshake era."""
        with pytest.raises(RpcError) as refused:
            client.request("resources/read", {"uri": uri})
        assert refused.value.code == -32002

    def test_updates_come_while_subscribed_and_not_else(self) -> None:
        """subscribe, updated, unsubscribe; the backend is told, and told once."""
        with relayed() as relay:
            client = relay.client
            client.call_tool("a__touch_resource", {"uri": "fixture://text"})
            client.request("resources/subscribe", {"uri": "fixture://text"})
            assert seen(client)["subscriptions"] == ["fixture://text"]
            client.call_tool("a__touch_resource", {"uri": "fixture://text"})
            assert client.wait_notification(UPDATED) == {"uri": "fixture://text"}
            client.request("resources/unsubscribe", {"uri": "fixture://text"})
            assert seen(client)["subscriptions"] == []
            client.call_tool("a__touch_resource", {"uri": "fixture://text"})
            # Whatever the backend says of it, nobody asked.
            client.call_tool(
                "a__notify_client", {"method": UPDATED, "params": {"uri": "fixture://text"}}
            )
            assert len(client.notifications(UPDATED)) == 1
            assert seen(client)["methods"]["resources/subscribe"] == 1

    def test_an_update_may_name_a_part_of_what_was_subscribed_to(self) -> None:
        """ "This might be a sub-resource of the one that the client actually subscribed to." """
        with relayed() as relay:
            client = relay.client
            client.request("resources/subscribe", {"uri": "fixture://text"})
            part = {"uri": "fixture://text/part"}
            client.call_tool("a__notify_client", {"method": UPDATED, "params": part})
            assert client.wait_notification(UPDATED) == part

    def test_subscribing_to_nothing_is_refused(self, client: RawClient) -> None:
        """The backend's own error for a URI of its template, the relay's for all others."""
        for uri in ("fixture://none", "file:///nowhere"):
            with pytest.raises(RpcError):
                client.request("resources/subscribe", {"uri": uri})


class TestLogging:
    def test_messages_come_as_the_backend_wrote_them(self) -> None:
        """Level, logger and data, of both backends."""
        with relayed({"a": fixture_backend(), "b": fixture_backend()}) as relay:
            for name in ("a", "b"):
                relay.client.call_tool(f"{name}__log", {"level": "info", "logger": name})
                message = relay.client.wait_notification(MESSAGE)
                data = {"text": "hello", "number": 0}
                assert message == {"level": "info", "logger": name, "data": data}

    def test_the_level_goes_to_every_backend_also_to_one_started_later(self) -> None:
        """setLevel is answered by the relay; each backend that logs gets it."""
        lazy = fixture_backend(start="lazy", idle_stop_seconds=0.1)
        silent = fixture_backend("--without", "logging")
        backends = {"a": fixture_backend(), "b": fixture_backend(), "late": lazy, "c": silent}
        with relayed(backends) as relay:
            client = relay.client
            client.list_all("tools")
            wait_until(lambda: backend_state(client, "late")["state"] == "idle", 10)
            assert client.request("logging/setLevel", {"level": "error"}) == {}
            for name in ("a", "b", "late"):
                assert seen(client, name)["level"] == "error"
            assert "logging/setLevel" not in seen(client, "c")["methods"]
            client.call_tool("a__log", {"level": "info"})
            client.call_tool("a__log", {"level": "alert"})
            assert client.wait_notification(MESSAGE)["level"] == "alert"

    @pytest.mark.parametrize("level", ["loud", None, 3])
    def test_an_unknown_level_is_refused(self, client: RawClient, level: object) -> None:
        """-32602, and the backends hear nothing of it."""
        with pytest.raises(RpcError) as refused:
            client.request("logging/setLevel", {"level": level})
        assert refused.value.code == -32602
        assert "logging/setLevel" not in seen(client)["methods"]

    def test_other_notifications_pass(self, client: RawClient) -> None:
        """elicitation/complete and what later versions may add."""
        for method in ("notifications/elicitation/complete", "notifications/future"):
            params = {"elicitationId": "e1", "x": {"y": [1]}}
            result = client.call_tool("a__notify_client", {"method": method, "params": params})
            assert text_of(result) == "sent"
            assert client.wait_notification(method) == params
