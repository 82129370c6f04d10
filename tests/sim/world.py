"""One simulated world: the core in the middle, a virtual clock, and everybody else played.

Effects are carried out as `relay_supervisor.main` does: those of one event wholly, then the events
they caused. After each event the core's state is held against the rules of `invariants`.
"""

import collections
import json
from collections.abc import Callable
from typing import Any

import msgspec

from relay_supervisor.core import effects, events
from relay_supervisor.core.relay import Relay
from relay_supervisor.core.state import State
from relay_supervisor.wire import cache, control_v1, handshake, v1
from tests.sim import invariants
from tests.sim.client import Client
from tests.sim.model import Child, Dice, Sent, Violation, Worker, must
from tests.unit.relay_supervisor.core.driver import BODY, IDENTITY

TRACE_LINES = 40
LATE_SECONDS_MAX = 0.5
"""How late a busy loop may come; later is `Overslept`."""

IMMEDIATE_MAX = 4
"""How often a deadline may lead to another at the same instant; a back-off may be nothing."""

# What the core may say about processes to a worker that is gone; the adapter skips it.
TO_THE_GONE = (v1.Spawned, v1.SpawnRefused, v1.Exited, v1.Retire)


class AnyVariant(dict[str, bytes]):
    """The same cache file for every kind of client."""

    def get(self, key: str, default: object = None) -> bytes:  # type: ignore[override]
        return cache.dump(cache.Snapshot("d0", "From the disk.", BODY))


