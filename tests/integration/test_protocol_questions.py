"""What backends ask of the client: roots, sampling, elicitation, and what they must not ask."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness import CLIENT_INFO, LEGACY, RawClient, Relay, fixture_backend, json_of
from tests.integration.through import CAPABILITIES, configuration, relayed, seen

ROOTS = {"roots": [{"uri": "file:///project", "name": "project", "_meta": {"x": 1.50}}]}
NOT_FOUND = -32601


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    """A relay with two fixture servers; their clients' ids collide, both count from 1."""
    with relayed({"a": fixture_backend(), "b": fixture_backend()}) as relay:
        yield relay


@pytest.fixture
def client(relay: Relay) -> RawClient:
    """Its client, which declared roots, sampling and elicitation."""
    return relay.client


class TestQuestions:
    def test_roots(self, client: RawClient) -> None:
        """Asked without params, answered with everything the client said."""
        client.on_request("roots/list", lambda frame: ROOTS)
        assert json_of(client.call_tool("a__roots")) == ROOTS

    def test_sampling(self, client: RawClient) -> None:
        """Params and result pass unchanged, unknown members included."""
        params = {
            "messages": [{"role": "user", "content": {"type": "text", "text": "grüße 🌍"}}],
            "maxTokens": 100,
            "temperature": 0.25,
            "modelPreferences": {"hints": [{"name": "x"}], "costPriority": 1},
            "future": {"a": [None]},
        }
        answer = {"role": "assistant", "content": {"type": "text", "text": "ok"}, "model": "m"}
        answer |= {"stopReason": "endTurn", "future": [1, 2.5]}
        arguments = {"method": "sampling/createMessage", "params": params}
        call = client.start_tool("a__ask_client", arguments)
        question = client.wait_request("sampling/createMessage")
        assert question.params == params
        client.answer(question, answer)
        assert json_of(client.response(call).result) == answer

    @pytest.mark.parametrize(
        "answer",
        [{"action": "accept", "content": {"name": "Ada", "n": 1}}, {"action": "cancel"}],
        ids=["accept", "cancel"],
    )
    def test_elicitation(self, client: RawClient, answer: dict[str, Any]) -> None:
        """The user's answer reaches the tool that asked."""
        schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}
        call = client.start_tool("a__elicit", {"message": "How many?", "schema": schema})
        question = client.wait_request("elicitation/create")
        assert question.params == {"message": "How many?", "requestedSchema": schema}
        assert not client.answered(call)
        client.answer(question, answer)
        assert json_of(client.response(call).result) == answer

    def test_the_clients_error_reaches_the_backend(self, client: RawClient) -> None:
        """Code, message and data."""
        error = {"code": -1, "message": "user rejected sampling", "data": {"why": [1]}}
        call = client.start_tool("a__sample")
        client.answer(client.wait_request("sampling/createMessage"), error=error)
        assert json_of(client.response(call).result) == {"error": error}

    def test_a_question_may_take_as_long_as_the_user_does(self, client: RawClient) -> None:
        """Meanwhile everything else goes on, on the same backend too."""
        call = client.start_tool("a__elicit")
        question = client.wait_request("elicitation/create")
        for name in ("a", "b"):
            assert json_of(client.call_tool(f"{name}__echo", {"n": name})) == {"n": name}
        client.answer(question, {"action": "decline"})
        assert json_of(client.response(call).result) == {"action": "decline"}

    def test_ids_of_two_backends_that_collide(self, client: RawClient) -> None:
        """Both ask with id 1, 2, 3 …; answered in another order, each gets its own answers."""
        calls = {
            client.start_tool(f"{name}__elicit", {"message": f"{name}{n}"}): f"{name}{n}"
            for n in range(5)
            for name in ("a", "b")
        }
        questions = [client.wait_request("elicitation/create") for _ in calls]
        assert len({question.id for question in questions}) == len(calls)
        for question in sorted(questions, key=lambda q: q.params["message"], reverse=True):
            answer = {"action": "accept", "content": {"for": question.params["message"]}}
            client.answer(question, answer)
        for call, message in calls.items():
            assert json_of(client.response(call).result)["content"] == {"for": message}

    def test_a_second_answer_is_dropped(self, client: RawClient) -> None:
        """So is one to nothing; the fixture server would complain of either at the end."""
        call = client.start_tool("a__elicit")
        question = client.wait_request("elicitation/create")
        for _ in range(2):
            client.answer(question, {"action": "decline"})
        for unknown in (b"987654", b'"x"', b'"1"'):
            client.send_line(b'{"jsonrpc":"2.0","id":' + unknown + b',"result":{}}')
        assert json_of(client.response(call).result) == {"action": "decline"}
        assert client.request("ping") == {}

    def test_progress_of_the_client_reaches_the_backend_under_its_own_token(
        self, client: RawClient
    ) -> None:
        """Two backends use the same token; each is told of its own question only."""
        calls, tokens = {}, {}
        for name, reports in (("a", 2), ("b", 1)):
            params = {"message": name, "_meta": {"progressToken": 5, "kept": [1]}}
            arguments = {"method": "elicitation/create", "params": params}
            calls[name] = client.start_tool(f"{name}__ask_client", arguments)
            question = client.wait_request("elicitation/create")
            tokens[name] = question.params["_meta"]["progressToken"]
            assert question.params["_meta"]["kept"] == [1]
            for n in range(reports):
                progress = {"progressToken": tokens[name], "progress": n}
                client.notify("notifications/progress", progress)
            client.answer(question, {"action": "decline"})
            client.response(calls[name])
            assert seen(client, name)["methods"]["notifications/progress"] == reports
        assert tokens["a"] != tokens["b"]


