"""An old supervisor with today's worker, and today's supervisor with an old worker: everything that
a client can do works as if both were of one version.
"""

import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import (
    RawClient,
    Relay,
    RelayHome,
    RpcError,
    fixture_argv,
    fixture_backend,
    json_of,
    side_effects,
    start_fixture,
    text_of,
    wait_until,
)
from tests.integration.through import (
    CAPABILITIES,
    assert_no_complaint,
    backend_state,
    configuration,
    names,
    seen,
)
from tests.integration.versions import TREE, TREE_VERSION, Versions, runs, status, worker
from tests.versions.archive import RELEASED

SECONDS_MAX = 20.0
BIG_BYTES = 5 << 20
MIXES = [mix for version in RELEASED for mix in ((version, TREE), (TREE, version))]
Mix = tuple[str, str]


def name_of(mix: Mix) -> str:
    """How pytest shows a mix."""
    return f"supervisor-{mix[0]}-worker-{mix[1]}"


@pytest.fixture(scope="module", params=MIXES, ids=name_of)
def mix(request: pytest.FixtureRequest) -> Mix:
    """Which version the supervisor is, and which the worker."""
    found: Mix = request.param
    return found


@pytest.fixture(scope="module")
def relay(mix: Mix, versions: Versions) -> Iterator[Relay]:
    """A relay of this mix with two fixture servers, for tests that leave nothing behind in it."""
    home = RelayHome.make()
    backends = {"a": fixture_backend(), "b": fixture_backend()}
    with versions.relay(*mix, configuration(backends), home) as relay:
        relay.client.initialize(capabilities=CAPABILITIES)
        yield relay
        assert_no_complaint(relay.client)
    home.remove()


@pytest.fixture
def client(relay: Relay) -> RawClient:
    """Its client."""
    return relay.client


def test_who_is_who(relay: Relay, mix: Mix, versions: Versions) -> None:
    """Each part runs the sources it is meant to; without this the others would prove nothing."""
    assert runs(relay) == relay.home.state / "releases" / mix[1] / "bin" / "python"
    build = worker(relay)["build"]
    assert build == versions.build_of(mix[1])
    assert build.startswith(f"{TREE_VERSION}+") == (mix[1] == TREE)


@pytest.mark.parametrize("what", ["tools", "prompts", "resources", "resources/templates"])
def test_lists(client: RawClient, what: str) -> None:
    with start_fixture() as direct:
        own = direct.list_all(what)
    through = client.list_all(what)
    prefix = "a__" if what in {"tools", "prompts"} else ""
    assert [item for item in own if {**item, "name": prefix + item["name"]} not in through] == []


def test_calls_pass_unchanged(client: RawClient) -> None:
    arguments = {"text": "grüße 🌍 \u2028", "numbers": [1, 2.5, -(2**53)], "none": None}
    assert client.call_tool("a__echo", arguments)["structuredContent"] == arguments
    assert client.call_tool("b__tool_error")["isError"] is True
    assert len(client.call_tool("b__contents")["content"]) == 5
    with pytest.raises(RpcError) as failed:
        client.call_tool("a__error", {"code": -32050, "message": "no", "data": {"x": [1]}})
    assert (failed.value.code, failed.value.message, failed.value.data) == (
        -32050,
        "no",
        {"x": [1]},
    )
    with pytest.raises(RpcError) as unknown:
        client.call_tool("a__no_such_tool")
    assert unknown.value.code == -32602


def test_prompts_resources_and_completion(client: RawClient) -> None:
    prompt = client.request("prompts/get", {"name": "a__greet", "arguments": {"name": "Ada"}})
    assert prompt["messages"][0]["content"]["text"] == "greet: name=Ada"
    (text,) = client.request("resources/read", {"uri": "fixture://text"})["contents"]
    assert text["text"].startswith("fixture://text version")
    completed = client.request(
        "completion/complete",
        {
            "ref": {"type": "ref/prompt", "name": "a__greet"},
            "argument": {"name": "style", "value": ""},
        },
    )
    assert completed["completion"]["values"]


