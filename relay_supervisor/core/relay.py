"""The relay as one machine without I/O: `handle(event, now)` returns what is to be done.

It joins the rooms of the core and holds the rules that couple them; nothing else changes state.
Time is an argument, in seconds of a monotonic clock.
"""

from collections.abc import Callable
from typing import Any, Final, Self

from relay_supervisor.core import events, memory
from relay_supervisor.core.asks import Asks
from relay_supervisor.core.calls import Calls
from relay_supervisor.core.charges import Charges
from relay_supervisor.core.client import Client
from relay_supervisor.core.custody import Custody
from relay_supervisor.core.drains import Drains
from relay_supervisor.core.effects import AnyEffect
from relay_supervisor.core.ending import Ending
from relay_supervisor.core.errands import Errands
from relay_supervisor.core.estate import Estate
from relay_supervisor.core.generation import (
    ACTIVE,
    FAILED,
    GONE,
    HANDSHAKING,
    RETIRED,
    Generation,
    Life,
)
from relay_supervisor.core.heartbeat import Heartbeat
from relay_supervisor.core.last_words import LAST_WORDS
from relay_supervisor.core.memory import Memory
from relay_supervisor.core.orders import Orders
from relay_supervisor.core.parking import Parking
from relay_supervisor.core.processes import Pace
from relay_supervisor.core.recovery import Recovery
from relay_supervisor.core.reexec import Reexec
from relay_supervisor.core.reports import Reports
from relay_supervisor.core.requests import Requests
from relay_supervisor.core.serving import Serving
from relay_supervisor.core.session import Session
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.straight import Straight
from relay_supervisor.core.swaps import Swaps
from relay_supervisor.core.workers import how_it_ended
from relay_supervisor.errors import ProtocolError
from relay_supervisor.wire import v1
from relay_supervisor.wire.errors import UNDECODABLE

EXIT_SECONDS_MAX: Final = 0.5
"""So long the news of a worker's exit may follow the end of its pipe; it says why."""

SAID: Final = ("worker", "freeze", "adopt", "candidate", "checks")
"""Deadlines by which a worker has to say something. None is late while nobody listens to it."""

UNREAD_SECONDS: Final = 5.0
"""By so much these move while the workers are not read, as the client does not read us."""