class World:
    """Everything there is, from one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = Dice(seed)
        snapshots = AnyVariant() if self.dice.chance(0.5) else {}
        self.relay = Relay(IDENTITY, snapshots, str, seed + 1)
        self.now = 1000.0
        self.awake = 0.0
        self.ended: float | None = None
        """Seconds awake when the end was asked for."""
        self.exited = False
        self.client = Client(self)
        self.workers: dict[int, Worker] = {}
        self.children: dict[int, Child] = {}
        self.sent: dict[int, Sent] = {}
        self.trace: collections.deque[str] = collections.deque(maxlen=TRACE_LINES)
        self._pid = 5000
        self._connection = 0
        self._replies: list[tuple[int, bytes]] = []
        self._events: collections.deque[events.AnyEvent] = collections.deque()
        self._carry_out: dict[type, Callable[[Any], None]] = {
            effects.SendToClient: lambda e: self.client.read(b"".join(map(bytes, e.buffers))),
            effects.SendToWorker: self._send_to_worker,
            effects.SpawnWorker: self._spawn_worker,
            effects.ClosePipe: self._close_pipe,
            effects.SpawnBackend: self._spawn_backend,
            effects.CloseStdin: lambda e: self._wish(e.pid, 0.6, 0.4),
            effects.Signal: self._signal,
            effects.ReplyToControl: lambda e: self._replies.append((e.connection, e.line)),
            effects.LimitLines: lambda e: must(e.line_bytes_max > 0, "no line is let through"),
            effects.Log: lambda e: must(e.text, "an empty line in the log"),
            effects.Exit: self._exit,
        }

    @property
    def core(self) -> State:
        """The state of the core, for rules that look inside."""
        return self.relay.shared.state

    # ---- events -----------------------------------------------------------------------------

    def happen(self, event: events.AnyEvent) -> list[effects.AnyEffect]:
        """Let something happen, with all that follows from it; returns the first effects."""
        self._events.append(event)
        first: list[effects.AnyEffect] | None = None
        while self._events:
            current = self._events[0]
            self.trace.append(f"{self.now:12.3f} {str(current)[:300]}")
            wanted = self.relay.handle(current, self.now)
            first = wanted if first is None else first
            for effect in wanted:
                self._carry_out[type(effect)](effect)
            self._events.popleft()
        invariants.check(self)
        return first or []

    def frame(self, worker: Worker, message: v1.Message, payload: bytes = b"") -> None:
        """A worker sends a message."""
        self.happen(events.WorkerFrame(worker.generation, v1.encode(message), payload))

    def control(self) -> None:
        """relayctl asks, and gets exactly one answer at once."""
        self._connection += 1
        line = self.dice.pick((b'{"op":"status"}\n', b'{"op":"fly"}\n', b"{\n", b"\xff\n"))
        self.happen(events.ControlRequested(self._connection, line))
        replies, self._replies = self._replies, []
        must([c for c, _ in replies] == [self._connection], f"relayctl got {replies}")
        must(control_v1.decode_reply(replies[0][1]).done, "relayctl is left waiting")

    # ---- time -------------------------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        """Let time pass; deadlines are kept, some of them a little late, and children die."""
        until = self.now + seconds
        while not self.exited:
            deaths = [child.dies for child in self.children.values() if child.dies is not None]
            death = min(deaths, default=float("inf"))
            deadline = self.relay.next_deadline()
            due = float("inf") if deadline is None else deadline
            if min(death, due) > until:
                break
            self._move(max(0.0, min(death, due) - self.now))
            if death <= due:
                child = min(self.children.values(), key=lambda c: c.dies or float("inf"))
                self.die(child, self.dice.pick((0, 1, -9, -15)))
            else:
                if self.dice.chance(0.2):
                    self._move(self.dice.rng.random() * LATE_SECONDS_MAX)
                self._deadline()
        self._move(max(0.0, until - self.now))

    def oversleep(self, seconds: float) -> None:
        """Stop everything, as SIGSTOP or a suspended machine does."""
        deadline = self.relay.next_deadline()
        if deadline is None:
            self.now += seconds
            return
        self._move(max(0.0, deadline - self.now))
        late = self.now + seconds - deadline
        self.now += seconds
        self.happen(events.Overslept(late))
        self._deadline()

    def _move(self, seconds: float) -> None:
        self.now += seconds
        self.awake += seconds

    def _deadline(self) -> None:
        after: float | None = None
        for _ in range(IMMEDIATE_MAX):
            self.happen(events.DeadlinePassed())
            after = self.relay.next_deadline()
            if after is None or after > self.now or self.exited:
                return
        raise Violation(f"the deadline {after} is passed again and again")

    # ---- the end ----------------------------------------------------------------------------

    def end(self, event: events.AnyEvent) -> None:
        """Ask for the end: a closed stdin, a dead client or a signal."""
        self.ended = self.awake if self.ended is None else self.ended
        self.happen(event)

    def _exit(self, effect: effects.Exit) -> None:
        must(self.ended is not None, "it exits though nobody asked for it")
        self.exited = True
        left = [a for a in self.client.open.values() if a.method != "subscriptions/listen"]
        must(not left, f"it exits without an answer to {left}")

    # ---- children ---------------------------------------------------------------------------

    def die(self, child: Child, status: int) -> None:
        """A child is dead and reaped."""
        del self.children[child.pid]
        if not child.backend:
            self.workers[child.generation].open = False
        self.happen(events.ProcessExited(child.pid, status))

    def _new_pid(self) -> int:
        self._pid += 1
        return self._pid

    def _spawn_worker(self, effect: effects.SpawnWorker) -> None:
        number = effect.generation
        must(number not in self.workers, f"generation {number} is started twice")
        worker = self.workers[number] = Worker(number)
        if self.dice.chance(0.1):
            worker.open = False
            self._events.append(events.WorkerSpawnFailed(number, "no room"))
            return
        worker.pid = self._new_pid()
        self.children[worker.pid] = Child(worker.pid, number)
        self._events.append(events.WorkerSpawned(number, worker.pid))

    def _spawn_backend(self, effect: effects.SpawnBackend) -> None:
        wanted, number = effect.request, effect.generation
        must(wanted.token in self.workers[number].spawns, f"nobody asked for {wanted}")
        if self.dice.chance(0.15):
            failed = events.BackendSpawnFailed(number, wanted.token, wanted.backend, "no room")
            self._events.append(failed)
            return
        pid = self._new_pid()
        self.children[pid] = Child(pid, number, wanted.backend)
        self._events.append(events.BackendSpawned(number, wanted.token, wanted.backend, pid))

    def _close_pipe(self, effect: effects.ClosePipe) -> None:
        worker = self.workers[effect.generation]
        must(worker.phase != "lost", f"the pipe of {effect.generation} is closed twice")
        worker.phase, worker.open = "lost", False

    def _signal(self, effect: effects.Signal) -> None:
        must(effect.signal in {9, 15}, f"a strange signal: {effect}")
        share, seconds = (1.0, 0.05) if effect.signal == 9 else (0.7, 0.3)
        self._wish(effect.pid, share, seconds)

    def _wish(self, pid: int, share: float, seconds: float) -> None:
        """Somebody wants a child to end; with some chance it does, within some time."""
        child = self.children.get(pid)
        if child is None:
            raise Violation(f"process {pid} is none of ours, or dead and reaped")
        if self.dice.chance(share):
            dies = self.now + self.dice.rng.random() * seconds
            child.dies = dies if child.dies is None else min(dies, child.dies)

    # ---- messages to workers ------------------------------------------------------------------

    def _send_to_worker(self, effect: effects.SendToWorker) -> None:
        worker, message = self.workers[effect.generation], effect.message
        if not worker.open:
            # At the end nobody takes note any more of a worker that is gone; but no call is new.
            ending = self.relay.ending.pace is not None and not isinstance(message, v1.Call)
            skipped = isinstance(message, TO_THE_GONE) or ending
            must(skipped, f"{message} to a generation that is gone")
            return
        match message:
            case handshake.Hello():
                must(worker.phase == "new", f"called while {worker.phase}")
                worker.phase, worker.nonce = "called", message.nonce
            case v1.Configure():
                must(worker.phase == "welcomed", f"configured while {worker.phase}")
            case v1.Session():
                worker.introduced = True
            case v1.Call():
                self._take_call(worker, message, bytes(effect.payload))
            case v1.Cancel():
                must(message.call in worker.calls, f"{message} of no call under way there")
                del worker.calls[message.call]
            case v1.ClientAnswer():
                must(message.id in worker.asks, f"{message} to nothing it asked")
                must(worker.asks.pop(message.id) == message.pid, f"{message} to another process")
            case v1.Spawned() | v1.SpawnRefused():
                must(message.token in worker.spawns, f"{message} was not asked for")
                worker.spawns.discard(message.token)
            case v1.Retire():
                self._wish(worker.pid, 0.8, 0.3)
            case _:
                must(worker.phase == "configured", f"{message} while {worker.phase}")

    def _take_call(self, worker: Worker, message: v1.Call, payload: bytes) -> None:
        must(worker.introduced, "a call before the client is introduced")
        must(message.call not in self.sent, f"call {message.call} is carried out twice")
        must(message.call > max(self.sent, default=0), "call numbers go back")
        marker = json.loads(payload)["marker"]
        asked = [a for a in self.client.open.values() if a.marker == marker]
        must(len(asked) == 1, f"{message} is for no open request")
        must(message.method == asked[0].method, f"{message} is for {asked[0]}")
        must(message.era == (v1.MODERN if asked[0].modern else v1.LEGACY), f"{message}: era")
        sent = Sent(message.call, marker, worker.generation)
        self.sent[message.call] = worker.calls[message.call] = sent

    def welcome(self, worker: Worker, *, nonce: str) -> None:
        """A worker says its welcome."""
        frame = handshake.Welcome(1, "9.8", worker.generation, nonce, worker.pid)
        worker.phase = "welcomed"
        self.happen(events.WorkerFrame(worker.generation, msgspec.msgpack.encode(frame), b""))
