"""Tasks as 2025-11-25 has them, through the whole relay: servers' tasks, and the client's."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.harness import RawClient, Relay, RpcError, json_of, text_of, wait_until
from tests.harness.tasks_server import tasks_backend
from tests.integration.through import backend_state, configuration, names

CLIENT_TASKS = {"list": {}, "cancel": {}, "requests": {"sampling": {"createMessage": {}}}}
CAPABILITIES = {"elicitation": {}, "sampling": {}, "tasks": CLIENT_TASKS}
STATUS = "notifications/tasks/status"
RELATED = "io.modelcontextprotocol/related-task"
READY_SECONDS_MAX = 30.0


@contextmanager
def relay_with(kind: str, *backends: str) -> Iterator[Relay]:
    """A relay with these task servers, and a client that has tasks itself."""
    with ExitStack() as stack:
        found = {name: stack.enter_context(tasks_backend(kind, name)) for name in backends}
        config = configuration(found, probation_seconds=0)
        relay = stack.enter_context(Relay(config))
        relay.client.initialize(capabilities=CAPABILITIES)
        for name in backends:
            wait_until(
                lambda name=name: backend_state(relay.client, name)["state"] == "ready",
                READY_SECONDS_MAX,
            )
        yield relay


@pytest.fixture(params=["stdio", "http"])
def kind(request: pytest.FixtureRequest) -> str:
    """How the servers are spoken to."""
    found: str = request.param
    return found


@pytest.fixture
def relay(kind: str) -> Iterator[Relay]:
    """A relay with two task servers."""
    with relay_with(kind, "a", "b") as one:
        yield one


def make(client: RawClient, tool: str, **arguments: Any) -> Any:
    """Call a tool as a task; returns the task."""
    params: dict[str, Any] = {"name": tool, "arguments": arguments, "task": {"ttl": 60000}}
    if "token" in arguments:
        params["_meta"] = {"progressToken": arguments.pop("token")}
    task = client.request("tools/call", params)["task"]
    assert task["ttl"] == 60000
    return task


def get(client: RawClient, task: Any, method: str = "tasks/get") -> Any:
    """Ask for a task."""
    return client.request(method, {"taskId": task["taskId"]})


def status_is(wanted: str, task: Any) -> Callable[[Any], bool]:
    """Whether a notification is of this task and this status."""
    return lambda params: (params["taskId"], params["status"]) == (task["taskId"], wanted)


class TestOfServers:
    def test_what_is_declared(self, relay: Relay) -> None:
        declared = relay.client.initialize_result["capabilities"]["tasks"]
        assert declared == {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}
        tools = {tool["name"]: tool for tool in relay.client.list_all("tools")}
        assert tools["a__work"]["execution"] == {"taskSupport": "required"}
        assert tools["b__either"]["execution"] == {"taskSupport": "optional"}

    def test_a_whole_life(self, relay: Relay) -> None:
        """Made, asked for, waited for, progress after the answer, done."""
        client = relay.client
        task = make(client, "a__work", gates=["one", "two"], token="t")
        assert get(client, task)["status"] == "working"
        waiting = client.start("tasks/result", {"taskId": task["taskId"]})
        for number, gate in enumerate(("one", "two"), 1):
            client.call_tool("a__go", {"gate": gate})
            assert client.wait_notification("notifications/progress") == {
                "progressToken": "t",
                "progress": number,
            }
        client.wait_notification(STATUS, status_is("completed", task))
        result = client.response(waiting).result
        assert json_of(result)["pid"] and result["_meta"] == {RELATED: {"taskId": task["taskId"]}}
        assert get(client, task)["status"] == "completed"

    def test_one_list_of_the_tasks_of_all(self, relay: Relay) -> None:
        """More pages than one at the first of them."""
        client = relay.client
        assert client.request("tasks/list") == {"tasks": []}
        made = [make(client, f"{name}__work", gates=["never"]) for name in "abaaa"]
        listed = [task["taskId"] for task in client.request("tasks/list")["tasks"]]
        order = [made[0], *made[2:], made[1]]
        assert listed == [task["taskId"] for task in order]
        with pytest.raises(RpcError, match="unknown cursor"):
            client.request("tasks/list", {"cursor": "2"})

    def test_cancelled(self, relay: Relay) -> None:
        client = relay.client
        task, other = (make(client, f"{name}__work", gates=["never"]) for name in "ab")
        assert get(client, task, "tasks/cancel")["status"] == "cancelled"
        client.wait_notification(STATUS, status_is("cancelled", task))
        with pytest.raises(RpcError, match="it is cancelled"):
            get(client, task, "tasks/cancel")
        with pytest.raises(RpcError, match="it was cancelled"):
            get(client, task, "tasks/result")
        assert get(client, other)["status"] == "working"

    def test_it_asks_while_its_result_is_waited_for(self, relay: Relay) -> None:
        client = relay.client
        task = make(client, "b__work", ask="Which colour?")
        client.wait_notification(STATUS, status_is("input_required", task))
        waiting = client.start("tasks/result", {"taskId": task["taskId"]})
        asked = client.wait_request("elicitation/create")
        assert asked.params["_meta"] == {RELATED: {"taskId": task["taskId"]}}
        client.answer(asked, {"action": "accept", "content": {"colour": "red"}})
        assert json_of(client.response(waiting).result)["content"] == {"colour": "red"}

    def test_what_is_refused(self, relay: Relay) -> None:
        """By the server, but for a task that nobody has."""
        client = relay.client
        with pytest.raises(RpcError, match="-32601: it has to be called as a task"):
            client.request("tools/call", {"name": "a__work"})
        assert text_of(client.call_tool("a__either")) == "done at once"
        with pytest.raises(RpcError, match="-32602: Unknown task"):
            get(client, {"taskId": "nobody's"})


def statuses(client: RawClient, backend: str) -> Any:
    """What a server was told of the client's tasks."""
    return json_of(client.call_tool(f"{backend}__about"))["statuses"]


