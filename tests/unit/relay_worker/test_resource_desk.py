"""One rule in reading, subscribing, updates, links and completion."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from relay_supervisor.wire import v1
from relay_worker.lists import RawLists
from relay_worker.resource_desk import UPDATED
from tests.unit.relay_worker.router_stage import FakeBackend, Stage

CAPABLE = b'{"tools":{},"resources":{"subscribe":true},"completions":{}}'
TOOL = b'{"name":"find","inputSchema":{"type":"object"}}'


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Two backends with tools and resources, some of them of the same scheme."""
    stage = Stage(monkeypatch)
    stage.known = {
        "one": RawLists(
            capabilities=CAPABLE,
            tools=[TOOL],
            resources=[b'{"uri":"a://x","name":"x"}'],
            templates=[b'{"uriTemplate":"a://items/{id}","name":"item"}'],
        ),
        "two": RawLists(
            capabilities=CAPABLE,
            tools=[TOOL],
            resources=[b'{"uri":"a://x","name":"x"}', b'{"uri":"a://y","name":"y"}'],
            templates=[b'{"uriTemplate":"a://{+path}","name":"any"}'],
        ),
    }
    stage.adopt()
    yield stage
    stage.loop.close()


OWNERS = {"a://x": "one", "a://y": "two", "a://items/1": "one", "a://items/1/2": "two"}


@pytest.mark.parametrize(("uri", "owner"), OWNERS.items())
def test_every_message_goes_to_the_same_backend(stage: Stage, uri: str, owner: str) -> None:
    for number, method in enumerate(("read", "subscribe", "unsubscribe"), 1):
        stage.call(number, f"resources/{method}", {"uri": uri})
    ref = {"type": "ref/resource", "uri": uri}
    stage.call(4, "completion/complete", {"ref": ref, "argument": {}})
    stage.router.resources.subscribe([uri])
    methods = [entry[1] for entry in told(stage, owner) if isinstance(entry[0], int)]
    assert methods == [
        *("resources/read", "resources/subscribe", "resources/unsubscribe"),
        "completion/complete",
    ]
    assert ("subscribe", [uri]) in told(stage, owner)
    assert told(stage, "one" if owner == "two" else "two") == []
    assert updates_passed(stage, uri) == [owner]


def test_a_collision_is_told_once(stage: Stage) -> None:
    catalogue = stage.router.catalogue
    assert catalogue is not None
    (problem,) = catalogue.problems
    assert "backend two lists 1 resources" in problem and "a://x of one" in problem
    (left_out,) = catalogue.body.quarantined
    assert (left_out.backend, left_out.name) == ("two", "a://x")


@pytest.mark.parametrize(
    "block",
    [
        {"type": "resource_link", "uri": "l://1", "name": "n"},
        {"type": "resource", "resource": {"uri": "l://1", "text": "t"}},
    ],
)
def test_a_link_that_nobody_lists_leads_to_who_sent_it(stage: Stage, block: object) -> None:
    stage.call(1, "resources/read", {"uri": "l://1"})
    assert stage.answers()[1]["error"]["code"] == -32002
    answer(stage, stage.two, 2, block)
    sent = [message for message, _ in stage.sent]
    learned = sent.index(v1.LearnedLinks("two", ["l://1"]))
    assert isinstance(sent[learned + 1], v1.Reply), "the client knows it from then on"
    stage.call(3, "resources/read", {"uri": "l://1"})
    assert stage.two.told[-1][:2] == (3, "resources/read")
    assert updates_passed(stage, "l://1") == ["two"]


def test_a_link_to_what_somebody_lists_is_no_news(stage: Stage) -> None:
    answer(stage, stage.two, 1, {"type": "resource_link", "uri": "a://x", "name": "n"})
    assert not [m for m, _ in stage.sent if isinstance(m, v1.LearnedLinks)]
    assert stage.router.resources.owner_of("a://x") == "one"


def test_links_of_one_that_has_no_resources_are_not_for_reading(stage: Stage) -> None:
    stage.known["two"] = RawLists(capabilities=b'{"tools":{}}', tools=[TOOL])
    stage.adopt()
    answer(stage, stage.two, 1, {"type": "resource_link", "uri": "l://1", "name": "n"})
    assert not [m for m, _ in stage.sent if isinstance(m, v1.LearnedLinks)]


@pytest.mark.parametrize("uri", ["l://1", "l:///with a space", "task:1"])
def test_what_another_worker_has_learned_counts(stage: Stage, uri: str) -> None:
    """Tasks are among it, which are no resources."""
    stage.router.resources.known(v1.KnownLinks("two", [uri, "task 1", "hosted 1"]))
    for number, name in enumerate((uri, "task 1", "hosted 1")):
        stage.call(number, "resources/read", {"uri": name})
    assert [told[:2] for told in stage.two.told] == [(0, "resources/read")]


def test_a_part_of_a_resource_is_told_of_by_whoever_is_subscribed_to(stage: Stage) -> None:
    assert updates_passed(stage, "l://part") == []
    stage.router.resources.subscribe(["a://y"])
    assert updates_passed(stage, "l://part") == ["two"]


@pytest.mark.parametrize("params", [b"{}", b'{"uri":7}', b"[]", b""])
def test_an_update_of_nothing_is_not_passed_on(stage: Stage, params: bytes) -> None:
    stage.router.resources.subscribe(["a://y"])
    assert not stage.router.resources.passes(stage.two, UPDATED, params)


def test_a_subscription_moves_with_its_resource(stage: Stage) -> None:
    stage.router.resources.subscribe(["a://x"])
    assert stage.one.told[-1] == ("subscribe", ["a://x"])
    stage.known["one"] = RawLists(capabilities=CAPABLE, tools=[TOOL])
    stage.adopt()
    assert stage.one.told[-1] == ("subscribe", [])
    assert stage.two.told[-1] == ("subscribe", ["a://x"])


def told(stage: Stage, name: str) -> list[Any]:
    backend = stage.one if name == "one" else stage.two
    return [entry for entry in backend.told if entry != ("subscribe", [])]


def updates_passed(stage: Stage, uri: str) -> list[str]:
    """Return the backends whose updates of *uri* reach the supervisor."""
    before = len(stage.sent)
    for backend in (stage.one, stage.two):
        stage.router.notified(backend, UPDATED, b'{"uri":"%b"}' % uri.encode(), 0)
    news = [message for message, _ in stage.sent[before:]]
    return [message.backend for message in news if isinstance(message, v1.Notification)]


def answer(stage: Stage, backend: FakeBackend, number: int, block: object) -> None:
    """Have a tool of *backend* answer with one block."""

    stage.tool(number, f"{backend.name}__find")
    result = json.dumps({"jsonrpc": "2.0", "id": number, "result": {"content": [block]}})
    stage.reply(backend, number, result.encode())
