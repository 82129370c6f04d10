"""What a simulated worker does with its backends, where it can take them over and give them back.

It keeps to the contract of `wire`, and does each part of it in a step of its own; in between it may
be killed, or stopped for a while. What it is told lies in its inbox until it looks.
"""

import collections
import dataclasses
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from relay_supervisor.core import effects
from relay_supervisor.wire import custody, v1
from relay_supervisor.wire.ledger import Stage
from tests.sim import rounds
from tests.sim.model import Sent, Worker, must
from tests.sim.remote import Line
from tests.sim.server import Said, Server
from tests.sim.setup import WEB
from tests.sim.stdin import Frame, Stdin

if TYPE_CHECKING:
    from tests.sim.world import World

LONG_BYTES = 5000
"""Too much for one write that cannot be cut."""


def backend_of(method: str, name: str) -> str | None:
    """Whose call it is; None where nobody knows it."""
    if method != "tools/call":
        return "files"
    return name.partition("__")[0] if "__" in name else None


@dataclasses.dataclass(slots=True)
class Grip:
    """A backend as this worker sees it. `phase` is awaited (another worker has it), idle, spawning,
    new (its handshake is not complete), ready, stopping or failed.
    """

    name: str
    phase: str = "idle"
    server: Server | None = None
    stdin: Stdin | None = None
    passed: int = 0
    """How much of its output was passed on; the mailbox gets to know a little later."""
    calls: dict[int, Sent] = dataclasses.field(default_factory=dict)
    rounds: dict[int, custody.Round] = dataclasses.field(default_factory=dict)
    """Those of them that a backend has answered by asking for more, or that it may have."""
    making: set[int] = dataclasses.field(default_factory=set)
    """Those that are about to be made once more."""
    freezing: bool = False

    def forget(self, call: int) -> Sent | None:
        """A call is over."""
        self.rounds.pop(call, None)
        self.making.discard(call)
        return self.calls.pop(call, None)

    def let_go(self) -> None:
        """Nothing of it is here any more."""
        self.server, self.stdin = None, None
        self.calls, self.rounds, self.making = {}, {}, set()


