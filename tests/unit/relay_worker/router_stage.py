"""A router between us and fake backends, with a clock of our own."""

import json
from typing import Any

import pytest

from relay_supervisor.wire import v1
from relay_worker import catalogue as catalogues
from relay_worker import loop as loops
from relay_worker.backends.base import State
from relay_worker.backends.client import Client
from relay_worker.backends.frames import decode_object
from relay_worker.config.model import BackendSpec, Config
from relay_worker.ledger import UNREAD
from relay_worker.lists import RawLists
from relay_worker.loop import Loop
from relay_worker.router import Router

LISTS = RawLists(
    capabilities=b'{"tools":{},"prompts":{},"resources":{"subscribe":true}}',
    tools=[b'{"name":"echo","inputSchema":{"type":"object"}}'],
    prompts=[b'{"name":"greet"}'],
    resources=[b'{"uri":"a://b","name":"b"}'],
    templates=[b'{"uriTemplate":"a://item/{id}","name":"item"}'],
)


class FakeBackend:
    """A backend that keeps what it is told; the test decides its state."""

    kind = "stdio"
    pid: int | None = 1
    restarts = 0
    skipped_lines = 0
    last_error: str | None = None
    modern = False
    start_timeout_seconds = 30.0

    def __init__(self, name: str, state: State = State.READY) -> None:
        self.name = name
        self.state = state
        self.lists: RawLists | None = LISTS
        self.learning = False
        self.after_want: State | None = State.SPAWNING
        self.refusal: str | None = None
        self.takes_errands = True
        self.told: list[Any] = []

    @property
    def trouble(self) -> str:
        return f"trouble with {self.name}"

    def introduce(self, client: Client) -> None:
        self.told.append(("introduce", client))

    def want(self) -> None:
        self.told.append("want")
        if self.state in {State.IDLE, State.FAILED} and self.after_want:
            self.state = self.after_want

    def call(self, call: int, method: str, params: bytes) -> str | None:
        if self.refusal is None:
            self.told.append((call, method, json.loads(params)))
        return self.refusal

    def cancel(self, call: int, params: bytes, errand: int = 0) -> bool:
        self.told.append(("cancel", call, json.loads(params)))
        return self.takes_errands

    def answer(self, pid: int, raw_id: bytes, members: bytes, errand: int = 0) -> bool:
        self.told.append(("answer", pid, raw_id, members))
        return self.takes_errands

    def notify(self, method: str, params: bytes, capability: str | None = None) -> None:
        self.told.append(("notify", method, params, capability))

    def set_level(self, level: str) -> None:
        self.told.append(("level", level))

    def subscribe(self, uris: frozenset[str]) -> None:
        self.told.append(("subscribe", sorted(uris)))

    def subscribed(self, uri: str, *, wanted: bool) -> None:
        self.told.append(("subscribed", uri, wanted))

    def watch(self, tasks: frozenset[str]) -> None:
        self.told.append(("watch", sorted(tasks)))

    def pause(self, *, paused: bool) -> None:
        self.told.append(("pause", paused))


class Stage:
    """A router between us and fake backends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = 1000.0
        monkeypatch.setattr(loops.time, "monotonic", lambda: self.clock)
        self.errors: list[Exception] = []
        self.loop = Loop(lambda _where, error: self.errors.append(error))
        self.sent: list[tuple[v1.Message, bytes]] = []
        self.router = Router(self.loop, self.send, self.send_small, UNREAD)
        self.one, self.two = FakeBackend("one"), FakeBackend("two")
        self.router.backends = {"one": self.one, "two": self.two}
        self.known = {"one": LISTS}
        self.adopt()

    def send(self, message: v1.Message, *payload: Any) -> None:
        self.sent.append((message, b"".join(bytes(part) for part in payload)))

    def send_small(self, call: int, outcome: int, members: bytes) -> None:
        self.send(v1.Reply(call, outcome), members)

    def adopt(self) -> None:
        config = Config(backends={name: BackendSpec(command="x") for name in self.router.backends})
        self.router.adopt(catalogues.build(config, self.known))

    def call(
        self, number: int, method: str, params: dict[str, Any] | None = None, era: int = v1.LEGACY
    ) -> None:
        params = params or {}
        name = str(params.get("name") or params.get("uri") or "")
        self.router.call(v1.Call(number, method, name, era), json.dumps(params).encode())

    def tool(self, number: int, name: str = "one__echo", **fields: Any) -> None:
        self.call(number, "tools/call", {"name": name, "arguments": {}, **fields})

    def reply(self, backend: FakeBackend, call: int, text: bytes) -> None:
        envelope = decode_object(text)
        assert envelope is not None
        self.router.replied(backend, call, envelope)

    def answers(self) -> dict[int, Any]:
        found = {}
        for message, payload in self.sent:
            if isinstance(message, v1.Reply):
                assert message.call not in found, "one answer each"
                found[message.call] = json.loads(b"{" + payload)
        return found