def swap(relay: Relay) -> None:
    """Have another worker serve."""
    done = relay.relayctl("swap")
    assert done.returncode == 0, done.stdout + done.stderr


def kill(relay: Relay) -> None:
    """SIGKILL the worker, and wait for the next one."""
    before = generation(relay)
    workers = relay.client.call_tool("relay__status")["structuredContent"]["workers"]
    os.kill(next(w["pid"] for w in workers if w["state"] == "active"), signal.SIGKILL)
    wait_until(lambda: generation(relay) > before, READY_SECONDS_MAX, "another worker")


def generation(relay: Relay) -> int:
    """The generation of the worker that serves; -1 while none does."""
    workers = relay.client.call_tool("relay__status")["structuredContent"]["workers"]
    return max((w["generation"] for w in workers if w["state"] == "active"), default=-1)


@pytest.mark.parametrize("disturb", [swap, kill])
class TestMeanwhile:
    """A task is its server's, and the worker only one way to it."""

    def test_a_task_goes_on(
        self, relay: Relay, kind: str, disturb: Callable[[Relay], None]
    ) -> None:
        """A request to a remote server is repeated after a kill, and only once."""
        client = relay.client
        pid = json_of(client.call_tool("a__about"))["pid"]
        task = make(client, "a__work", gates=["one"], ask="Which?", token="t")
        waiting = client.start("tasks/result", {"taskId": task["taskId"]})
        disturb(relay)
        assert get(client, task)["status"] == "working"
        client.call_tool("a__go", {"gate": "one"})
        assert client.wait_notification("notifications/progress")["progressToken"] == "t"
        asked = client.wait_request("elicitation/create")
        if (kind, disturb) != ("http", kill):
            disturb(relay)
        client.answer(asked, {"action": "accept", "content": {"colour": "blue"}})
        result = client.response(waiting).result
        assert json_of(result)["content"] == {"colour": "blue"}
        assert get(client, task)["status"] == "completed"
        assert [one["taskId"] for one in client.request("tasks/list")["tasks"]] == [task["taskId"]]
        assert json_of(client.call_tool("a__about"))["pid"] == pid

    def test_the_clients_task_stays_its_servers(
        self, relay: Relay, kind: str, disturb: Callable[[Relay], None]
    ) -> None:
        """Also where its call, as any to a remote server, is lost with the worker."""
        client = relay.client
        call = client.start_tool("a__delegate", {"methods": ["tasks/result"]})
        client.answer(client.wait_request("sampling/createMessage"), {"task": HOSTED})
        waiting = client.wait_request("tasks/result")
        disturb(relay)
        client.call_tool("a__about")  # a remote server is connected to when it is needed
        over = {**HOSTED, "status": "completed"}
        client.notify(STATUS, over)
        if (kind, disturb) == ("http", kill):
            assert "outcome is unknown" in text_of(client.response(call).result)
        else:
            client.answer(waiting, SAMPLED)
            assert json_of(client.response(call).result)[1] == {"result": SAMPLED}
        wait_until(lambda: statuses(client, "a") == [over], READY_SECONDS_MAX)
        stolen = client.call_tool("b__delegate", {"taskId": HOSTED["taskId"]})
        assert json_of(stolen)[0]["error"]["code"] == -32602


