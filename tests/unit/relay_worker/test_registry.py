"""What the client is to see: rebuilt when something is new, told when it differs."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_supervisor.wire import cache, v1
from relay_worker import lists as raw_lists
from relay_worker import registry as registries
from relay_worker.backends.base import State
from relay_worker.config.model import BackendSpec, Config, ToolRules
from relay_worker.lists import RawLists
from relay_worker.log import Log
from relay_worker.registry import Registry


def tool(name: str) -> bytes:
    return b'{"name":"%b","inputSchema":{"type":"object"}}' % name.encode()


class FakeBackend:
    """As much of a backend as the registry looks at."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lists: RawLists | None = None
        self.learning = True
        self.state = State.CONNECTING

    def learn(self, *tools: str) -> None:
        names = [tool(name) for name in tools]
        self.lists = RawLists(capabilities=b'{"tools":{}}', tools=names)
        self.learning = False


class Stage:
    """A registry of two backends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **rules: Any) -> None:
        self.clock = 1000.0
        self.build_seconds = 0.0
        monkeypatch.setattr(registries.time, "monotonic", self.tick)
        self.sent: list[tuple[v1.Message, bytes]] = []
        self.saved: list[tuple[Path, bytes]] = []
        self.logged: list[bytes] = []
        self.log_fd = os.open(os.devnull, os.O_WRONLY)
        log = Log(fd=self.log_fd)
        log.write_to(self.logged.append)
        self.one, self.two = FakeBackend("one"), FakeBackend("two")
        self.backends: Any = {"one": self.one, "two": self.two}
        spec = BackendSpec(command="x", tools=ToolRules(**rules))
        self.registry = Registry(
            Config(backends={"one": spec, "two": spec}),
            hashes={"one": "h1", "two": "h2"},
            builtin=None,
            instructions="how to",
            send=lambda message, payload: self.sent.append((message, payload)),
            save=lambda path, content: self.saved.append((path, content)),
            log=log,
        )

    def tick(self) -> float:
        self.clock += self.build_seconds
        return self.clock

    def learn(self, backend: FakeBackend, *tools: str) -> None:
        backend.learn(*tools)
        self.registry.learned(backend)  # type: ignore[arg-type]

    def review(self) -> bool:
        due = self.registry.due(self.backends)
        if due:
            self.registry.rebuild()
        self.registry.report(self.backends)
        return due

    def catalogues(self) -> list[tuple[bool, list[str]]]:
        return [
            (message.settled, [entry.key for entry in cache.decode_body(payload).tools])
            for message, payload in self.sent
            if isinstance(message, v1.Catalogue)
        ]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Stage]]:
    made: list[Stage] = []

    def one(**rules: Any) -> Stage:
        made.append(Stage(monkeypatch, **rules))
        return made[-1]

    yield one
    for stage in made:
        os.close(stage.log_fd)


@pytest.fixture
def stage(make: Callable[..., Stage]) -> Stage:
    return make()


def test_backends_come_in_one_by_one_until_it_is_settled(stage: Stage) -> None:
    assert stage.review()
    stage.learn(stage.one, "a")
    assert stage.review() and not stage.review()
    assert not stage.registry.settled
    stage.learn(stage.two, "b")
    assert stage.review()
    assert stage.registry.settled
    assert stage.catalogues() == [
        (False, []),
        (False, ["one__a"]),
        (True, ["one__a", "two__b"]),
    ]
    assert stage.registry.tools_of("one") == 1 and stage.registry.tools_of("none") == 0


def test_lists_may_still_come_with_a_backend_of_another_worker(stage: Stage) -> None:
    """This worker can find out nothing more before it serves; and yet that is not all."""
    stage.one.state, stage.one.learning = State.AWAITED, False
    stage.learn(stage.two, "b")
    stage.review()
    assert stage.registry.exhausted and not stage.registry.settled
    stage.one.state, stage.one.learning = State.CONNECTING, True
    stage.review()
    assert not stage.registry.settled
    stage.learn(stage.one, "a")
    stage.review()
    assert stage.catalogues() == [(False, ["two__b"]), (True, ["one__a", "two__b"])]


def test_nothing_is_sent_unless_it_differs(stage: Stage) -> None:
    for backend in (stage.one, stage.two):
        stage.learn(backend, "a")
    stage.review()
    sent = len(stage.sent)
    stage.learn(stage.one, "a")
    stage.review()
    news = [type(message) for message, _ in stage.sent[sent:]]
    assert news == [v1.LearnedLists], "the next worker's copy, but nothing for the client"


def test_a_backend_that_will_not_come_does_not_hold_up_the_others(stage: Stage) -> None:
    stage.learn(stage.one, "a")
    stage.two.learning = False
    stage.review()
    assert stage.catalogues() == [(True, ["one__a"])]
    stage.two.learning = True
    stage.review()
    assert stage.registry.settled, "once settled it stays so"
    assert len(stage.catalogues()) == 1


def test_lists_learned_before_count_for_the_same_specification(stage: Stage) -> None:
    lists = RawLists(capabilities=b'{"tools":{}}', tools=[tool("a")])
    payload = raw_lists.encode(lists)
    assert stage.registry.known(v1.KnownLists("one", "h1"), payload) == lists
    assert stage.registry.known(v1.KnownLists("two", "h1"), payload) is None
    assert stage.registry.known(v1.KnownLists("gone", "h1"), payload) is None
    assert stage.registry.known(v1.KnownLists("two", "h2"), b"broken") is None
    stage.one.learning = stage.two.learning = False
    stage.review()
    assert stage.catalogues() == [(True, ["one__a"])]


def test_the_next_worker_gets_the_lists_as_they_were(stage: Stage) -> None:
    stage.learn(stage.one, "a")
    message, payload = stage.sent[0]
    assert message == v1.LearnedLists("one", "h1")
    assert raw_lists.decode(payload) == stage.one.lists


def test_the_cache_file_is_written_when_settled_and_when_its_place_changes(stage: Stage) -> None:
    stage.registry.keep_at("/cache/a")
    stage.learn(stage.one, "a")
    stage.review()
    assert stage.saved == []
    stage.learn(stage.two, "b")
    stage.review()
    stage.review()
    ((path, content),) = stage.saved
    snapshot = cache.load(content)
    assert path == Path("/cache/a") and snapshot is not None
    assert snapshot.instructions == "how to"
    assert [(one.backend, one.spec_hash) for one in snapshot.lists] == [
        ("one", "h1"),
        ("two", "h2"),
    ]
    assert stage.registry.catalogue is not None
    assert snapshot.body == stage.registry.catalogue.body
    stage.registry.keep_at("/cache/b")
    stage.review()
    stage.registry.keep_at("/cache/b")
    stage.review()
    stage.registry.keep_at("")
    stage.review()
    assert [str(path) for path, _ in stage.saved] == ["/cache/a", "/cache/b"]


def test_dear_rebuilds_rest_in_between(stage: Stage) -> None:
    stage.build_seconds = 0.1
    stage.learn(stage.one, "a")
    assert stage.review()
    stage.learn(stage.one, "a", "b")
    assert not stage.review() and stage.registry.outdated
    while stage.clock < stage.registry.rest_until:
        assert not stage.registry.due(stage.backends) or stage.clock >= stage.registry.rest_until
    assert stage.review() and not stage.registry.outdated


def test_the_last_backend_to_be_learned_does_not_wait(stage: Stage) -> None:
    stage.build_seconds = 0.1
    stage.learn(stage.one, "a")
    assert stage.review()
    stage.learn(stage.two, "b")
    assert stage.review()
    assert stage.catalogues()[-1] == (True, ["one__a", "two__b"])


def test_it_is_not_settled_while_it_is_outdated(stage: Stage) -> None:
    for backend in (stage.one, stage.two):
        stage.learn(backend, "a")
    stage.registry.rebuild()
    stage.learn(stage.one, "b")
    stage.registry.report(stage.backends)
    assert not stage.registry.settled


def test_problems_are_logged_once(make: Callable[..., Stage]) -> None:
    stage = make(rename={"nothing": "x"})
    for names in (["a"], ["b"]):
        stage.learn(stage.one, *names)
        stage.registry.rebuild()
    assert len([line for line in stage.logged if b"nothing" in line]) == 1


def test_the_cache_is_left_alone_until_what_it_shows_will_last(make: Callable[..., Stage]) -> None:
    stage = make()
    stage.registry.lasting = False
    stage.registry.keep_at("/state/cache/file")
    stage.learn(stage.one, "a")
    stage.learn(stage.two, "b")
    stage.review()
    assert stage.registry.settled and stage.saved == []
    stage.registry.lasting = True
    stage.review()
    ((path, content),) = stage.saved
    assert path == Path("/state/cache/file") and cache.load(content) is not None
    stage.review()
    assert len(stage.saved) == 1
