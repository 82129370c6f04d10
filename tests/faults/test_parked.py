"""A request that is parked, as its legacy backend has asked something and the client is modern: the
retry finds it, whatever has been swapped, killed or replaced meanwhile.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.succession import reexec
from tests.harness import (
    RawClient,
    Relay,
    alive,
    fixture_backend,
    json_of,
    side_effects,
    text_of,
    wait_until,
)
from tests.harness.http_mcp import Exchange, HttpMcp

SETTINGS = {"probation_seconds": 0}
SECONDS_MAX = 20.0
ALL = {"elicitation": {}, "sampling": {}, "roots": {}}
ANSWERS = {
    "elicitation/create": {"action": "accept", "content": {"name": "Ann"}},
    "sampling/createMessage": {"role": "assistant", "model": "m", "content": []},
    "roots/list": {"roots": []},
}


@contextmanager
def relay_with(backends: dict[str, Any], *, tool: str) -> Iterator[Relay]:
    """A relay whose modern client knows the tools of its backends."""
    with Relay({"backends": backends, "relay": SETTINGS}) as relay:

        def listed() -> bool:
            found = begin(relay.client, "tools/list")
            return tool in [one["name"] for one in relay.client.response(found).result["tools"]]

        wait_until(listed, SECONDS_MAX, "its tools")
        yield relay


def begin(client: RawClient, method: str, **params: Any) -> Any:
    """Send a request of a client that can be asked everything; its id."""
    return client.start_modern(method, params, capabilities=ALL)


def asked(client: RawClient, request: Any) -> Any:
    """What is asked in this request."""
    result = client.response(request).result
    assert result["resultType"] == "input_required", result
    return result


def retry(client: RawClient, name: str, result: Any, **params: Any) -> Any:
    """Come back with all that was asked for; the new id."""
    requests = result["inputRequests"].items()
    responses = {key: ANSWERS[one["method"]] for key, one in requests}
    more = {"inputResponses": responses, "requestState": result["requestState"]}
    return begin(client, "tools/call", name=name, **more, **params)


def workers(relay: Relay) -> list[dict[str, Any]]:
    status = relay.client.modern("tools/call", {"name": "relay__status", "arguments": {}})
    found: list[dict[str, Any]] = status["structuredContent"]["workers"]
    return found


def active(relay: Relay) -> int:
    """The pid of the worker that serves, 0 while there is none."""
    return next((int(w["pid"]) for w in workers(relay) if w["state"] == "active"), 0)


def swap(relay: Relay) -> None:
    done = relay.relayctl("swap")
    assert done.returncode == 0, done.stdout + done.stderr


def kill(relay: Relay) -> None:
    """SIGKILL the active worker, and wait for the next one."""
    before = active(relay)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: active(relay) not in {0, before}, SECONDS_MAX, "another worker")


def replace(relay: Relay) -> None:
    assert reexec(relay)["outcome"] == "committed"


DISTURBANCES = {"swap": swap, "kill": kill, "reexec": replace}
disturbed = pytest.mark.parametrize("disturb", DISTURBANCES.values(), ids=DISTURBANCES)
Disturb = Callable[[Relay], None]


@disturbed
@pytest.mark.parametrize("at_once", [False, True])
def test_the_retry_finds_its_call(tmp_path: Path, disturb: Disturb, at_once: bool) -> None:
    """In every round; the tool runs once, in one process."""
    log = tmp_path / "log"
    with relay_with({"fix": fixture_backend("--log", str(log))}, tool="fix__echo") as relay:
        client = relay.client
        arguments = {"at_once": at_once}
        request = begin(client, "tools/call", name="fix__interview", arguments=arguments)
        methods: list[str] = []
        while len(methods) < len(ANSWERS):
            result = asked(client, request)
            methods += [one["method"] for one in result["inputRequests"].values()]
            disturb(relay)
            request = retry(client, "fix__interview", result, arguments=arguments)
        answers = json_of(client.response(request).result)["answers"]
        assert methods == list(ANSWERS) and answers == list(ANSWERS.values())
        assert len(side_effects(log, "start")) == 1


@disturbed
def test_it_happens_after_the_retry(disturb: Disturb) -> None:
    """The answer is on its way to the backend, or there, and the call goes on."""
    with relay_with({"fix": fixture_backend()}, tool="fix__echo") as relay:
        client = relay.client
        first = begin(client, "tools/call", name="fix__interview", arguments={})
        second = retry(client, "fix__interview", asked(client, first))
        disturb(relay)
        third = retry(client, "fix__interview", asked(client, second))
        fourth = retry(client, "fix__interview", asked(client, third))
        assert len(json_of(client.response(fourth).result)["answers"]) == len(ANSWERS)


def test_a_backend_that_dies_meanwhile_is_what_the_retry_is_told() -> None:
    with relay_with({"fix": fixture_backend()}, tool="fix__echo") as relay:
        client = relay.client
        pid = json_of(client.modern("tools/call", {"name": "fix__pid", "arguments": {}}))["pid"]
        result = asked(client, begin(client, "tools/call", name="fix__elicit", arguments={}))
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not alive(pid), SECONDS_MAX, "its death")
        told = client.response(retry(client, "fix__elicit", result)).result
        assert told["isError"] and "may have run" in text_of(told)


def test_a_cancelled_retry_is_cancelled_at_the_backend() -> None:
    with relay_with({"fix": fixture_backend()}, tool="fix__echo") as relay:
        client = relay.client
        first = begin(client, "tools/call", name="fix__interview", arguments={"tag": "gone"})
        second = asked(client, retry(client, "fix__interview", asked(client, first)))
        third = retry(client, "fix__interview", second)
        client.notify("notifications/cancelled", {"requestId": third})
        again = client.response(retry(client, "fix__interview", second))
        assert again.error["code"] == -32602 and not client.answered(third)


def chatty(exchange: Exchange) -> None:
    """Ask in the call's own stream, and answer with what was answered."""
    exchange.stream()
    params = {"message": "?", "requestedSchema": {"type": "object", "properties": {}}}
    question = {"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": params}
    exchange.event(question)
    found: list[Any] = []

    def answered() -> bool:
        posts = exchange.server.of("POST")
        found[:] = [one for one in posts if one.message.get("id") == "q"]
        return bool(found)

    wait_until(answered, SECONDS_MAX, "the answer")
    text = {"type": "text", "text": found[0].message["result"]["action"]}
    exchange.answer_event({"content": [text]})


def test_a_remote_call_waits_with_the_worker_that_has_it() -> None:
    """Its stream says in which call it is asked, whatever else was called since."""
    with HttpMcp(chatty=chatty) as server:
        config = {"far": {"url": server.url}}
        with relay_with(config, tool="far__chatty") as relay:
            client = relay.client
            first = begin(client, "tools/call", name="far__chatty", arguments={})
            result = asked(client, first)
            old = active(relay)
            swap(relay)
            assert old in [w["pid"] for w in workers(relay)], "it lives until the retry"
            told = client.response(retry(client, "far__chatty", result)).result
            assert text_of(told) == "accept"
            wait_until(lambda: not alive(old), SECONDS_MAX, "its end")
