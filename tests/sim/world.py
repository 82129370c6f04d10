"""One simulated world: the core in the middle, a virtual clock, and everybody else played.

Effects are carried out as `relay_supervisor.main` does: those of one event wholly, then the events
they caused. After each event the core's state is held against the rules of `invariants`.
"""

import collections
from collections.abc import Callable
from typing import Any

import msgspec

from relay_supervisor.core import effects, events, memory
from relay_supervisor.core.generation import Source
from relay_supervisor.core.relay import Relay
from relay_supervisor.core.state import State
from relay_supervisor.wire import cache, handshake, v1
from relay_supervisor.wire.mailbox import Record
from tests.sim import invariants
from tests.sim.client import Client
from tests.sim.deathbed import Deathbed
from tests.sim.keeper import Keeper
from tests.sim.model import Child, Dice, Sent, Violation, Worker, must
from tests.sim.pipe import Pipe
from tests.sim.relayctl import Relayctl
from tests.sim.remote import Remote
from tests.sim.server import Server
from tests.sim.setup import Disk, Setup
from tests.sim.upgrade import Upgrade
from tests.sim.watch import Watch
from tests.unit.relay_supervisor.core.driver import IDENTITY

TRACE_LINES = 40
LATE_SECONDS_MAX = 0.5
"""How late a busy loop may come; later is `Overslept`."""

IMMEDIATE_MAX = 4
"""How often a deadline may lead to another at the same instant; a back-off may be nothing."""


