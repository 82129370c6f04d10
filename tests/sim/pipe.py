"""The other end of every worker's pipe: what the core sends is held against what it may send."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from relay_supervisor.core import effects, events
from relay_supervisor.core.generation import Life
from relay_supervisor.core.heartbeat import MISSES_MAX
from relay_supervisor.wire import handshake, v1
from tests.sim.client import REPEATABLE
from tests.sim.model import Sent, Worker, must
from tests.sim.setup import SAFE_TOOL

if TYPE_CHECKING:
    from tests.sim.world import World

# What the core may say to a worker that is gone; the adapter skips it.
TO_THE_GONE = (v1.Spawned, v1.SpawnRefused, v1.Exited, v1.Retire, v1.Cancel, v1.Refuse)

# What lies in the inbox of a worker that keeps backends until it gets to it.
LATER = (v1.Call, v1.Cancel, v1.ClientAnswer, v1.Spawned, v1.SpawnRefused, v1.Exited, v1.Freeze)


class Pipe:
    """Takes in what is sent to workers."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._messages: dict[type, Callable[[Worker, Any, bytes], None]] = {
            handshake.Hello: self._hello,
            v1.Configure: self._configure,
            v1.KnownLists: self._lists,
            v1.Session: self._session,
            v1.SetLevel: self._level,
            v1.Subscriptions: self._subscriptions,
            v1.Call: self._take_call,
            v1.Cancel: self._cancel,
            v1.ClientAnswer: self._client_answer,
            v1.Spawned: self._spawned,
            v1.SpawnRefused: self._spawned,
            v1.RunChecks: self._run_checks,
            v1.Ping: self._ping,
            v1.Retire: self._retire,
            v1.Await: self._await,
            v1.Attend: world.remote.attend,
            v1.KnownSession: world.remote.session,
            v1.KnownLinks: world.remote.links,
            v1.Adopt: self._grant,
        }

    def deliver(self, effect: effects.SendToWorker) -> None:
        """A message reaches a worker, or goes nowhere where that is no harm."""
        worker, message = self._world.workers[effect.generation], effect.message
        if not worker.open:
            # At the end nobody takes note any more of a worker that is gone; but no call is new.
            ending = self._world.relay.ending.pace is not None and not isinstance(message, v1.Call)
            errand = isinstance(message, v1.ClientAnswer) and message.errand > 0
            skipped = isinstance(message, TO_THE_GONE) or ending or errand
            must(skipped, "{} to a generation that is gone", message)
        if isinstance(message, v1.Refuse):
            self._world.watch.refused.add((message.build, message.config_digest))
        if worker.open:
            self._take(worker, message, bytes(effect.payload))

    def _take(self, worker: Worker, message: v1.Message | handshake.Hello, payload: bytes) -> None:
        take = self._messages.get(type(message))
        keeper = self._world.keepers.get(worker.generation)
        if keeper is not None and isinstance(message, LATER):
            keeper.inbox.append((message, payload))
            if isinstance(message, v1.Call):
                self._take_call(worker, message, payload)
            elif isinstance(message, v1.Spawned | v1.SpawnRefused):
                self._spawned(worker, message, payload)
        elif take is not None:
            take(worker, message, payload)
        else:
            must(worker.phase == "configured", "{} while {}", message, worker.phase)

    def _hello(self, worker: Worker, message: handshake.Hello, payload: bytes) -> None:
        must(worker.phase == "new", "called while {}", worker.phase)
        worker.phase, worker.nonce = "called", message.nonce

    def _configure(self, worker: Worker, message: v1.Configure, payload: bytes) -> None:
        must(worker.phase == "welcomed", "configured while {}", worker.phase)
        must(worker.sound, "{} is not the one that was called", worker)
        config = payload if message.has_snapshot else None
        worker.phase, worker.has_snapshot = "told", message.has_snapshot
        worker.setup = self._world.disk.setup(worker.python, config)

    def _lists(self, worker: Worker, message: v1.KnownLists, payload: bytes) -> None:
        if worker.setup and worker.setup.specs.get(message.backend) == message.spec_hash:
            worker.learned.add(message.backend)

    def _session(self, worker: Worker, message: v1.Session, payload: bytes) -> None:
        worker.introduced, worker.level = True, message.log_level

    def _level(self, worker: Worker, message: v1.SetLevel, payload: bytes) -> None:
        worker.level = message.level

    def _subscriptions(self, worker: Worker, message: v1.Subscriptions, payload: bytes) -> None:
        worker.uris = set(message.uris)

    def _cancel(self, worker: Worker, message: v1.Cancel, payload: bytes) -> None:
        must(message.call in worker.calls, "{} of no call under way there", message)
        del worker.calls[message.call]
        worker.answered.append(message.call)

    def _client_answer(self, worker: Worker, message: v1.ClientAnswer, payload: bytes) -> None:
        must(message.id in worker.asks, "{} to nothing it asked", message)
        must(worker.asks.pop(message.id) == message.pid, "{} to another process", message)

    def _spawned(self, worker: Worker, message: v1.Spawned | v1.SpawnRefused, _: bytes) -> None:
        must(message.token in worker.spawns, "{} was not asked for", message)
        worker.spawns.discard(message.token)

    def _await(self, worker: Worker, message: v1.Await, payload: bytes) -> None:
        must(not worker.introduced, "{} after Session", message)
        for name in message.backends:
            self._world.keepers[worker.generation].grips[name].phase = "awaited"

    def _grant(self, worker: Worker, message: v1.Adopt, payload: bytes) -> None:
        must(not message.pid and not message.calls, "{} without descriptors", message)
        self._world.keepers[worker.generation].inbox.append((message, payload))

    def give(self, effect: effects.GiveBackend) -> None:
        """A backend's descriptors and what goes with them reach a worker."""
        worker, message = self._world.workers[effect.generation], effect.message
        must(worker.open, "{} to {}, which is gone", message, worker)
        server = self._world.servers[message.pid]
        must(not server.given_to, "{} while {} have it", message, server.given_to)
        must(server.pid in self._world.pipes, "{} without pipes", message)
        specs = worker.setup.specs if worker.setup is not None else {}
        must(specs.get(server.name) == server.spec, "{} is not what {} wants", message, worker)
        server.give_to(worker.generation)
        server.tended = False
        self._world.keepers[worker.generation].inbox.append((message, bytes(effect.payload)))

    def _run_checks(self, worker: Worker, message: v1.RunChecks, payload: bytes) -> None:
        worker.checks = message.token

    def _retire(self, worker: Worker, message: v1.Retire, payload: bytes) -> None:
        self._world.wish(worker.pid, 0.8, 0.3)

    def _ping(self, worker: Worker, message: v1.Ping, payload: bytes) -> None:
        if message.token == 1:
            worker.missed = 0  # it was counted anew, as nothing was open for a while
        must(
            worker.missed < MISSES_MAX, "generation {} is asked again and again", worker.generation
        )
        if worker.deaf or worker.mute:
            worker.missed += 1
        elif not self._world.unread:
            header = v1.encode(v1.Pong(message.token))
            self._world.queue.append(events.WorkerFrame(worker.generation, header, b""))

    def _take_call(self, worker: Worker, message: v1.Call, payload: bytes) -> None:
        world = self._world
        generation = world.relay.shared.workers.state.generations.get(worker.generation)
        serves = generation is not None and generation.state is Life.ACTIVE
        must(serves, "{} to generation {}, which does not serve", message, generation)
        must(worker.introduced, "a call before the client is introduced")
        must(worker.level == world.core.peer.log_level, "{} has another log level", worker)
        must(worker.uris == set(world.core.peer.subscriptions()), "{}: subscriptions", worker)
        world.remote.knows_links(worker)
        must(message.call not in world.sent, "call {} is carried out twice", message.call)
        must(message.call > max(world.sent, default=0), "call numbers go back")
        marker = json.loads(payload)["marker"]
        asked = world.client.by_marker(marker)
        if asked is None:
            must(False, "{} is for no open request", message)
            return
        must(message.method == asked.method, "{} is for {}", message, asked)
        must(message.era == (v1.MODERN if asked.modern else v1.LEGACY), "{}: era", message)
        self._may_be_sent(message, marker, asked.method in REPEATABLE or asked.name == SAFE_TOOL)
        sent = world.sent[message.call] = Sent(message.call, marker, worker.generation)
        if worker.generation not in world.keepers:
            worker.calls[message.call] = sent
        world.attempts.setdefault(marker, []).append(sent)

    def _may_be_sent(self, message: v1.Call, marker: int, repeatable: bool) -> None:
        """Nobody else may have it, or have done it, but what may be done twice."""
        world = self._world
        if repeatable:
            world.repeatable.add(marker)
        attempts = [sent for sent in world.attempts.get(marker, []) if not sent.returned]
        must(message.attempt == len(attempts) + 1, "{} is attempt {}", message, len(attempts) + 1)
        alive = {child.generation for child in world.children.values() if not child.backend}
        holders = [sent for sent in attempts if self._holds(alive, sent)]
        must(not holders, "{}: {} may still carry it out", message, holders)
        doubts = sum(sent.doubt for sent in attempts)
        must(
            doubts <= repeatable, "{} may have run {} times already: {}", message, doubts, attempts
        )

    def _holds(self, alive: set[int], sent: Sent) -> bool:
        """Whether somebody may still carry out an attempt."""
        keepers = self._world.keepers
        if sent.generation not in keepers:
            return sent.generation in alive
        return any(keepers[generation].has(sent.number) for generation in alive & keepers.keys())
