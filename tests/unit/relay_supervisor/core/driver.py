"""Drives the core as its adapters would: a client, workers and a clock in the test's hand.

Everything the core wants done is kept until a test looks at it. Nothing here decides anything.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from relay_supervisor.core import effects, events, memory
from relay_supervisor.core.generation import Source
from relay_supervisor.core.relay import Relay
from relay_supervisor.core.state import State
from relay_supervisor.core.workers import Identity
from relay_supervisor.wire import cache, control_v1, handshake, v1
from relay_supervisor.wire.ledger import Stage

START = 1000.0
"""A clock that begins at 0 would hide what is wrong with times that count as false."""

IDENTITY = Identity(
    instance="i1",
    build="9.9",
    pid=4000,
    config_path="/etc/relay.yaml",
    config_required=True,
    started_at=1.0e9,
    project="/project",
    state_dir="/state",
    log_level="info",
    log_format="text",
)
SECRET = b"of this relay"
SOURCE = Source("/python", "", b"backends: {}\n")
BACKENDS = (v1.BackendInfo("files", "stdio"), v1.BackendInfo("slow", "stdio", 30.0))
BODY = cache.Body(
    tools=[
        cache.Entry("files__read", "files", b'{"name":"files__read","inputSchema":{}}'),
        cache.Entry("slow__think", "slow", b'{"name":"slow__think","inputSchema":{}}'),
    ],
    prompts=[cache.Entry("files__ask", "files", b'{"name":"files__ask"}')],
    resources=[cache.Entry("file:///a", "files", b'{"uri":"file:///a","name":"a"}')],
    templates=[cache.Entry("file:///{x}", "files", b'{"uriTemplate":"file:///{x}"}')],
    capabilities=b'{"tools":{"listChanged":true}}',
)
MODERN_META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "modern", "version": "2"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
M = TypeVar("M", bound=v1.Message | handshake.Hello)
F = TypeVar("F", bound=effects.Effect)


def request(key: object, method: str, **params: Any) -> dict[str, Any]:
    """A legacy request; without keywords it has no params at all."""
    message = {"jsonrpc": "2.0", "id": key, "method": method}
    return {**message, "params": params} if params else message


def modern(key: object, method: str, **params: Any) -> dict[str, Any]:
    """A request of the 2026-07-28 era."""
    return request(key, method, **{**params, "_meta": {**MODERN_META, **params.get("_meta", {})}})


def notification(method: str, **params: Any) -> dict[str, Any]:
    """A notification of the client's."""
    message = {"jsonrpc": "2.0", "method": method}
    return {**message, "params": params} if params else message


def call(key: object, name: str = "files__read", **params: Any) -> dict[str, Any]:
    """A legacy tools/call."""
    return request(key, "tools/call", name=name, arguments={}, **params)


def cache_path(configuration: bytes, variant: str) -> str:
    """Where the worker is to keep the cache file."""
    return f"/state/cache/{variant}"


