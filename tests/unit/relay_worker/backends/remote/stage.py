"""A remote backend on a stage: real loop, but no network, no thread, and a clock of our own. The
test plays the HTTP thread; see `tests/unit/relay_worker/backends/stage.py` for the stdio one.
"""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from relay_supervisor.wire import v1
from relay_supervisor.wire.ledger import WORDS, Ledger
from relay_worker import loop as loops
from relay_worker.backends.base import Backend, State
from relay_worker.backends.descriptors import Descriptors
from relay_worker.backends.remote.backend import RemoteBackend, RemotePlan
from relay_worker.backends.remote.messages import Address, Failure, Fault, Listener, Post
from relay_worker.backends.surroundings import Surroundings
from relay_worker.life import Life
from relay_worker.log import Log
from relay_worker.repair import clean_line
from tests.unit.relay_worker.backends.audience import POLICY, Audience

CAPABILITIES = {"tools": {"listChanged": True}, "logging": {}, "resources": {"subscribe": True}}
INIT = {"protocolVersion": "2025-11-25", "capabilities": CAPABILITIES, "serverInfo": {}}


class FakeLine:
    """What the backend does with its line, on record."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.posts: list[Post] = []
        self.aborted: list[int] = []
        self.hears: Mapping[str, str] | None = None
        self.paused = False
        self.closed = False
        self.farewell: Mapping[str, str] | None = None

    def post(self, post: Post) -> None:
        self.posts.append(post)

    def abort(self, number: int) -> None:
        self.aborted.append(number)

    def listen(self, headers: Mapping[str, str]) -> None:
        self.hears = headers

    def deafen(self) -> None:
        self.hears = None

    def pause(self, *, paused: bool) -> None:
        self.paused = paused

    def close(self, farewell: Mapping[str, str] | None = None) -> None:
        self.closed, self.farewell = True, farewell

    def take(self, method: str | None = None) -> Post:
        """The next frame that was posted, of this JSON-RPC method."""
        for index, post in enumerate(self.posts):
            if method is None or json.loads(post.body).get("method") == method:
                return self.posts.pop(index)
        raise AssertionError(f"no {method} among {[post.body for post in self.posts]}")

    def methods(self) -> list[str | None]:
        """What was posted and not taken."""
        return [json.loads(post.body).get("method") for post in self.posts]


class RemoteStage(Audience):
    """One backend."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, kind: str = "http", **plan: Any) -> None:
        self.clock = 1000.0
        monkeypatch.setattr(loops.time, "monotonic", lambda: self.clock)
        super().__init__()
        self.lines: list[FakeLine] = []
        self.sent: list[tuple[Any, bytes]] = []
        self.file: object = ()
        self.ledger = Ledger(memoryview(bytearray(WORDS * 8 * 64)))
        self._fds = os.pipe()
        self.log = Log(fd=os.open(os.devnull, os.O_WRONLY))
        around = Surroundings(
            loop=self.loop,
            send=lambda message, payload=b"": self.sent.append((message, payload)),
            when_written=lambda callback, argument: callback(argument),
            descriptors=Descriptors.__new__(Descriptors),
            life=Life(self._fds[0]),
            log=self.log,
            keep_stderr=lambda _name, _text: None,
            next_token=iter(range(1, 1000)).__next__,
            generation=3,
            policy=POLICY,
            ledger=self.ledger,
        )
        address = Address("http://h/mcp", {}, 1000, 5.0, tokens="/tokens")
        settings = {"name": "far", "kind": kind, "address": address, "spec_hash": "hash"}
        self.backend = RemoteBackend(
            RemotePlan(**{**settings, **plan}),
            around,
            self,
            self,
            connect=self._connect,
            look_at=self._look,
        )

    @property
    def line(self) -> FakeLine:
        """The line in use."""
        return self.lines[-1]

    # ---- the server's part --------------------------------------------------------------------

    def answer(self, post: Post, result: Any = None, *, error: Any = None) -> None:
        """Answer a request."""
        members = {"error": error} if error else {"result": {} if result is None else result}
        self.say(post.tag, id=json.loads(post.body)["id"], **members)
        self.line.listener.done(post.number, None)
        self.turn()

    def say(self, answers: Any = None, /, **message: Any) -> None:
        text = json.dumps({"jsonrpc": "2.0", **message}).encode()
        ((_, envelope),) = clean_line(text).frames
        self.line.listener.received(envelope, answers)
        self.turn()

    def fail(self, post: Post, fault: Fault, text: str = "it failed", **more: Any) -> None:
        """Let a frame fail."""
        self.line.listener.done(post.number, Failure(fault, text, **more))
        self.turn()

    def open(self, session: str = "s-1", tools: tuple[str, ...] = ("t",)) -> None:
        """Let a session begin."""
        post = self.line.take("initialize")
        if session and self.backend.kind == "http":
            self.line.listener.opened(session)
        self.answer(post, INIT)
        self.line.listener.done(self.line.take("notifications/initialized").number, None)
        self.give_lists(tools)

    def give_lists(self, tools: tuple[str, ...] = ("t",)) -> None:
        """Answer what it asks for."""
        items = [{"name": name, "inputSchema": {}} for name in tools]
        self.answer(self.line.take("tools/list"), {"tools": items})
        self.answer(self.line.take("resources/list"), {"resources": []})
        self.answer(self.line.take("resources/templates/list"), {"resourceTemplates": []})

    def ready(self, **capabilities: Any) -> FakeLine:
        """Bring it to READY."""
        self.introduce(**capabilities)
        self.open()
        assert self.backend.state is State.READY
        return self.line

    def call(self, number: int = 1) -> Post:
        """Call a tool; returns what was posted."""
        self.ledger.take(number)
        assert self.backend.call(number, "tools/call", b'{"name":"t"}') is None
        return self.line.take("tools/call")

    # ---- time ---------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Let so much time go by."""
        self.clock += seconds
        self.turn()

    def close(self) -> None:
        super().close()
        for fd in (*self._fds, self.log._fd):
            os.close(fd)

    def sessions(self) -> list[bytes]:
        """What the supervisor was given to keep."""
        return [payload for message, payload in self.sent if isinstance(message, v1.LearnedSession)]

    def _connect(self, _kind: str, _address: Address, listener: Listener) -> FakeLine:
        self.lines.append(FakeLine(listener))
        return self.line

    def _look(self, path: str, tell: Callable[[object], None]) -> None:
        assert path == "/tokens"
        self.loop.call_from_thread(lambda: tell(self.file))

    # ---- Host ---------------------------------------------------------------------------------

    def resulted(self, backend: Backend, call: int, result: msgspec.Raw, members: bytes) -> None:
        raise AssertionError("for legacy backends behind pipes only")

    def asked(
        self,
        backend: Backend,
        pid: int,
        raw_id: bytes,
        method: str,
        params: bytes,
        at: int,
        call: int = 0,
    ) -> None:
        self.told.append(("asked", pid, raw_id, method, *((call,) if call else ())))

    def withdrew(self, backend: Backend, pid: int, raw_id: bytes, params: bytes) -> None:
        self.told.append(("withdrew", pid, raw_id))

    def notified(
        self, backend: Backend, method: str, params: bytes, at: int, call: int = 0
    ) -> None:
        self.told.append(("notified", method, *((call,) if call else ())))

    def unread(self, backend: Backend, calls: list[int], reason: str) -> None:
        assert backend.state is not State.READY, "it would be sent at once again"
        super().unread(backend, calls, reason)

    def unusable(self, backend: Backend, call: int, fault: str) -> None:
        self.told.append(("unusable", call, fault))

    def done(self, errand: int) -> None:
        raise AssertionError("errands are void at once")

    def adopted(self, backend: Backend, calls: list[v1.Call]) -> None:
        raise AssertionError("it has no process to be handed over")

    def frozen(self, backend: Backend, calls: list[int]) -> None:
        raise AssertionError("it has no process to be handed over")
