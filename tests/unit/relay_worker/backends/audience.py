"""What a backend of any kind has around it on stage: whom it tells, its loop, and its client."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
import pytest

from relay_supervisor.wire import v1
from relay_worker.backends import backoff
from relay_worker.backends.base import Backend, State
from relay_worker.backends.client import client_of
from relay_worker.backends.surroundings import Policy
from relay_worker.loop import Loop
from relay_worker.repair import Envelope

LEGACY = v1.Session(v1.LEGACY, "2025-11-25", "")
POLICY = Policy(
    list_timeout_seconds=30.0,
    restart_delay_seconds=1.0,
    restart_delay_max_seconds=4.0,
    restart_reset_seconds=60.0,
    restart_attempts_max=3,
)


class Audience:
    """Implements `Host` and `Watcher` by keeping a record."""

    backend: Any

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.loop = Loop(lambda _where, error: self.errors.append(error))
        self.told: list[tuple[Any, ...]] = []
        self.states: list[State] = []
        self.places: list[int] = []
        """Where in the stream the progress came from."""
        self.learned_times = 0

    def introduce(self, **capabilities: Any) -> None:
        """Tell the backend of a client that can do this."""
        params = {"protocolVersion": "2025-11-25", "capabilities": capabilities}
        self.backend.introduce(client_of(LEGACY, json.dumps(params).encode()))

    def turn(self, times: int = 3) -> None:
        """Let the loop do what is due."""
        for _ in range(times):
            self.loop.turn(0)

    def close(self) -> None:
        """Let go of everything; nothing may have gone wrong unseen."""
        self.loop.close()
        assert self.errors == []

    # ---- Host ---------------------------------------------------------------------------------

    def replied(self, backend: Backend, call: int, envelope: Envelope) -> None:
        self.told.append(("replied", call, bytes(envelope.get("result", b"no result"))))

    def resulted(self, backend: Backend, call: int, result: msgspec.Raw, members: bytes) -> None:
        assert members == b'"result":%b}' % bytes(result)
        self.told.append(("replied", call, bytes(result)))

    def progressed(self, backend: Backend, call: int, params: bytes, at: int) -> None:
        self.places.append(at)
        self.told.append(("progressed", call, params))

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
        self.told.append(("asked", pid, raw_id, method, params))

    def withdrew(self, backend: Backend, pid: int, raw_id: bytes, params: bytes) -> None:
        self.told.append(("withdrew", pid, raw_id, params))

    def notified(
        self, backend: Backend, method: str, params: bytes, at: int, call: int = 0
    ) -> None:
        self.told.append(("notified", method, params))

    def done(self, errand: int) -> None:
        self.told.append(("done", errand))

    def adopted(self, backend: Backend, calls: list[v1.Call]) -> None:
        self.told.append(("adopted", [call.call for call in calls]))

    def frozen(self, backend: Backend, calls: list[int]) -> None:
        self.told.append(("frozen", calls))

    def lost(self, backend: Backend, calls: list[int], reason: str) -> None:
        if calls:
            self.told.append(("lost", calls, reason))

    def unread(self, backend: Backend, calls: list[int], reason: str) -> None:
        if calls:
            self.told.append(("unread", calls, reason))

    def unusable(self, backend: Backend, call: int, fault: str) -> None:
        self.told.append(("unusable", call))

    def unfinished(self, backend: Backend, call: int, reason: str, *, may_have_run: bool) -> None:
        self.told.append(("unfinished", call, reason, may_have_run))

    # ---- Watcher ------------------------------------------------------------------------------

    def learned(self, backend: Backend) -> None:
        self.learned_times += 1

    def changed(self, backend: Backend) -> None:
        if not self.states or self.states[-1] is not self.backend.state:
            self.states.append(self.backend.state)


S = TypeVar("S", bound=Audience)


@contextmanager
def stages(monkeypatch: pytest.MonkeyPatch, make: Callable[..., S]) -> Iterator[Callable[..., S]]:
    """A maker of stages that are closed in the end; back-offs take as long as they may."""
    monkeypatch.setattr(backoff.random, "uniform", lambda _low, high: high)
    made: list[S] = []

    def one(**settings: Any) -> S:
        made.append(make(monkeypatch, **settings))
        return made[-1]

    yield one
    for stage in made:
        stage.close()