class Relay:
    """The supervisor's core: one client, its requests, the generations and the backends."""

    def __init__(self, known: Memory, cache_path: Callable[[bytes, str], str]) -> None:
        """Go on from what is *known*; for a new relay see `memory.begin`. *cache_path* gives the
        path of the cache file for a configuration's bytes and a client's variant.
        """
        self.shared = shared = Shared(known)
        self.requests = Requests(shared)
        self.recovery = Recovery(shared)
        self.charges = Charges(shared.state.charges)
        self.errands = Errands(shared, self.charges)
        self.calls = Calls(shared, self.requests, self.errands, self.recovery)
        self.asks = Asks(shared, self.errands)
        self.estate = Estate(shared, self.calls)
        self.custody = Custody(
            *(shared, self.estate, self.asks, self.errands, self.charges), lose=self._lose
        )
        self.session = Session(shared, cache_path)
        self.parking = Parking(shared, self.requests, self.calls, self.asks, self.errands)
        self.client = Client(
            *(shared, self.requests, self.calls, self.asks, self.parking), meet=self.session.meet
        )
        self.serving = Serving(
            shared, self.session, self.client, self.calls, self.custody, self.recovery
        )
        self.backends = self.serving.backends
        self.drains = Drains(shared, self.calls, self.asks, self.errands, self.custody)
        self.swaps = Swaps(
            shared,
            self.drains,
            self.custody,
            self.recovery,
            serve=self.serving.serve,
            give_up=self._give_up,
        )
        self.reports = Reports(
            shared, self.session, self.serving, self.custody, self.swaps, self.recovery
        )
        self.heartbeat = Heartbeat(shared, self._lose)
        self.ending = Ending(shared, self.calls.abandon)
        self.reexec = Reexec(shared)
        self.orders = Orders(shared, self.swaps, self.recovery, self.reexec, self.ending)
        self._straight = Straight(shared, self.calls, self.recovery)
        self.next_deadline = shared.timers.earliest
        """Returns when `DeadlinePassed` is due, None for never."""
        self._events = self._event_table()
        self._messages = self._message_table()
        self._deadlines = self._deadline_table()

    @classmethod
    def resume(
        cls, data: bytes, build: str, python: str, cache_path: Callable[[bytes, str], str]
    ) -> Self:
        """Go on from what another process image, maybe an older one, has written by `export`; this
        one is of *build* and runs on *python*.

        Raises:
            StateRefused: it cannot be read; nobody may go on as if nothing had been.
        """
        return cls(memory.load(data, build, python), cache_path)

    def export(self) -> bytes:
        """Return all there is to know, between two events."""
        return memory.dump(self.shared.memory)

    def handle(self, event: events.AnyEvent, now: float) -> list[AnyEffect]:
        """Take in what happened and return what is to be done, in this order."""
        kind = type(event)
        way = self._straight.ways.get(kind)
        if way is not None and (effect := way(event, now)) is not None:
            return [effect]
        self._straight.ways = {}  # should this fail half way, nobody knows where they lead
        self._events[kind](event, now)
        shared = self.shared
        if "heartbeat" not in shared.timers.at or not shared.memory.calm:
            self._follow_up(now)
        self._straight.look()
        return shared.out.take()

    def _follow_up(self, now: float) -> None:
        """After each event, but for what only carries a call: see what has become of the rest."""
        if self.ending.pace is None:
            self.custody.check(now)
            self.client.notices.tell()
            if self.swaps.probation is not None:
                self.swaps.trial.go_on(now)
            if self.drains.open:
                self.drains.check(now)
        if self.ending.near:
            self.ending.check(now)  # these may have answered the last that was open
        if self.ending.pace is None:
            self.swaps.go_on(now)
        else:
            self.swaps.interrupt(now)
            self.reexec.interrupt(now)
        if "heartbeat" not in self.shared.timers.at and self._busy():
            self.heartbeat.begin(now)

    # ---- tables -----------------------------------------------------------------------------

    def _event_table(self) -> dict[type, Callable[[Any, float], None]]:
        return {
            events.Started: self._start,
            events.ClientLine: self.client.line,
            events.ClientLineTooLong: lambda e, now: self.client.line_too_long(e.limit),
            events.ClientClosed: lambda e, now: self.ending.client_closed(now),
            events.ClientGone: lambda e, now: self.ending.begin(Pace.HURRIED, now),
            events.WorkerSpawned: self._worker_spawned,
            events.WorkerSpawnFailed: lambda e, now: self._lose(e.generation, e.reason, now),
            events.WorkerFrame: self._worker_frame,
            events.WorkerPipeClosed: lambda e, now: self.shared.timers.set(
                f"closed#{e.generation}", now + EXIT_SECONDS_MAX
            ),
            events.WorkerPipeFailed: lambda e, now: self._lose(e.generation, e.reason, now),
            events.BackendSpawned: lambda e, now: self.backends.spawned(e, self.ending.pace, now),
            events.BackendSpawnFailed: lambda e, now: self.backends.spawn_failed(e),
            events.ProcessExited: self._exited,
            events.ControlRequested: self.orders.take,
            events.WorkersUnread: lambda e, now: self.heartbeat.unread(unread=e.unread),
            events.StopRequested: lambda e, now: self.ending.signalled(now),
            events.SupervisorChecked: self.reexec.checked,
            events.SupervisorReplaced: self.reexec.replaced,
            events.SupervisorStayed: self.reexec.stayed,
            events.Overslept: lambda e, now: self._overslept(e.seconds),
            events.DeadlinePassed: self._deadline_passed,
        }

    def _message_table(self) -> dict[type, Callable[[Generation, Any, bytes, float], None]]:
        shared = self.shared
        return {
            v1.Routed: lambda g, m, p, now: self.calls.routed(g.number, m, now),
            v1.Reply: self._reply,
            v1.Progress: self._progress,
            v1.BackendRequest: self._backend_request,
            v1.BackendCancel: lambda g, m, p, now: self.asks.withdraw(m, p),
            v1.Spawn: lambda g, m, p, now: self.backends.spawn(g, m),
            v1.StopBackend: lambda g, m, p, now: self.backends.stop(g, m, now),
            v1.Frozen: lambda g, m, p, now: self.custody.frozen(g, m, p),
            v1.Returned: lambda g, m, p, now: self.estate.returned(g.number, m, now),
            v1.Adopted: lambda g, m, p, now: self.custody.adopted(g, m, now),
            v1.Joined: lambda g, m, p, now: self.custody.joined(g, m, p),
            v1.Begun: lambda g, m, p, now: self.estate.begun(g.number, m),
            v1.Done: lambda g, m, p, now: self.errands.done(g.number, m),
            v1.StatusRequest: self._status_request,
            v1.Pong: lambda g, m, p, now: self.heartbeat.answered(g),
            **self.reports.handlers,
            v1.Unknown: lambda g, m, p, now: shared.out.log("debug", f"unknown message {m.tag}"),
        }

    def _deadline_table(self) -> dict[str, Callable[[str, float], None]]:
        return {
            "process": lambda pid, now: self.shared.processes.climb(int(pid), now),
            "worker": self._worker_late,
            "closed": lambda number, now: self._lose(int(number), "it closed its pipe", now),
            "freeze": lambda number, now: self.custody.freeze_late(int(number), now),
            "adopt": lambda pid, now: self.custody.adopt_late(int(pid), now),
            "respawn": lambda _, now: self._respawn(now),
            "steady": lambda _, now: self.recovery.steady(),
            "heartbeat": lambda _, now: self.heartbeat.beat(needed=self._busy(), now=now),
            "candidate": lambda _, now: self.swaps.candidate_late(now),
            "self-check": lambda _, now: self.reexec.late(now),
            "probation": lambda _, now: self.swaps.trial.over(now),
            "checks": lambda _, now: self.swaps.trial.checks_late(now),
            "drain": lambda number, now: self.drains.overdue(int(number)),
            "drain_max": lambda number, now: self.drains.cut_off(int(number)),
            "first lists": lambda _, now: self._first_lists_waited(),
            "greeting": lambda _, now: self.client.greet_waiting(),
            "changed": lambda _, now: self.client.news.announce(),
            "held": lambda _, now: self.calls.expire_held(now),
            "calls": lambda _, now: self.calls.expire_calls(now),
            "parked": lambda ticket, now: self.parking.due(int(ticket), now),
            "last answers": lambda _, now: self.ending.begin(Pace.HURRIED, now),
            "stop": lambda _, now: self.ending.exit(),
        }

    def _deadline_passed(self, event: events.DeadlinePassed, now: float) -> None:
        for name in self.shared.timers.due(now):
            room, _, number = name.partition("#")
            if room in SAID and self.heartbeat.deaf:
                self.shared.timers.set(name, now + UNREAD_SECONDS)
            else:
                self._deadlines[room](number, now)

    def _overslept(self, seconds: float) -> None:
        self.shared.timers.postpone(seconds)
        if (met := self.shared.state.peer.met) is not None:
            self.shared.state.peer.met = met + seconds
        self.heartbeat.forgive()
        self.calls.postpone(seconds)

    # ---- the client -------------------------------------------------------------------------

    def _first_lists_waited(self) -> None:
        self.shared.registry.servable = True
        self.client.list_waiting()

    # ---- workers ----------------------------------------------------------------------------

    def _start(self, event: events.Started, now: float) -> None:
        self.shared.state.started = now
        self.recovery.respawn(now)
        me = self.shared.workers.identity
        self.shared.out.journal("started", build=me.build)
        text = f"relay {me.instance} (version {me.build}, pid {me.pid}) starts: {me.config_path}"
        self.shared.out.log("info", text)

    def _respawn(self, now: float) -> None:
        if self.ending.pace is None and self.shared.workers.nobody():
            self.recovery.respawn(now)

    def _busy(self) -> bool:
        return bool(self.shared.state.calls) or self.swaps.open

    def _worker_spawned(self, event: events.WorkerSpawned, now: float) -> None:
        self.shared.processes.add(event.pid, event.generation, pidfd=event.pidfd)
        if self.ending.pace is not None:
            self.shared.processes.end(event.pid, self.ending.pace, now)
            return
        self.shared.workers.spawned(event.generation, event.pid, now)
        self.swaps.spawned(event.generation, now)

    def _worker_frame(self, event: events.WorkerFrame, now: float) -> None:
        generation = self.shared.workers.state.generations.get(event.generation)
        if generation is None or (state := generation.state) is RETIRED:
            return  # what it still had to say when it was let go
        try:
            ending = self.ending.pace is not None
            if state is FAILED or ending:
                message = v1.decode_to_supervisor(event.header)
                lasting = generation.offer.adopts and not ending
                if isinstance(message, LAST_WORDS if lasting else v1.Reply):
                    self._messages[type(message)](generation, message, event.payload, now)
            elif state is HANDSHAKING:
                self.shared.workers.welcomed(generation, event.header, now)
                self.swaps.welcomed(generation, now)
            else:
                message = v1.decode_to_supervisor(event.header)
                self._messages[type(message)](generation, message, event.payload, now)
        except (ProtocolError, *UNDECODABLE) as error:
            self._lose(generation.number, str(error), now)

    def _reply(self, generation: Generation, message: v1.Reply, payload: bytes, now: float) -> None:
        if self.calls.reply(generation.number, message, payload, now):
            if self.shared.memory.swaps.probation is not None:
                self.swaps.trial.answered(generation.number, message.outcome, now)
            if self.recovery.recovering and generation.state is ACTIVE:
                self.recovery.answered()

    def _progress(
        self, generation: Generation, message: v1.Progress, payload: bytes, now: float
    ) -> None:
        if self.charges.is_news(message.pid, message.at):
            self.calls.progress(generation.number, message, payload, now)

    def _backend_request(
        self, generation: Generation, message: v1.BackendRequest, payload: bytes, now: float
    ) -> None:
        news = self.charges.is_news(message.pid, message.at)
        if news and not self.charges.is_dead(message.pid):
            parked = self.parking.asked(generation.number, message, payload, now)
            if not parked:
                self.asks.ask(generation.number, message, payload)

    def _worker_late(self, number: str, now: float) -> None:
        generation = self.shared.workers.state.generations[int(number)]
        self._lose(generation.number, f"it was {generation.state.value} for too long", now)

    def _give_up(self, number: int, reason: str, now: float) -> None:
        """End a generation at once. Its calls are decided on when its death is proven."""
        generation = self.shared.workers.state.generations.get(number)
        if generation is None or generation.state in GONE:
            return
        self.shared.workers.fail(generation, reason)
        if self.shared.workers.state.active is None:
            self.shared.state.worker_trouble = f"the worker failed: {reason}"
        if not generation.offer.adopts:
            self.asks.lose(generation=number)
        self.backends.lost(number, now)
        self.drains.gone(number)
        if generation.pid is None:
            self._settle(number, events.ProcessExited(0, 0, {}), now)
        else:
            self.shared.processes.end(generation.pid, Pace.AT_ONCE, now)

    def _lose(self, number: int, reason: str, now: float) -> None:
        """A worker cannot go on: end it, and see to it that somebody serves."""
        generation = self.shared.workers.state.generations.get(number)
        if generation is None or generation.state in GONE or self.ending.pace is not None:
            return
        was = generation.state
        self._give_up(number, reason, now)
        served = self.swaps.lost(generation, reason, now)
        if not served and was not in (Life.STANDBY, Life.DRAINING):
            self.recovery.died(now)

    def _exited(self, event: events.ProcessExited, now: float) -> None:
        process = self.shared.processes.exited(event.pid)
        if process is None:
            return  # an orphan of a backend's, adopted and now reaped
        if process.backend:
            self.asks.lose(pid=process.pid)
            if self.custody.exited(process, event.status):
                gone = v1.Exited(process.backend, process.pid, event.status)
                self.shared.out.worker(process.generation, gone)
        else:
            self.shared.timers.clear(f"closed#{process.generation}")
            how = how_it_ended(event)
            self.shared.out.log("debug", f"worker of generation {process.generation}: {how}")
            self._lose(process.generation, how, now)
            self._settle(process.generation, event, now)

    def _settle(self, number: int, event: events.ProcessExited, now: float) -> None:
        """A generation is dead beyond doubt: nothing is left but to answer for it."""
        generation = self.shared.workers.state.generations.get(number)
        if self.ending.pace is None:
            going_on = self.custody.holder_dead(number, event.stages, event.records)
            self.asks.lose(generation=number)
            losses = self.estate.settle(number, event.stages, event.records, going_on, now)
            self.custody.end_unusable(now)
            if generation is not None and generation.state is Life.FAILED:
                # Not by which signal it was ended in the end, but why.
                how = generation.failure
                self.shared.out.journal("worker_died", generation=number, how=how, calls=losses)
        self.shared.workers.forget(number)

    def _status_request(
        self, generation: Generation, message: v1.StatusRequest, payload: bytes, now: float
    ) -> None:
        reply = v1.StatusReply(message.token)
        self.shared.out.worker(generation.number, reply, self.orders.status(now))