class AnyVariant(dict[str, bytes]):
    """The same cache file for every kind of client."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        body = setup.body({"files", "slow"})
        self._data = cache.dump(cache.Snapshot("d0", "From the disk.", body))

    def get(self, key: str, default: object = None) -> bytes:  # type: ignore[override]
        return self._data


def cache_path(configuration: bytes, variant: str) -> str:
    """Where the cache file would be."""
    return variant


class World:
    """Everything there is, from one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = Dice(seed)
        self.disk = Disk(self.dice.rng)
        self.seen: collections.Counter[str] = collections.Counter()
        """What has happened that does not happen in every world."""
        first = self.disk.setup("/python", None)
        config = first.config if self.dice.chance(0.7) else None
        snapshots = AnyVariant(first) if self.dice.chance(0.5) else {}
        self._snapshots = snapshots
        known = memory.begin(
            IDENTITY, snapshots, seed + 1, Source("/python", "", config), b"%d" % seed
        )
        self.relay = Relay(known, cache_path)
        self.reexec_often = self.dice.pick((0.0, 0.0, 0.02, 0.3))
        """How often the code is replaced between two events, with nobody having asked for it."""
        self.now, self.awake = 1000.0, 0.0
        self.ended: float | None = None
        """Seconds awake when the end was asked for."""
        self.exited = False
        self.streams = self.dice.chance(0.4)
        """Backends say in which call they ask."""
        self.unread = False
        """The relay does not read what workers say."""
        self.unread_until = -1.0
        """When workers were last left unread, in seconds awake: nobody was late then."""
        self.spawn_failures = self.dice.pick((0.0, 0.0, 0.05, 0.5))
        self.client = Client(self)
        self.relayctl = Relayctl(self)
        self.watch = Watch(self)
        self.upgrade = Upgrade(self)
        self.remote = Remote(self)
        self.pipe = Pipe(self)
        self.workers: dict[int, Worker] = {}
        self.children: dict[int, Child] = {}
        self.keepers: dict[int, Keeper] = {}
        """Of the workers that take backends over, by generation."""
        self.servers: dict[int, Server] = {}
        """Their backends' processes, the dead ones too, by pid."""
        self.pipes: set[int] = set()
        """Processes of backends whose pipes the supervisor still has."""
        self.ran: collections.Counter[int] = collections.Counter()
        """How often each call was carried out, by its marker."""
        self.repeatable: set[int] = set()
        """Markers of calls that may be carried out twice."""
        self.sent: dict[int, Sent] = {}
        self.attempts: dict[int, list[Sent]] = {}
        """Calls by the marker of their request, oldest first."""
        self.trace: collections.deque[tuple[float, object]] = collections.deque(maxlen=TRACE_LINES)
        self._pid = 5000
        self.queue: collections.deque[events.AnyEvent] = collections.deque()
        self._carry_out = self._effect_table()

    def _effect_table(self) -> dict[type, Callable[[Any], None]]:
        return {
            effects.SendToClient: lambda e: self.client.read(b"".join(map(bytes, e.buffers))),
            effects.SendToWorker: self.pipe.deliver,
            effects.SpawnWorker: self._spawn_worker,
            effects.ClosePipe: self._close_pipe,
            effects.SpawnBackend: self._spawn_backend,
            effects.GiveBackend: self.pipe.give,
            effects.TendStderr: self._tend_stderr,
            effects.ReleasePipes: self._release_pipes,
            effects.CloseStdin: self._close_stdin,
            effects.Signal: self._signal,
            effects.ReplyToControl: self.relayctl.read,
            effects.Journal: self.watch.book.journal,
            effects.CheckSupervisor: self.upgrade.check,
            effects.StopCheck: self.upgrade.stop_check,
            effects.ReplaceSupervisor: self.upgrade.replace,
            effects.LimitLines: lambda e: must(e.line_bytes_max > 0, "no line is let through"),
            effects.Log: self.watch.book.log,
            effects.Exit: self._exit,
        }

    @property
    def core(self) -> State:
        """The state of the core, for rules that look inside."""
        return self.relay.shared.state

    # ---- events -----------------------------------------------------------------------------

    def happen(self, event: events.AnyEvent) -> list[effects.AnyEffect]:
        """Let something happen, with all that follows from it; returns the first effects."""
        self.queue.append(event)
        first: list[effects.AnyEffect] | None = None
        while self.queue:
            current = self.queue[0]
            self.trace.append((self.now, current))
            if self.dice.chance(self.reexec_often):
                self.reexec()
            self.watch.before()
            wanted = self.relay.handle(current, self.now)
            self.watch.nothing_is_left_to_do()
            first = wanted if first is None else first
            for effect in wanted:
                self._carry_out[type(effect)](effect)
            self.watch.after(current)
            self.queue.popleft()
            if not self.queue:
                self.upgrade.at_the_end_of_a_turn()
        invariants.check(self)
        self.client.check_unknown()
        return first or []

    def reexec(self, build: str = IDENTITY.build) -> None:
        """Replace the code: the state is written, and a core made of it that knows nothing else."""
        written = self.relay.export()
        self.relay = Relay.resume(written, build, IDENTITY.python, cache_path)
        # The same for every client, which nobody can write down.
        self.relay.shared.memory.session.snapshots = self._snapshots

    def turn(self) -> None:
        """A turn of the loop in which nothing happens but what was left for its end."""
        self.upgrade.at_the_end_of_a_turn()
        if self.queue:
            self.happen(self.queue.popleft())

    def frame(self, worker: Worker, message: v1.Message, payload: bytes = b"") -> None:
        """A worker sends a message; one of a newer release may have more in it."""
        header = v1.encode(message)
        if self.dice.chance(0.03):
            header = msgspec.msgpack.encode([*msgspec.msgpack.decode(header), "newer", {"a": 1}])
        self.happen(events.WorkerFrame(worker.generation, header, payload))

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
        self.watch.forgive()
        self.happen(events.Overslept(late))
        self._deadline()

    def _move(self, seconds: float) -> None:
        self.now += seconds
        self.awake += seconds
        if self.unread:
            self.unread_until = self.awake

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

    def die(self, child: Child, status: int) -> object:
        """A child is dead and reaped, and of a worker the ledger is read."""
        del self.children[child.pid]
        if child.backend:
            if (server := self.servers.get(child.pid)) is not None:
                server.alive = False
                self._note_death(server)
            return self.happen(events.ProcessExited(child.pid, status))
        worker, keeper = self.workers[child.generation], self.keepers.get(child.generation)
        known = self.dice.chance(0.9)
        if keeper is not None:
            return Deathbed(self, keeper, known=known).die(child.pid, status)
        ledger = worker.ledger() if known else None
        worker.falls(ledger)
        return self.happen(events.ProcessExited(child.pid, status, ledger, "", self.records()))

    def _note_death(self, server: Server) -> None:
        for charge in self.core.charges.values():
            if charge.pid == server.pid:
                self.seen[f"a backend dies while it is {charge.hold.value}"] += 1

    def records(self) -> dict[int, Record]:
        """What the mailboxes say, also those of backends whose worker lives."""
        found = {pid: s.record() for pid, s in self.servers.items() if pid in self.pipes}
        return {pid: record for pid, record in found.items() if record is not None}

    def _new_pid(self) -> int:
        self._pid += 1
        return self._pid

    def _spawn_worker(self, effect: effects.SpawnWorker) -> None:
        number = effect.generation
        must(number not in self.workers, f"generation {number} is started twice")
        must(not self.watch.ending, f"generation {number} is started at the end")
        self.watch.starts(number)
        worker = self.workers[number] = Worker(number, effect.python)
        if self.dice.chance(self.spawn_failures):
            worker.falls({})
            self.queue.append(events.WorkerSpawnFailed(number, "no room"))
            return
        worker.pid = self._new_pid()
        self.children[worker.pid] = Child(worker.pid, number)
        self.queue.append(events.WorkerSpawned(number, worker.pid))

    def _spawn_backend(self, effect: effects.SpawnBackend) -> None:
        wanted, number = effect.request, effect.generation
        must(wanted.token in self.workers[number].spawns, f"nobody asked for {wanted}")
        if self.dice.chance(0.15):
            failed = events.BackendSpawnFailed(number, wanted.token, wanted.backend, "no room")
            self.queue.append(failed)
            return
        pid = self._new_pid()
        self.children[pid] = Child(pid, number, wanted.backend)
        self.pipes.add(pid)
        if (keeper := self.keepers.get(number)) is not None:
            self._start_server(keeper, pid, wanted.backend)
        self.queue.append(events.BackendSpawned(number, wanted.token, wanted.backend, pid))

    def _start_server(self, keeper: Keeper, pid: int, name: str) -> None:
        setup = keeper.worker.setup
        assert setup is not None
        spec = setup.specs[name]
        twins = [s for s in self.servers.values() if s.alive and (s.name, s.spec) == (name, spec)]
        must(not twins, f"{name} is started for {keeper.worker}, and runs as {twins}")
        self.servers[pid] = Server(pid, name, spec, self.note_run)
        self.servers[pid].give_to(keeper.worker.generation)

    def note_run(self, marker: int) -> None:
        """A backend carries out the call of this marker."""
        self.ran[marker] += 1
        limit = 1 + (marker in self.repeatable)
        must(self.ran[marker] <= limit, f"{marker} ran {self.ran[marker]} times")

    def _tend_stderr(self, effect: effects.TendStderr) -> None:
        self.servers[effect.pid].tended = True

    def _release_pipes(self, effect: effects.ReleasePipes) -> None:
        must(effect.pid not in self.children, f"the pipes of {effect.pid} are closed, and it lives")
        must(effect.pid in self.pipes, f"the pipes of {effect.pid} are closed twice")
        self.pipes.discard(effect.pid)

    def _close_stdin(self, effect: effects.CloseStdin) -> None:
        if (server := self.servers.get(effect.pid)) is not None:
            server.closed = True
        self.wish(effect.pid, 0.6, 0.4)

    def _close_pipe(self, effect: effects.ClosePipe) -> None:
        worker = self.workers[effect.generation]
        must(worker.phase != "lost" or not worker.open, "a pipe is closed twice")
        worker.phase, worker.open = "lost", False

    def _signal(self, effect: effects.Signal) -> None:
        must(effect.signal in {9, 15}, f"a strange signal: {effect}")
        share, seconds = (1.0, 0.05) if effect.signal == 9 else (0.7, 0.3)
        self.wish(effect.pid, share, seconds)

    def wish(self, pid: int, share: float, seconds: float) -> None:
        """Somebody wants a child to end; with some chance it does, within some time."""
        child = self.children.get(pid)
        if child is None:
            raise Violation(f"process {pid} is none of ours, or dead and reaped")
        deaf = not child.backend and self.workers[child.generation].deaf and share < 1.0
        if not deaf and self.dice.chance(share):
            dies = self.now + self.dice.rng.random() * seconds
            child.dies = dies if child.dies is None else min(dies, child.dies)

    def welcome(self, worker: Worker, *, nonce: str, version: int = 1) -> None:
        """A worker says its welcome."""
        setup = self.disk.setup(worker.python, None)
        frame = handshake.Welcome(version, setup.build, worker.generation, nonce, worker.pid)
        worker.phase, worker.sound = "welcomed", nonce == worker.nonce and version == 1
        self.happen(events.WorkerFrame(worker.generation, msgspec.msgpack.encode(frame), b""))