class Keeper:
    """The backends of one worker."""

    def __init__(self, world: "World", worker: Worker) -> None:
        self.world, self.worker = world, worker
        self.inbox: collections.deque[tuple[v1.Message, bytes]] = collections.deque()
        self.grips: dict[str, Grip] = {}
        self.waiting: dict[int, tuple[str, Sent]] = {}
        """Calls that no backend has seen, with the one they are for."""
        self.ledger: dict[int, int] = {}
        self.errands: set[int] = set()
        self.line = Line(self)

    # ---- looking ------------------------------------------------------------------------------

    def has(self, number: int) -> bool:
        """Whether it may still carry out a call, if it is not dead by now."""
        inbox = any(isinstance(m, v1.Call) and m.call == number for m, _ in self.inbox)
        here = number in self.waiting or number in self.line.calls
        return inbox or here or any(number in g.calls for g in self.held())

    def held(self) -> Iterator[Grip]:
        """The backends of which something runs here."""
        return (grip for grip in self.grips.values() if grip.server is not None)

    def say(self, message: v1.Message, payload: bytes = b"") -> list[effects.AnyEffect]:
        """Send a message."""
        return self.world.frame(self.worker, message, payload)

    def report(self, grip: Grip, word: str) -> None:
        """Say how a backend is."""
        self.worker.states[grip.name] = word
        pid = grip.server.pid if grip.server is not None else None
        self.say(v1.BackendState(grip.name, word, pid))

    # ---- starting -----------------------------------------------------------------------------

    def spawn(self, grip: Grip) -> None:
        """Have it started."""
        self.worker.tokens += 1
        self.worker.spawns.add(self.worker.tokens)
        grip.phase = "spawning"
        self.say(v1.Spawn(self.worker.tokens, grip.name, ["server"], {}, "/", 8192))

    def hold(self, grip: Grip, server: Server) -> None:
        """Its descriptors have come."""
        grip.server, grip.passed = server, server.head
        grip.stdin = Stdin(server, self.world.dice, self.ledger, self._written)

    def join(self, grip: Grip) -> None:
        """Its handshake is complete, if all it has to be told was written."""
        assert grip.stdin is not None and grip.server is not None
        if grip.stdin.outbox or grip.stdin.newline_due or not grip.server.alive:
            return
        grip.phase = "ready"
        kept = custody.encode(custody.Custody(phase="ready"))
        grip.server.joined = True
        self.say(v1.Joined(grip.name, grip.server.pid), kept)
        self.worker.learned.add(grip.name)
        assert self.worker.setup is not None
        self.say(v1.LearnedLists(grip.name, self.worker.setup.specs[grip.name]), b"lists")
        self.report(grip, "ready")
        self.go_on(grip.name)

    # ---- calls --------------------------------------------------------------------------------

    def begin(self, message: v1.Call, sent: Sent) -> None:
        """A call was taken from the pipe."""
        self.ledger[message.call] = Stage.RECEIVED
        name = backend_of(message.method, message.name)
        if name is None or name not in (*self.grips, WEB):
            return self.fail(sent, v1.OUTCOME_REFUSED)
        if message.tell:
            self.say(v1.Routed(message.call, name))
        if name == WEB:
            self.line.calls[message.call] = sent
            return None
        self.waiting[message.call] = name, sent
        return self.go_on(name)

    def go_on(self, name: str) -> None:
        """Give a backend what waits for it, if it can be had."""
        grip = self.grips[name]
        for number, (wanted, sent) in list(self.waiting.items()):
            if wanted != name:
                continue
            if grip.phase == "failed":
                del self.waiting[number]
                self.fail(sent, v1.OUTCOME_RELAY_ERROR)
            elif grip.phase == "ready" and not grip.freezing:
                del self.waiting[number]
                grip.calls[number] = sent
                self.write(grip, number, {"call": number, "marker": sent.marker})

    def write(self, grip: Grip, number: int, message: dict[str, str | int]) -> None:
        """Put a line into the outbox."""
        assert grip.stdin is not None
        if self.world.dice.chance(0.4):
            message["long"] = "x" * LONG_BYTES
        grip.stdin.outbox.append(Frame(number, json.dumps(message).encode() + b"\n"))

    def _written(self, number: int) -> None:
        if number in self.errands:
            self.errand_done(number)

    def errand_done(self, number: int) -> None:
        """Something that is no call was told, or need not be."""
        self.errands.discard(number)
        if number:
            self.say(v1.Done(number))
            self.ledger.pop(number, None)

    def fail(self, sent: Sent, outcome: int) -> None:
        """Answer a call without its backend."""
        self.answer(sent, outcome, b'"error":{"code":1,"message":"of the worker"}}')

    def succeed(self, sent: Sent) -> None:
        """A backend has carried a call out."""
        result = {"call": sent.number, "marker": sent.marker}
        self.answer(sent, v1.OUTCOME_RESULT, msgspec.json.encode({"result": result})[1:])

    def answer(self, sent: Sent, outcome: int, members: bytes) -> None:
        """Pass an answer on; where the client still wants it, it gets just that."""
        world, number = self.world, sent.number
        asked, held = world.client.by_marker(sent.marker), world.core.calls.get(number)
        mine = held is not None and held.generation == self.worker.generation
        wanted = asked is not None and mine
        closed = asked is None or world.client.parked.in_core(asked) is None
        left = closed or sent.doubt or world.relay.ending.pace is not None
        must(wanted or left, "{} is answered by {}, and nobody hears: {}", sent, self.worker, held)
        if wanted:
            failed = outcome == v1.OUTCOME_RELAY_ERROR
            world.watch.answer(self.worker.generation, failed=failed)
        before = len(world.client.received)
        self.say(v1.Reply(number, outcome), members)
        self.ledger.pop(number, None)
        if asked is not None and asked.method in {"resources/subscribe", "resources/unsubscribe"}:
            self.worker.uris = set(world.core.peer.subscriptions())
        if wanted and asked is not None and not (asked.batch or asked.parked):
            ids = [m.get("id") for m in world.client.received[before:] if "method" not in m]
            must(asked.key in ids, "{}: the client did not get the answer", sent)

    # ---- what backends say --------------------------------------------------------------------

    def pass_on(self, grip: Grip) -> bool:
        """Read the next message and pass it on; False where there is none."""
        server = grip.server
        if server is None or grip.passed >= len(server.out):
            return False
        at = grip.passed
        grip.passed += 1
        news = at not in server.told
        if not self.world.watch.let_go(self.worker):  # whom nobody listens to any more
            server.told.add(at)
        if not news:
            self.world.seen["told again"] += 1
        self._tell(grip, server.out[at], at, news=news)
        return True

    def _tell(self, grip: Grip, said: Said, at: int, *, news: bool) -> None:
        assert grip.server is not None
        pid, name = grip.server.pid, grip.name
        if said.what == "reply":
            if (sent := grip.forget(said.call)) is not None:
                if said.text:
                    bad = b'"error":{"code":1,"message":"of the backend"}}'
                    self.answer(sent, v1.OUTCOME_BACKEND_ERROR, bad)
                else:
                    self.succeed(sent)
            return None
        if said.what == "more":
            return rounds.heard(self, grip, said)
        if said.what == "progress" and said.call not in grip.calls:
            return None
        message, payload = {
            "progress": (v1.Progress(said.call, pid, at), b'{"progress":1}'),
            "news": (
                v1.Notification(name, "notifications/message", pid, at),
                json.dumps({"level": "info", "data": f"{pid} {at}"}).encode(),
            ),
            "question": (
                v1.BackendRequest(name, said.text.encode(), pid, "roots/list", at, said.call),
                b'{"message":"?"}',
            ),
            "withdrawn": (v1.BackendCancel(name, said.text.encode(), pid), b""),
        }[said.what]
        heard = self.world.watch.hears(self.worker, grip.server, said, news=news)
        before = self._noticed()
        self.say(message, payload)
        must(heard in {None, before != self._noticed()}, "{} at {} of {}", said, at, pid)
        return None

    def _noticed(self) -> tuple[object, ...]:
        core = self.world.core
        held = [(call.number, call.progress_at) for call in core.calls.values() if call.progress]
        return len(self.world.client.received), len(core.asks), core.last_call, held

    # ---- giving back --------------------------------------------------------------------------

    def give_back(self, grip: Grip) -> None:
        """Let go of a backend that was asked back, if it can be now."""
        if grip.phase in {"spawning", "stopping"}:
            return
        grip.freezing = False
        server, stdin, phase = grip.server, grip.stdin, grip.phase
        grip.phase = "awaited"
        if server is None or stdin is None:
            self.say(v1.Frozen(grip.name, 0), custody.encode(custody.Custody(restarts=1)))
            self.report(grip, "awaited")
            return
        stdin.rest()
        frames = [custody.Unsent(frame.number, frame.data) for frame in stdin.outbox]
        kept = custody.Custody(
            phase=phase,
            parsed=grip.passed,
            outbox=frames,
            sent=stdin.sent,
            restarts=1,
            rounds=list(grip.rounds.values()),
        )
        unsent = [frame.number for frame in frames if frame.number]
        given = [*grip.calls, *unsent]
        self._count(grip, stdin, unsent)
        grip.let_go()
        self.errands -= set(unsent)
        server.given_to.discard(self.worker.generation)
        self.say(v1.Frozen(grip.name, server.pid, unsent), custody.encode(kept))
        for number in given:
            self.ledger.pop(number, None)
        self.report(grip, "awaited")

    def _count(self, grip: Grip, stdin: Stdin, unsent: list[int]) -> None:
        seen = self.world.seen
        seen["given back with calls"] += bool(grip.calls)
        seen["given back with one to be made once more"] += bool(grip.rounds)
        seen["given back amid a frame"] += stdin.sent > 0
        seen["given back with errands unsent"] += bool(set(unsent) & self.errands)
        seen["given back before its handshake"] += grip.server is not None and (
            not grip.server.joined
        )
        seen["given back dead"] += grip.server is not None and not grip.server.alive