def test_many_at_once_and_out_of_order(client: RawClient) -> None:
    group = [{"group": "g", "size": 8, "n": n} for n in range(8)]
    calls = [client.start_tool("a__reply_out_of_order", one) for one in group]
    assert [json_of(client.response(call).result) for call in calls] == group


def test_a_large_call_and_a_large_answer(client: RawClient) -> None:
    text = "x" * BIG_BYTES
    assert client.call_tool("a__echo", {"text": text})["structuredContent"] == {"text": text}
    assert text_of(client.call_tool("b__big", {"bytes": BIG_BYTES})) == text


def test_progress(client: RawClient) -> None:
    client.call_tool("a__slow", {"seconds": 0.02, "steps": 3}, progress_token="mine")
    assert client.notifications("notifications/progress") == [
        {"progressToken": "mine", "progress": n, "total": 3, "message": f"step {n}"}
        for n in (1, 2, 3)
    ]


def test_cancellation(client: RawClient) -> None:
    call = client.start_tool("a__hang", {"tag": "unwanted"})
    client.cancel(call, "not needed any more")
    wait_until(lambda: seen(client)["cancelled"], SECONDS_MAX, "the cancellation at the backend")
    (noted,) = seen(client)["cancelled"]
    assert (noted["tag"], noted["reason"]) == ("unwanted", "not needed any more")
    assert not client.answered(call)


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("sampling/createMessage", {"role": "assistant", "model": "m", "content": []}),
        ("elicitation/create", {"action": "accept", "content": {"name": "Ada"}}),
        ("roots/list", {"roots": [{"uri": "file:///project", "name": "project"}]}),
    ],
)
def test_questions_of_backends(client: RawClient, method: str, answer: dict[str, Any]) -> None:
    """Two backends ask at once under the same id, and each gets its own answer."""
    calls = {
        name: client.start_tool(f"{name}__ask_client", {"method": method, "params": {"who": name}})
        for name in ("a", "b")
    }
    for _ in calls:
        question = client.wait_request(method)
        client.answer(question, {**answer, "for": question.params["who"]})
    for name, call in calls.items():
        assert json_of(client.response(call).result) == {**answer, "for": name}


def test_a_question_is_withdrawn(client: RawClient) -> None:
    client.call_tool("a__ask_and_cancel", {"method": "elicitation/create"})
    question = client.wait_request("elicitation/create")
    assert client.wait_notification("notifications/cancelled")["requestId"] == question.id


def test_roots_have_changed(client: RawClient) -> None:
    client.notify("notifications/roots/list_changed")
    for name in ("a", "b"):
        assert seen(client, name)["methods"]["notifications/roots/list_changed"] == 1


def test_the_log_level(client: RawClient) -> None:
    client.request("logging/setLevel", {"level": "warning"})
    assert seen(client)["level"] == "warning"
    assert json_of(client.call_tool("a__log", {"level": "info"})) == {"sent": 0}
    client.call_tool("a__log", {"level": "error", "data": "loud"})
    told = client.wait_notification("notifications/message")
    assert (told["level"], told["data"]["text"]) == ("error", "loud")


def test_subscriptions(client: RawClient) -> None:
    for uri in ("fixture://text", "fixture://blob"):
        client.request("resources/subscribe", {"uri": uri})
    client.request("resources/unsubscribe", {"uri": "fixture://blob"})
    assert seen(client)["subscriptions"] == ["fixture://text"]
    client.call_tool("a__touch_resource")
    assert client.wait_notification("notifications/resources/updated")["uri"] == "fixture://text"


def test_a_list_that_changes(client: RawClient) -> None:
    client.call_tool("b__add_tool", {"name": "late"})
    client.wait_notification("notifications/tools/list_changed")
    assert "b__late" in names(client.list_all("tools"))
    assert json_of(client.call_tool("b__late", {"x": 1}))["called"] == "late"
    client.call_tool("b__remove_tool", {"name": "late"})
    client.wait_notification("notifications/tools/list_changed")