HOSTED: dict[str, Any] = {
    "taskId": "c-1",
    "status": "working",
    "createdAt": "2026-01-01T00:00:00Z",
    "lastUpdatedAt": "2026-01-01T00:00:00Z",
    "ttl": 60000,
}
SAMPLED: dict[str, Any] = {
    "role": "assistant",
    "content": {"type": "text", "text": "thought"},
    "model": "m",
    "_meta": {RELATED: {"taskId": "c-1"}},
}


class TestOfTheClient:
    def test_a_server_has_the_client_carry_out_a_task(self, relay: Relay) -> None:
        """Every request about it reaches the client, and the answer the server."""
        client = relay.client
        assert json_of(client.call_tool("a__about"))["client"] == CAPABILITIES
        methods = ["tasks/get", "tasks/list", "tasks/result", "tasks/cancel"]
        call = client.start_tool("a__delegate", {"methods": methods})
        asked = client.wait_request("sampling/createMessage")
        assert asked.params["task"] == {"ttl": 60000}
        client.answer(asked, {"task": HOSTED})
        others = {**HOSTED, "taskId": "c-0"}
        answers = (HOSTED, {"tasks": [others, HOSTED]}, SAMPLED, HOSTED)
        for method, answer in zip(methods, answers, strict=True):
            asked = client.wait_request(method)
            assert asked.params == ({} if method == "tasks/list" else {"taskId": "c-1"})
            client.answer(asked, answer)
        found = json_of(client.response(call).result)
        assert found == [{"result": one} for one in ({"task": HOSTED}, *answers)]

    def test_nobody_sees_the_tasks_of_another_server(self, relay: Relay) -> None:
        client = relay.client
        for name, number in (("a", 1), ("b", 2)):
            task = {**HOSTED, "taskId": f"c-{number}"}
            call = client.start_tool(f"{name}__delegate", {"methods": ["tasks/list"]})
            client.answer(client.wait_request("sampling/createMessage"), {"task": task})
            every = [{**HOSTED, "taskId": f"c-{each}"} for each in range(1, number + 1)]
            client.answer(client.wait_request("tasks/list"), {"tasks": every})
            assert json_of(client.response(call).result)[1] == {"result": {"tasks": [task]}}
            client.notify(STATUS, {**task, "status": "completed"})
            wait_until(lambda name=name: statuses(client, name), READY_SECONDS_MAX)
        for name, number in (("a", 1), ("b", 2)):
            assert [one["taskId"] for one in statuses(client, name)] == [f"c-{number}"]
        stolen = client.call_tool("a__delegate", {"taskId": "c-2"})
        assert json_of(stolen) == [{"error": {"code": -32602, "message": "Unknown task"}}]


