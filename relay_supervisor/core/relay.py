"""The relay as one machine without I/O: `handle(event, now)` returns what is to be done.

It joins the rooms of the core and holds the rules that couple them; nothing else changes state.
Time is an argument, in seconds of a monotonic clock.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Raw

from relay_supervisor.core import events, mcp, status
from relay_supervisor.core.asks import Asks
from relay_supervisor.core.backends import Backends
from relay_supervisor.core.calls import Calls
from relay_supervisor.core.client import Client
from relay_supervisor.core.effects import AnyEffect, LimitLines, ReplyToControl
from relay_supervisor.core.ending import Ending
from relay_supervisor.core.generation import GONE, Generation, Life, Step
from relay_supervisor.core.processes import Pace
from relay_supervisor.core.requests import Requests
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.workers import Identity
from relay_supervisor.errors import ProtocolError, RemoteProtocolError
from relay_supervisor.wire import cache, control_v1, v1
from relay_supervisor.wire.errors import UNDECODABLE


class Relay:
    """The supervisor's core: one client, its requests, the generations and the backends."""

    def __init__(
        self,
        identity: Identity,
        snapshots: Mapping[str, bytes],
        cache_path: Callable[[str], str],
        seed: int,
    ) -> None:
        """Begin with no worker and no client.

        Args:
            identity: what the relay knows of itself.
            snapshots: cache files read at the start, by the variant of their client.
            cache_path: gives the path of the cache file for a variant.
            seed: for nonces and back-off, not 0; the same seed gives the same run.
        """
        self.shared = shared = Shared(identity, seed)
        self.requests = Requests(shared)
        self.calls = Calls(shared, self.requests)
        self.asks = Asks(shared)
        self.backends = Backends(shared)
        self.client = Client(shared, self.requests, self.calls, self.asks, self._meet)
        self.ending = Ending(shared, self.calls.abandon)
        self._snapshots = snapshots
        self._cache_path = cache_path
        self._variant = ""
        self._events = self._event_table()
        self._messages = self._message_table()
        self._deadlines = self._deadline_table()

    def handle(self, event: events.AnyEvent, now: float) -> list[AnyEffect]:
        """Take in what happened and return what is to be done, in this order."""
        self._events[type(event)](event, now)
        self.ending.check(now)
        return self.shared.out.take()

    def next_deadline(self) -> float | None:
        """Return when `DeadlinePassed` is due, None for never."""
        return self.shared.timers.earliest()

    # ---- tables -----------------------------------------------------------------------------

    def _event_table(self) -> dict[type, Callable[[Any, float], None]]:
        return {
            events.Started: self._start,
            events.ClientLine: lambda e, now: self.client.line(e.line, now),
            events.ClientLineTooLong: lambda e, now: self.client.line_too_long(e.limit),
            events.ClientClosed: lambda e, now: self.ending.client_closed(now),
            events.ClientGone: lambda e, now: self.ending.begin(Pace.HURRIED, now),
            events.WorkerSpawned: self._worker_spawned,
            events.WorkerSpawnFailed: lambda e, now: self._lose(e.generation, e.reason, now),
            events.WorkerFrame: self._worker_frame,
            events.WorkerPipeFailed: lambda e, now: self._lose(e.generation, e.reason, now),
            events.BackendSpawned: lambda e, now: self.backends.spawned(e, self.ending.pace, now),
            events.BackendSpawnFailed: lambda e, now: self.backends.spawn_failed(e),
            events.ProcessExited: self._exited,
            events.ControlRequested: self._control,
            events.StopRequested: lambda e, now: self.ending.signalled(now),
            events.Overslept: lambda e, now: self._overslept(e.seconds),
            events.DeadlinePassed: self._deadline_passed,
        }

    def _message_table(self) -> dict[type, Callable[[Generation, Any, bytes, float], None]]:
        shared = self.shared
        return {
            v1.Routed: lambda g, m, p, now: self.calls.routed(g.number, m, now),
            v1.Reply: lambda g, m, p, now: self.calls.reply(g.number, m, p, now),
            v1.Progress: lambda g, m, p, now: self.calls.progress(g.number, m, p),
            v1.Notification: lambda g, m, p, now: self.client.notify(m, p),
            v1.BackendRequest: lambda g, m, p, now: self.asks.ask(g.number, m, p),
            v1.BackendCancel: lambda g, m, p, now: self.asks.withdraw(m, p),
            v1.Configured: self._configured,
            v1.Catalogue: self._catalogue,
            v1.LearnedLists: lambda g, m, p, now: shared.registry.learn(m, p),
            v1.Spawn: lambda g, m, p, now: self.backends.spawn(g, m),
            v1.StopBackend: lambda g, m, p, now: self.backends.stop(g, m, now),
            v1.BackendState: lambda g, m, p, now: self.backends.reported(g, m),
            v1.StatusRequest: self._status_request,
            v1.Ready: self._ready,
            v1.Pong: lambda g, m, p, now: None,
            v1.Unknown: lambda g, m, p, now: shared.out.log("debug", f"unknown message {m.tag}"),
        }

    def _deadline_table(self) -> dict[str, Callable[[str, float], None]]:
        return {
            "process": lambda pid, now: self.shared.processes.climb(int(pid), now),
            "worker": self._worker_late,
            "respawn": lambda _, now: self._respawn(now),
            "first lists": lambda _, now: self._first_lists_waited(),
            "greeting": lambda _, now: self.client.greet_waiting(),
            "changed": lambda _, now: self.client.announce(),
            "held": lambda _, now: self.calls.expire_held(now),
            "calls": lambda _, now: self.calls.expire_calls(now),
            "last answers": lambda _, now: self.ending.begin(Pace.HURRIED, now),
            "stop": lambda _, now: self.ending.exit(),
        }

    def _deadline_passed(self, event: events.DeadlinePassed, now: float) -> None:
        for name in self.shared.timers.due(now):
            room, _, number = name.partition("#")
            self._deadlines[room](number, now)

    def _overslept(self, seconds: float) -> None:
        self.shared.timers.postpone(seconds)
        if (met := self.shared.state.peer.met) is not None:
            self.shared.state.peer.met = met + seconds
        self.calls.postpone(seconds)

    # ---- the client -------------------------------------------------------------------------

    def _meet(self, era: int, protocol: str, params: bytes, now: float) -> None:
        """Learn who the client is: recall its lists, and let the worker connect the backends."""
        peer, registry = self.shared.state.peer, self.shared.registry
        # Nested as deep as can just be read in one place, it may be too deep in another.
        members = mcp.members_or_none(Raw(params)) or {}
        info = mcp.members_or_none(members.get("clientInfo")) or {}
        capabilities = members.get("capabilities", Raw(b"{}"))
        peer.era, peer.protocol, peer.params = era, protocol, params
        peer.name = mcp.string(info.get("name")) or "unknown"
        peer.version = mcp.string(info.get("version")) or ""
        peer.capabilities = list(mcp.members_or_none(capabilities) or {})
        self._variant = cache.key(b"%d" % era, protocol.encode(), bytes(capabilities))
        data = self._snapshots.get(self._variant)
        if registry.body is None and data and (snapshot := cache.load(data)) is not None:
            registry.recall(snapshot)
        if peer.met is None:  # a second handshake makes nobody wait longer
            peer.met = now
        self._await_first_lists()
        if (active := self.shared.workers.active()) is not None:
            self._introduce(active)

    def _introduce(self, generation: Generation) -> None:
        """Tell a worker who the client is, and all that its predecessors knew."""
        peer, worker = self.shared.state.peer, self.shared.out.worker
        if peer.era is None:
            return
        for lists in self.shared.registry.lists.values():
            message = v1.KnownLists(lists.backend, lists.spec_hash)
            worker(generation.number, message, lists.payload)
        path = self._cache_path(self._variant)
        session = v1.Session(peer.era, peer.protocol, path, peer.log_level)
        worker(generation.number, session, peer.params)
        if uris := self.client.subscriptions():
            worker(generation.number, v1.Subscriptions(uris))

    def _await_first_lists(self) -> None:
        met = self.shared.state.peer.met
        if met is not None and not self.shared.registry.servable:
            wait = self.shared.state.limits.first_list_wait_seconds
            self.shared.timers.set("first lists", met + wait)

    def _first_lists_waited(self) -> None:
        self.shared.registry.servable = True
        self.client.list_waiting()

    # ---- workers ----------------------------------------------------------------------------

    def _start(self, event: events.Started, now: float) -> None:
        self.shared.state.started = now
        self.shared.workers.spawn(now)

    def _respawn(self, now: float) -> None:
        if self.ending.pace is None:
            self.shared.workers.spawn(now)

    def _worker_spawned(self, event: events.WorkerSpawned, now: float) -> None:
        self.shared.processes.add(event.pid, event.generation)
        if self.ending.pace is not None:
            self.shared.processes.end(event.pid, self.ending.pace, now)
            return
        self.shared.workers.spawned(event.generation, event.pid, now)

    def _worker_frame(self, event: events.WorkerFrame, now: float) -> None:
        generation = self.shared.workers.state.generations.get(event.generation)
        if generation is None or generation.state in GONE:
            return  # what it still had in the pipe when it was given up
        try:
            if generation.state is Life.HANDSHAKING:
                self.shared.workers.welcomed(generation, event.header, now)
            else:
                message = v1.decode_to_supervisor(event.header)
                self._messages[type(message)](generation, message, event.payload, now)
        except (ProtocolError, *UNDECODABLE) as error:
            self._lose(generation.number, str(error), now)

    def _configured(
        self, generation: Generation, message: v1.Configured, payload: bytes, now: float
    ) -> None:
        state, out = self.shared.state, self.shared.out
        state.limits = message.limits
        state.problems, state.broken = message.problems, message.broken
        out.put(LimitLines(message.limits.frame_bytes_max))
        if "first lists" in self.shared.timers.at:
            self._await_first_lists()  # until now with the limit that is the default
        self.backends.configured(message.backends)
        self.shared.registry.instructions = payload.decode(errors="replace")
        self.client.greet_waiting()
        if self.shared.workers.active() is None:
            self.shared.workers.promote(generation, now)
            self._introduce(generation)
            self.calls.release(now)

    def _ready(self, generation: Generation, message: v1.Ready, payload: bytes, now: float) -> None:
        if (message.generation, message.nonce) != (generation.number, generation.nonce):
            raise RemoteProtocolError("it reports another generation ready")
        generation.advance(Step.REPORTED_READY)

    def _catalogue(
        self, generation: Generation, message: v1.Catalogue, payload: bytes, now: float
    ) -> None:
        if self.shared.registry.update(message, payload):
            self.client.changed(now)
        if self.shared.registry.servable:
            self.shared.timers.clear("first lists")
            self.client.list_waiting()

    def _worker_late(self, number: str, now: float) -> None:
        generation = self.shared.workers.state.generations[int(number)]
        self._lose(generation.number, f"it was {generation.state.value} for too long", now)

    def _lose(self, number: int, reason: str, now: float) -> None:
        """A worker cannot go on: answer for it, end its backends and itself, start another."""
        workers = self.shared.workers
        generation = workers.state.generations.get(number)
        if generation is None or generation.state in GONE or self.ending.pace is not None:
            return
        workers.fail(generation, reason)
        self.calls.lose_generation(number)
        self.asks.lose(generation=number)
        self.backends.lost(number, now)
        if generation.pid is None:
            workers.forget(number)
        else:
            self.shared.processes.end(generation.pid, Pace.AT_ONCE, now)
        workers.respawn_later(now)

    def _exited(self, event: events.ProcessExited, now: float) -> None:
        process = self.shared.processes.exited(event.pid)
        if process is None:
            return  # an orphan of a backend's, adopted and now reaped
        if process.backend:
            self.asks.lose(pid=process.pid)
            gone = v1.Exited(process.backend, process.pid, event.status)
            self.shared.out.worker(process.generation, gone)
        else:
            how = _how_it_ended(event.status)
            self.shared.out.log("debug", f"worker of generation {process.generation}: {how}")
            self._lose(process.generation, how, now)
            self.shared.workers.forget(process.generation)

    # ---- status -----------------------------------------------------------------------------

    def _status_request(
        self, generation: Generation, message: v1.StatusRequest, payload: bytes, now: float
    ) -> None:
        reply = v1.StatusReply(message.token)
        self.shared.out.worker(generation.number, reply, status.instance(self.shared, now))

    def _control(self, event: events.ControlRequested, now: float) -> None:
        request = control_v1.decode_request(event.line)
        if isinstance(request, control_v1.Failure):
            reply = control_v1.Reply(True, error=request)
        elif request.op == "status":
            reply = control_v1.Reply(True, Raw(status.instance(self.shared, now)))
        else:
            build = self.shared.workers.identity.build
            text = f"this relay (version {build}) knows no operation {request.op!r}"
            reply = control_v1.Reply(True, error=control_v1.Failure("unknown_op", text))
        self.shared.out.put(ReplyToControl(event.connection, control_v1.encode(reply)))


def _how_it_ended(status_code: int) -> str:
    if status_code < 0:
        return f"it was ended by signal {-status_code}"
    return f"it exited with status {status_code}"