def test_the_other_era(client: RawClient) -> None:
    assert "2026-07-28" in client.modern("server/discover")["supportedVersions"]
    call = {"name": "a__echo", "arguments": {"x": 1}}
    assert client.modern("tools/call", call)["structuredContent"] == {"x": 1}
    assert "a__echo" in names(client.modern("tools/list")["tools"])


def test_status(relay: Relay, mix: Mix, versions: Versions) -> None:
    """By its own tool, and by relayctl of either version."""
    own = status(relay)
    assert [one["name"] for one in own["backends"]] == ["a", "b", "relay"]
    assert own["health"] == "ok" and own["registry"]["tools"] > 50
    for version in mix:
        done = versions.relayctl(relay, version, "status", "--json")
        assert done.returncode == 0, done.stderr
        assert f'"id": "{own["id"]}"' in done.stdout


def test_a_backend_that_dies_is_started_again(client: RawClient) -> None:
    died = client.call_tool("b__die")
    assert died["isError"] and "died" in text_of(died)
    assert json_of(client.call_tool("b__echo", {"x": 1})) == {"x": 1}
    assert backend_state(client, "b")["restarts"] == 1


def test_what_both_log_is_in_one_file(relay: Relay, mix: Mix) -> None:
    def both() -> bool:
        path = relay.home.state / "logs" / "relay.log"
        text = path.read_text() if path.exists() else ""
        return " supervisor: " in text and " worker 1: " in text

    relay.client.call_tool("a__stray", {"kind": "number"})
    wait_until(both, SECONDS_MAX, "lines of supervisor and worker")


def test_a_worker_that_is_killed(
    mix: Mix, versions: Versions, home: RelayHome, tmp_path: Path
) -> None:
    """What its ledger says is understood: a call that ran is not run again, unless it may be, and
    one that no backend has seen is simply carried out by the next worker.
    """
    log = tmp_path / "effects"
    config = configuration(
        {
            "a": fixture_backend("--log", str(log)),
            "safe": fixture_backend("--log", str(log), trust_hints=True),
            "slow": fixture_backend("--start-delay", "1"),
        }
    )
    with versions.relay(*mix, config, home) as relay:
        client = relay.client
        client.initialize()
        before = worker(relay)
        once = client.start_tool("a__counter", {"tag": "once", "seconds": 30})
        again = client.start_tool("safe__read_counter", {"tag": "again", "seconds": 1.0})
        unseen = client.start_tool("slow__echo", {"tag": "unseen"})
        wait_until(lambda: len(side_effects(log)) == 2, SECONDS_MAX, "both to run")
        os.kill(before["pid"], signal.SIGKILL)
        lost = client.response(once).result
        assert lost["isError"] and "unknown" in text_of(lost)
        assert json_of(client.response(again).result)["count"] == 1
        assert json_of(client.response(unseen).result) == {"tag": "unseen"}
        tags = sorted(effect["tag"] for effect in side_effects(log))
        assert tags == ["again", "again", "once"]
        after = worker(relay)
        assert after["generation"] == 2 and after["build"] == before["build"]
        assert relay.interrupt(signal.SIGTERM) == 0


def test_the_first_lists_come_from_the_others_cache(
    mix: Mix, versions: Versions, home: RelayHome
) -> None:
    """A session of one version leaves a cache that the other one begins with: the server never
    comes up there, so its tools can be from nowhere else.
    """
    script = home.root / "server"
    script.write_text(f"exec {shlex.join(fixture_argv())}")
    config = configuration({"a": {"command": "sh", "args": [str(script)]}})
    with versions.relay(mix[1], mix[1], config, home) as relay:
        relay.client.initialize()
        before = relay.client.list_all("tools")
        assert "a__echo" in names(before)
        cache = home.state / "cache"
        wait_until(lambda: list(cache.glob("*.cache")), SECONDS_MAX, "the cache")
    script.write_text("exec cat >&2")
    with versions.relay(*mix, config, home) as relay:
        relay.client.initialize()
        assert relay.client.list_all("tools") == before