def test_nothing_is_asked_before_the_client_is_ready() -> None:
    """Between initialize and initialized a server may send nothing but pings and log messages."""
    with Relay(configuration()) as relay:
        client = relay.client
        params = {
            "protocolVersion": LEGACY,
            "capabilities": CAPABILITIES,
            "clientInfo": CLIENT_INFO,
        }
        client.request("initialize", params)
        call = client.start_tool("a__roots")
        # Asked on the same backend after it, and answered: so the question has been there.
        client.call_tool("a__echo")
        assert not [frame for frame in client.frames if frame.method == "roots/list"]
        client.notify("notifications/initialized")
        client.answer(client.wait_request("roots/list"), ROOTS)
        assert json_of(client.response(call).result) == ROOTS


class TestRootsChanged:
    def test_it_goes_to_every_backend(self, client: RawClient) -> None:
        """And they ask again as they like."""
        client.call_tool("b__echo")
        client.notify("notifications/roots/list_changed")
        for name in ("a", "b"):
            assert seen(client, name)["methods"]["notifications/roots/list_changed"] == 1
        client.on_request("roots/list", lambda frame: {"roots": []})
        assert json_of(client.call_tool("a__roots")) == {"roots": []}

    def test_not_to_a_backend_that_was_never_told_of_roots(self) -> None:
        """A client without the capability may send it all the same."""
        with relayed(capabilities={}) as relay:
            relay.client.notify("notifications/roots/list_changed")
            assert "notifications/roots/list_changed" not in seen(relay.client)["methods"]


class TestRefused:
    @pytest.mark.parametrize("method", ["unknown/method", "tools/list", "tasks/list"])
    def test_what_no_client_answers_is_refused_by_the_relay(
        self, client: RawClient, method: str
    ) -> None:
        """-32601 for the backend; the client does not see it."""
        answer = json_of(client.call_tool("a__ask_client", {"method": method}))
        assert answer["error"]["code"] == NOT_FOUND
        assert not [frame for frame in client.frames if frame.method == method]

    @pytest.mark.parametrize(
        ("tool", "method"),
        [
            ("roots", "roots/list"),
            ("sample", "sampling/createMessage"),
            ("elicit", "elicitation/create"),
        ],
    )
    def test_what_the_client_did_not_declare(self, tool: str, method: str) -> None:
        """The backend is not told of the capability, and is refused if it asks all the same."""
        capability = {"roots": "roots", "sample": "sampling", "elicit": "elicitation"}[tool]
        others = {"roots": {}, "sampling": {}, "elicitation": {}}
        del others[capability]
        with relayed(capabilities=others) as relay:
            client = relay.client
            answer = json_of(client.call_tool(f"a__{tool}"))
            assert answer["error"]["code"] == NOT_FOUND
            assert seen(client)["initialize"]["capabilities"] == others
            assert not [frame for frame in client.frames if frame.method == method]

    def test_a_backend_that_goes_by_capabilities_shows_its_tools(self) -> None:
        """Some servers list other tools for other capabilities: they are asked as the client."""
        backends = {"a": fixture_backend("--tools-by-capability")}
        for capabilities in ({"roots": {}}, {"roots": {}, "sampling": {}}):
            with relayed(backends, capabilities=capabilities) as relay:
                listed = {tool["name"] for tool in relay.client.list_all("tools")}
                assert ("a__sample" in listed) == ("sampling" in capabilities)
                assert "a__roots" in listed

    def test_unheard_of_requests_do_no_harm(self, client: RawClient) -> None:
        """Stray answers are dropped, unknown notifications passed."""
        for kind in ("unknown_answer", "unknown_notification", "second_answer"):
            result = client.call_tool("a__stray", {"kind": kind})
            assert result["content"][0]["text"] == f"stray {kind}"
        client.wait_notification("notifications/unheard_of")
