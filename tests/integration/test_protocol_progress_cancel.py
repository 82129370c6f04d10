"""Progress and cancellation through the relay, in both directions."""

from collections.abc import Iterator

import pytest

from tests.harness import (
    RawClient,
    Relay,
    fixture_backend,
    json_of,
    side_effects,
    text_of,
    wait_until,
)
from tests.integration.through import backend_state, relayed, seen

PROGRESS = "notifications/progress"
CANCELLED = "notifications/cancelled"


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    """One relay with two fixture servers, for tests that leave nothing behind in it."""
    with relayed({"a": fixture_backend(), "b": fixture_backend()}) as relay:
        yield relay


@pytest.fixture
def client(relay: Relay) -> RawClient:
    """The client of the shared relay."""
    return relay.client


def progress_of(client: RawClient, token: object) -> list[dict[str, object]]:
    """What was reported under this token, in order; the type of the token counts."""
    return [
        params
        for params in client.notifications(PROGRESS)
        if params["progressToken"] == token and type(params["progressToken"]) is type(token)
    ]


class TestProgress:
    @pytest.mark.parametrize("token", [7, "7", "", 0, "tök-1", 2**53 - 1])
    def test_all_of_it_comes_under_the_clients_token(
        self, client: RawClient, token: object
    ) -> None:
        """Order, totals, messages, and the type of the token."""
        client.call_tool("a__slow", {"seconds": 0.02, "steps": 3}, progress_token=token)
        assert progress_of(client, token) == [
            {"progressToken": token, "progress": n, "total": 3, "message": f"step {n}"}
            for n in (1, 2, 3)
        ]

    def test_two_calls_with_a_number_and_the_same_number_as_text(self, client: RawClient) -> None:
        """At the same time, on two backends: never mixed up."""
        tokens = {41: "a", "41": "b"}
        calls = {
            token: client.start_tool(
                f"{backend}__slow", {"seconds": 0.05, "steps": 5}, progress_token=token
            )
            for token, backend in tokens.items()
        }
        for token, call in calls.items():
            client.response(call)
            assert [one["progress"] for one in progress_of(client, token)] == [1, 2, 3, 4, 5]

    def test_the_backend_gets_a_token_of_its_own_each_time(self, client: RawClient) -> None:
        """Clients use the same token for one call after the other; servers may not see it twice."""
        tokens = [
            json_of(client.call_tool("a__meta", meta={"k": n}, progress_token="mine"))
            for n in range(3)
        ]
        assert [token["k"] for token in tokens] == [0, 1, 2]
        assert len({token["progressToken"] for token in tokens}) == 3

    def test_without_a_token_there_is_no_progress(self, client: RawClient) -> None:
        """Nobody asked for it, so the backend is not asked for it either."""
        before = len(client.notifications(PROGRESS))
        client.call_tool("a__slow", {"seconds": 0.01, "steps": 2})
        assert len(client.notifications(PROGRESS)) == before

    @pytest.mark.parametrize("kind", ["late_progress", "unknown_progress"])
    def test_late_and_unknown_progress_is_kept_from_the_client(
        self, client: RawClient, kind: str
    ) -> None:
        """Clients trip over it. (What the harness finds fault with fails the relay's end.)"""
        client.call_tool("a__stray", {"kind": kind}, progress_token=f"stray-{kind}")
        assert client.request("ping") == {}
        client.call_tool("a__echo")
        assert not progress_of(client, f"stray-{kind}")
        assert not progress_of(client, "no-such-token")