class Driver:
    """A relay of which the test plays the rest of the world."""

    def __init__(
        self,
        *,
        snapshots: Mapping[str, bytes] | None = None,
        identity: Identity = IDENTITY,
        source: Source = SOURCE,
        seed: int = 1,
    ) -> None:
        known = {} if snapshots is None else snapshots
        self.relay = Relay(memory.begin(identity, known, seed, source, SECRET), cache_path)
        self.now = START
        self.wanted: list[effects.AnyEffect] = []
        self._pid = 5000
        self.pids: dict[int, int] = {}
        """Of the workers, by generation."""
        self.answers_pings = True

    @property
    def state(self) -> State:
        """What the core knows of client, calls and backends."""
        return self.relay.shared.state

    # ---- events -----------------------------------------------------------------------------

    def do(self, event: events.AnyEvent) -> None:
        """Let something happen now."""
        self.wanted += self.relay.handle(event, self.now)

    def reexec(self, build: str = "") -> None:
        """Replace the code: the state is written and read back, and a core made anew of it."""
        identity = self.relay.shared.workers.identity
        snapshots = self.relay.shared.memory.session.snapshots
        build = build or identity.build
        self.relay = Relay.resume(self.relay.export(), build, identity.python, cache_path)
        if type(snapshots) is not dict:  # one for every client, which nobody can write down
            self.relay.shared.memory.session.snapshots = snapshots

    def line(self, message: object) -> None:
        """The client writes a line: bytes as they are, anything else as JSON."""
        text = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.do(events.ClientLine(text))

    def ask(self, message: object) -> Any:
        """Write a line and return the one line the client gets for it at once."""
        before = self.client()
        assert not before, f"unread: {before}"
        self.line(message)
        (answer,) = self.client()
        return answer

    def frame(self, message: v1.Message, payload: bytes = b"", generation: int = 1) -> None:
        """A worker sends a message."""
        self.do(events.WorkerFrame(generation, v1.encode(message), payload))

    def reply(
        self,
        number: int,
        members: bytes = b'"result":{"ok":1}}',
        generation: int = 1,
        outcome: int = v1.OUTCOME_RESULT,
    ) -> None:
        """A worker answers a call."""
        self.frame(v1.Reply(number, outcome), members, generation)

    def wait(self, seconds: float) -> None:
        """Let time pass, with every deadline on the way kept to the instant."""
        until = self.now + seconds
        for _ in range(10_000):
            due = self.relay.next_deadline()
            if due is None or due > until:
                self.now = until
                return
            self.now = max(self.now, due)
            self.do(events.DeadlinePassed())
            self._answer_pings()
        raise AssertionError("deadlines without end")

    def _answer_pings(self) -> None:
        """Every worker that is asked lives, where a test does not say otherwise."""
        if self.answers_pings:
            for generation, ping in self.to_worker(v1.Ping):
                self.frame(v1.Pong(ping.token), b"", generation)

    # ---- lives ------------------------------------------------------------------------------

    def hatch(self, generation: int = 1, *, build: str = "9.8") -> int:
        """Answer a SpawnWorker: the process runs and says its welcome. Returns its pid."""
        pid = self.spawned(generation)
        self.welcome(generation, build=build)
        return pid

    def spawned(self, generation: int = 1) -> int:
        """Answer a SpawnWorker: the process runs. Returns its pid."""
        self.wanted = [e for e in self.wanted if not _is_spawn(e, generation)]
        self._pid += 1
        self.pids[generation] = self._pid
        self.do(events.WorkerSpawned(generation, self._pid))
        return self._pid

    def welcome(self, generation: int = 1, *, build: str = "9.8") -> None:
        """The worker answers the Hello it got."""
        (hello,) = [m for g, m in self.to_worker(handshake.Hello) if g == generation]
        welcome = handshake.Welcome(1, build, generation, hello.nonce, self.pids[generation])
        self.do(events.WorkerFrame(generation, msgspec.msgpack.encode(welcome), b""))

    def configure(
        self,
        generation: int = 1,
        *,
        limits: v1.Limits | None = None,
        backends: Iterable[v1.BackendInfo] = BACKENDS,
        instructions: bytes = b"Use it.",
        digest: str = "",
    ) -> None:
        """The worker has read its configuration."""
        message = v1.Configured(list(backends), limits or v1.Limits(), config_digest=digest)
        self.frame(message, instructions, generation)

    def catalogue(
        self,
        body: cache.Body = BODY,
        digest: str = "d1",
        *,
        settled: bool = True,
        generation: int = 1,
    ) -> None:
        """The worker knows what the client is to see."""
        self.frame(v1.Catalogue(digest, settled), cache.encode_body(body), generation)

    def start(self, *, limits: v1.Limits | None = None) -> int:
        """Start, with a worker up to its catalogue; returns its pid. All effects are dropped."""
        self.do(events.Started())
        pid = self.hatch()
        self.configure(limits=limits)
        self.catalogue()
        self.wanted.clear()
        return pid

    def greet(self, protocol: str = "2025-11-25", **capabilities: Any) -> Any:
        """A legacy client shakes hands; returns the result of initialize. Effects are dropped."""
        info = {"name": "tester", "version": "1"}
        params = {"protocolVersion": protocol, "clientInfo": info, "capabilities": capabilities}
        answer = self.ask(request("init", "initialize", **params))
        self.line(notification("notifications/initialized"))
        self.wanted.clear()
        return answer["result"]

    def ready(self, generation: int = 1) -> None:
        """The worker says that it is ready."""
        nonce = self.relay.shared.workers.state.generations[generation].nonce
        self.frame(v1.Ready(generation, nonce), b"", generation)

    def die(
        self, generation: int = 1, stages: Mapping[int, int] | None = None, *, status: int = -9
    ) -> None:
        """The process of a worker is dead and reaped; *stages* is what its ledger says, all calls
        written where it is not given.
        """
        if stages is None:
            stages = dict.fromkeys(self.state.calls, int(Stage.WRITTEN))
        self.do(events.ProcessExited(self.pids[generation], status, stages))

    def serve(self, *, limits: v1.Limits | None = None, **capabilities: Any) -> int:
        """A worker up and a legacy client greeted; returns the worker's pid."""
        pid = self.start(limits=limits)
        self.greet(**capabilities)
        return pid

    def revive(self, generation: int = 2) -> int:
        """Let the back-off pass and bring the next worker up; returns its pid."""
        for _ in range(100):
            if self.take(effects.SpawnWorker):
                break
            due = self.relay.next_deadline()
            assert due is not None, "nobody is to follow"
            self.wait(due - self.now)
        pid = self.hatch(generation)
        self.configure(generation)
        return pid

    # ---- relayctl ---------------------------------------------------------------------------

    def control(self, op: str, connection: int = 7, **args: Any) -> None:
        """relayctl asks for something."""
        line = control_v1.encode(control_v1.Request(op, args=args))
        self.do(events.ControlRequested(connection, line))

    def told(self, connection: int = 7) -> list[control_v1.Reply]:
        """Take out what relayctl was answered on a connection: progress, then one final line."""
        mine = [e for e in self.wanted if _is_reply(e, connection)]
        self.wanted = [e for e in self.wanted if not _is_reply(e, connection)]
        replies = []
        for effect in mine:
            assert isinstance(effect, effects.ReplyToControl) and effect.line.count(b"\n") == 1
            reply = control_v1.decode_reply(effect.line)
            assert reply.done == effect.done
            replies.append(reply)
        assert all(not reply.done for reply in replies[:-1]), "something after the last word"
        return replies

    # ---- what the core wants ----------------------------------------------------------------

    def take(self, kind: type[F]) -> list[F]:
        """Take out the effects of one kind."""
        found = [effect for effect in self.wanted if type(effect) is kind]
        self.wanted = [effect for effect in self.wanted if type(effect) is not kind]
        return found

    def raw(self) -> list[bytes]:
        """Take out the lines for the client, each with its one newline at the end."""
        lines = [b"".join(effect.buffers) for effect in self.take(effects.SendToClient)]
        assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines), lines
        return lines

    def client(self) -> list[Any]:
        """Take out the lines for the client, decoded."""
        return [json.loads(line) for line in self.raw()]

    def to_worker(self, kind: type[M]) -> list[tuple[int, M]]:
        """Take out the messages of one kind to workers, with their generation."""
        return [(generation, m) for generation, m, _ in self.frames(kind)]

    def frames(self, kind: type[M]) -> list[tuple[int, M, bytes]]:
        """The same with their payloads."""

        def is_wanted(effect: effects.AnyEffect) -> bool:
            return isinstance(effect, effects.SendToWorker) and isinstance(effect.message, kind)

        found = [effect for effect in self.wanted if is_wanted(effect)]
        self.wanted = [effect for effect in self.wanted if not is_wanted(effect)]
        return [(e.generation, e.message, bytes(e.payload)) for e in found]  # type: ignore[union-attr,misc]

    def one(self, kind: type[M]) -> M:
        """Take out the only message of one kind."""
        ((_, message),) = self.to_worker(kind)
        return message


def _is_spawn(effect: effects.AnyEffect, generation: int) -> bool:
    return isinstance(effect, effects.SpawnWorker) and effect.generation == generation


def _is_reply(effect: effects.AnyEffect, connection: int) -> bool:
    return isinstance(effect, effects.ReplyToControl) and effect.connection == connection


def answers(lines: Iterable[Any], key: object) -> list[Any]:
    """Return the responses among the client's lines that carry this id."""
    return [m for m in lines if m.get("id") == key and ("result" in m or "error" in m)]
