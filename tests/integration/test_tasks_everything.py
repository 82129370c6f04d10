"""Tasks of @modelcontextprotocol/server-everything, through the whole relay, on stdio and HTTP."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.harness import RawClient, Relay, server_everything, text_of, wait_until
from tests.harness.http_server import everything_server, free_port
from tests.integration.real import backend
from tests.integration.test_tasks import RELATED, STATUS, get, kill, swap
from tests.integration.through import backend_state, configuration

HOSTS = {"requests": {"sampling": {"createMessage": {}}, "elicitation": {"create": {}}}}
CAPABILITIES = {
    "elicitation": {},
    "sampling": {},
    "tasks": {"list": {}, "cancel": {}, **HOSTS},
}
READY_SECONDS_MAX = 40.0
TASK_SECONDS_MAX = 60.0


@pytest.fixture(params=["stdio", "http"])
def kind(request: pytest.FixtureRequest) -> str:
    """How it is spoken to."""
    found: str = request.param
    return found


@pytest.fixture
def relay(kind: str) -> Iterator[Relay]:
    """A relay in front of it."""
    with ExitStack() as stack:
        if kind == "http":
            one = {"url": stack.enter_context(everything_server("http", free_port()))}
        else:
            one = backend(server_everything())
        relay = stack.enter_context(Relay(configuration({"every": one}, probation_seconds=0)))
        relay.client.initialize(capabilities=CAPABILITIES, seconds=60)
        wait_until(
            lambda: backend_state(relay.client, "every")["state"] == "ready", READY_SECONDS_MAX
        )
        yield relay


def research(client: RawClient, **arguments: Any) -> Any:
    """Have it look something up, as a task."""
    params = {"name": "every__simulate-research-query", "task": {"ttl": 60000}}
    return client.request("tools/call", {**params, "arguments": {"topic": "relays", **arguments}})


@pytest.mark.parametrize("disturb", [swap, kill])
def test_a_task_that_asks_goes_on(
    relay: Relay, kind: str, disturb: Callable[[Relay], None]
) -> None:
    """Made, disturbed, asked for its result, which asks; its status is told on stdio."""
    client = relay.client
    task = research(client, ambiguous=True)["task"]
    other = research(client)["task"]
    disturb(relay)
    assert get(client, task)["status"] in {"working", "input_required"}
    waiting = client.start("tasks/result", {"taskId": task["taskId"]})
    asked = client.wait_request("elicitation/create", seconds=TASK_SECONDS_MAX)
    assert asked.params["_meta"][RELATED] == {"taskId": task["taskId"]}
    assert get(client, task)["status"] == "input_required"
    client.answer(asked, {"action": "accept", "content": {"interpretation": "technical"}})
    result = client.response(waiting, TASK_SECONDS_MAX).result
    assert "technical" in text_of(result) and result["_meta"][RELATED]["taskId"] == task["taskId"]
    listed = {one["taskId"]: one["status"] for one in client.request("tasks/list")["tasks"]}
    assert listed.keys() == {task["taskId"], other["taskId"]}
    assert listed[task["taskId"]] == "completed"
    if kind == "stdio":
        told = [one["status"] for one in client.notifications(STATUS)]
        assert "completed" in told


def test_one_that_is_cancelled(relay: Relay) -> None:
    client = relay.client
    task = research(client)["task"]
    assert get(client, task, "tasks/cancel")["status"] == "cancelled"
    assert get(client, task)["status"] == "cancelled"


@pytest.mark.parametrize(
    ("tool", "asks", "answer"),
    [
        ("trigger-sampling-request-async", "sampling/createMessage", "thought"),
        ("trigger-elicitation-request-async", "elicitation/create", "Ada"),
    ],
)
def test_it_has_the_client_carry_out_a_task(
    relay: Relay, tool: str, asks: str, answer: str
) -> None:
    """It asks with `task`, polls tasks/get until it is done, and fetches tasks/result."""
    stamp = "2026-01-01T00:00:00Z"
    task = {"taskId": "c-1", "createdAt": stamp, "lastUpdatedAt": stamp, "ttl": 60000}
    results = {
        "sampling/createMessage": {
            "role": "assistant",
            "content": {"type": "text", "text": "thought"},
            "model": "m",
        },
        "elicitation/create": {"action": "accept", "content": {"name": "Ada"}},
    }
    client = relay.client
    call = client.start_tool(f"every__{tool}", {"prompt": "think"})
    asked = client.wait_request(asks)
    assert "ttl" in asked.params["task"]
    client.answer(asked, {"task": {**task, "status": "working"}})
    polled = client.wait_request("tasks/get")
    assert polled.params == {"taskId": "c-1"}
    client.answer(polled, {**task, "status": "completed"})
    client.answer(client.wait_request("tasks/result"), results[asks])
    assert answer in json.dumps(client.response(call).result)