def test_a_list_without_params_reaches_the_only_server_as_it_is(kind: str) -> None:
    with relay_with(kind, "a") as relay:
        assert relay.client.request("tasks/list") == {"tasks": []}
        for _ in range(3):
            make(relay.client, "a__work", gates=["never"])
        first = relay.client.request("tasks/list", {})
        assert len(first["tasks"]) == 2 and first["nextCursor"] == "2", "pages are its own"
        rest = relay.client.request("tasks/list", {"cursor": "2"})
        assert len(rest["tasks"]) == 1


def test_a_client_without_tasks_is_asked_for_none(kind: str) -> None:
    with tasks_backend(kind, "a") as backend, Relay(configuration({"a": backend})) as relay:
        client = relay.client
        client.initialize(capabilities={"sampling": {}})
        assert json_of(client.call_tool("a__about"))["client"] == {"sampling": {}}
        call = client.start_tool("a__delegate", {"methods": ["tasks/get"]})
        client.answer(client.wait_request("sampling/createMessage"), {"task": HOSTED})
        answer = json_of(client.response(call).result)[1]
        assert answer["error"]["code"] == -32601
        assert client.notifications("tasks/get") == []


def test_a_modern_client_is_promised_no_tasks_of_a_legacy_server(kind: str) -> None:
    """Nothing of them is declared or listed, and a tool that needs them is reported."""
    tasks = {"extensions": {"io.modelcontextprotocol/tasks": {}}, "tasks": {}}
    with tasks_backend(kind, "a") as backend, Relay(configuration({"a": backend})) as relay:
        client = relay.client
        listed = client.response(client.start_modern("tools/list", capabilities=tasks)).result
        shown = {tool["name"]: tool for tool in listed["tools"]}
        assert "a__work" not in shown and "execution" not in shown["a__either"]
        assert "tasks" not in client.modern("server/discover")["capabilities"]
        about = client.start_modern("tools/call", {"name": "a__about"}, capabilities=tasks)
        told = json_of(client.response(about).result)["client"]
        assert told == {"extensions": {}}
        with pytest.raises(RpcError, match="-32601"):
            client.modern("tasks/get", {"taskId": "a-1"})
        status = client.modern("tools/call", {"name": "relay__status"})["structuredContent"]
        (withheld,) = status["registry"]["quarantined"]
        assert withheld["name"] == "work" and "as a task only" in withheld["reason"]
        assert names(listed["tools"])


def test_a_legacy_client_is_promised_no_tasks_of_a_modern_server() -> None:
    """Nor is the server promised that its client could have any."""
    argv = ["-m", "tests.conformance.fixture", "stdio", "modern"]
    path = str(Path(__file__).parents[2])
    server = {"command": sys.executable, "args": argv, "env": {"PYTHONPATH": path}}
    extensions = {"io.modelcontextprotocol/tasks": {}, "x/y": {}}
    with Relay(configuration({"a": server})) as relay:
        for warm in (False, True):
            client = relay.client
            declared = client.initialize(capabilities={"extensions": extensions})["capabilities"]
            assert "extensions" not in declared and ("tasks" in declared) is not warm
            arguments = {"seconds": 0, "label": "at once"}
            done = client.call_tool("a__slow_compute", arguments)
            assert text_of(done) == "computed at once"
            with pytest.raises(RpcError, match="-32021"):
                client.call_tool("a__failing_job")
            with pytest.raises(RpcError, match="-32601"):
                client.request("tasks/get", {"taskId": "t"})
            if not warm:
                relay.stop()
                relay.start()