class TestClientCancels:
    def test_the_backend_is_told_and_the_call_never_answered(self, client: RawClient) -> None:
        """With the id the backend knows, and the client's reason."""
        call = client.start_tool("a__hang", {"tag": "c1"})
        client.cancel(call, "user changed its mind")
        wait_until(lambda: [one for one in seen(client)["cancelled"] if one["tag"] == "c1"], 10)
        (noted,) = [one for one in seen(client)["cancelled"] if one["tag"] == "c1"]
        assert noted["tool"] == "hang"
        assert noted["reason"] == "user changed its mind"
        assert not client.answered(call)

    def test_an_answer_that_comes_all_the_same_is_dropped(self, client: RawClient) -> None:
        """Cancellation and answer may cross; the client has forgotten the id."""
        call = client.start_tool(
            "a__slow", {"seconds": 0.05, "steps": 1, "ignore_cancel": True, "tag": "c2"}
        )
        client.cancel(call)
        # Its answer is written before the second call's.
        client.call_tool("a__slow", {"seconds": 0.2, "steps": 1})
        assert not client.answered(call)

    def test_what_was_never_asked_or_is_answered_cannot_be_cancelled(
        self, client: RawClient
    ) -> None:
        """No answer, no harm; the backend hears nothing of it."""
        before = seen(client)["methods"].get(CANCELLED, 0)
        done = client.start_tool("a__echo")
        client.response(done)
        for request_id in (done, 987_654, "unknown", None, {}):
            client.notify(CANCELLED, {"requestId": request_id})
        client.notify(CANCELLED)
        client.notify(CANCELLED, {"reason": "no id"})
        assert client.request("ping") == {}
        assert seen(client)["methods"].get(CANCELLED, 0) == before

    def test_initialize_cannot_be_cancelled(self) -> None:
        """So says the specification."""
        with Relay({"backends": {"a": fixture_backend()}}) as relay:
            params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {}}
            params["clientInfo"] = {"name": "x", "version": "1"}
            request_id = relay.client.start("initialize", params)
            relay.client.notify(CANCELLED, {"requestId": request_id})
            assert relay.client.response(request_id).result["protocolVersion"] == "2025-11-25"

    def test_a_call_that_waits_for_its_backend_never_reaches_it(self) -> None:
        """The backend is still starting when the client gives up."""
        with Relay(
            {"backends": {"a": fixture_backend("--log", "effects", "--start-delay", "1")}}
        ) as relay:
            client, log = relay.client, relay.home.project / "effects"
            client.initialize()
            call = client.start_tool("a__counter", {"tag": "cancelled"})
            client.cancel(call)
            client.call_tool("a__counter", {"tag": "kept"})
            assert [effect["tag"] for effect in side_effects(log)] == ["kept"]
            assert CANCELLED not in seen(client)["methods"]
            assert not client.answered(call)

    def test_one_of_many_is_cancelled(self, client: RawClient) -> None:
        """The others go on, also those with the same number as text."""
        calls = {
            request_id: client.start_tool(
                "b__slow",
                {"seconds": 0.2, "steps": 1, "tag": str(request_id)},
                request_id=request_id,
            )
            for request_id in (81_000, "81000", 81_001)
        }
        client.cancel("81000")
        for request_id in (81_000, 81_001):
            assert text_of(client.response(calls[request_id]).result) == f"slow {request_id}"
        (noted,) = seen(client, "b")["cancelled"]
        assert noted["tag"] == "81000"
        assert not client.answered("81000")


class TestBackendWithdraws:
    def test_the_client_is_told_that_the_answer_is_not_needed(self) -> None:
        """The backend cancels its question: the client sees that, with the id it was asked by."""
        with relayed() as relay:
            client = relay.client
            client.call_tool("a__ask_and_cancel", {"method": "elicitation/create"})
            question = client.wait_request("elicitation/create")
            withdrawn = client.wait_notification(CANCELLED)
            assert withdrawn["requestId"] == question.id
            assert type(withdrawn["requestId"]) is type(question.id)
            assert withdrawn["reason"] == "fixture"
            client.answer(question, {"action": "decline"})  # too late, and harmless
            assert client.call_tool("a__echo", {"x": 1})["structuredContent"] == {"x": 1}

    def test_a_backend_that_dies_withdraws_its_questions(self) -> None:
        """Nobody waits for the user any more; the call it was asked in gets an error."""
        with relayed() as relay:
            client = relay.client
            call = client.start_tool("a__elicit")
            question = client.wait_request("elicitation/create")
            client.start_tool("a__die")
            assert client.wait_notification(CANCELLED)["requestId"] == question.id
            assert client.response(call).result["isError"] is True
            client.answer(question, {"action": "decline"})
            assert client.call_tool("a__echo", {"x": 1})["structuredContent"] == {"x": 1}
            assert backend_state(client, "a")["restarts"] == 1
