"""The other end of every worker's pipe: what the core sends is held against what it may send."""

import json
from typing import TYPE_CHECKING

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


class Pipe:
    """Takes in what is sent to workers."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def deliver(self, effect: effects.SendToWorker) -> None:
        """A message reaches a worker, or goes nowhere where that is no harm."""
        worker, message = self._world.workers[effect.generation], effect.message
        if not worker.open:
            # At the end nobody takes note any more of a worker that is gone; but no call is new.
            ending = self._world.relay.ending.pace is not None and not isinstance(message, v1.Call)
            skipped = isinstance(message, TO_THE_GONE) or ending
            must(skipped, f"{message} to a generation that is gone")
        if isinstance(message, v1.Refuse):
            self._world.watch.refused.add((message.build, message.config_digest))
        if worker.open:
            self._take(worker, message, bytes(effect.payload))

    def _take(self, worker: Worker, message: v1.Message | handshake.Hello, payload: bytes) -> None:  # noqa: C901, PLR0912 - a case for each message
        match message:
            case handshake.Hello():
                must(worker.phase == "new", f"called while {worker.phase}")
                worker.phase, worker.nonce = "called", message.nonce
            case v1.Configure():
                must(worker.phase == "welcomed", f"configured while {worker.phase}")
                config = payload if message.has_snapshot else None
                worker.phase, worker.has_snapshot = "told", message.has_snapshot
                worker.setup = self._world.disk.setup(worker.python, config)
            case v1.KnownLists():
                if worker.setup and worker.setup.prints.get(message.backend) == message.spec_hash:
                    worker.learned.add(message.backend)
            case v1.Session():
                worker.introduced, worker.level = True, message.log_level
            case v1.SetLevel():
                worker.level = message.level
            case v1.Subscriptions():
                worker.uris = set(message.uris)
            case v1.Call():
                self._take_call(worker, message, payload)
            case v1.Cancel():
                must(message.call in worker.calls, f"{message} of no call under way there")
                del worker.calls[message.call]
                worker.answered.append(message.call)
            case v1.ClientAnswer():
                must(message.id in worker.asks, f"{message} to nothing it asked")
                must(worker.asks.pop(message.id) == message.pid, f"{message} to another process")
            case v1.Spawned() | v1.SpawnRefused():
                must(message.token in worker.spawns, f"{message} was not asked for")
                worker.spawns.discard(message.token)
            case v1.RunChecks():
                worker.checks = message.token
            case v1.Ping():
                self._ping(worker, message)
            case v1.Retire():
                self._world.wish(worker.pid, 0.8, 0.3)
            case _:
                must(worker.phase == "configured", f"{message} while {worker.phase}")

    def _ping(self, worker: Worker, message: v1.Ping) -> None:
        if message.token == 1:
            worker.missed = 0  # it was counted anew, as nothing was open for a while
        must(worker.missed < MISSES_MAX, f"generation {worker.generation} is asked again and again")
        if worker.deaf or worker.mute:
            worker.missed += 1
        elif not self._world.unread:
            header = v1.encode(v1.Pong(message.token))
            self._world.queue.append(events.WorkerFrame(worker.generation, header, b""))

    def _take_call(self, worker: Worker, message: v1.Call, payload: bytes) -> None:
        world = self._world
        generation = world.relay.shared.workers.state.generations.get(worker.generation)
        serves = generation is not None and generation.state is Life.ACTIVE
        must(serves, f"{message} to generation {generation}, which does not serve")
        must(worker.introduced, "a call before the client is introduced")
        must(worker.level == world.core.peer.log_level, f"{worker} has another log level")
        must(worker.uris == set(world.core.peer.subscriptions()), f"{worker}: subscriptions")
        must(message.call not in world.sent, f"call {message.call} is carried out twice")
        must(message.call > max(world.sent, default=0), "call numbers go back")
        marker = json.loads(payload)["marker"]
        asked = world.client.by_marker(marker)
        if asked is None:
            must(False, f"{message} is for no open request")
            return
        must(message.method == asked.method, f"{message} is for {asked}")
        must(message.era == (v1.MODERN if asked.modern else v1.LEGACY), f"{message}: era")
        self._may_be_sent(message, marker, asked.method in REPEATABLE or asked.name == SAFE_TOOL)
        sent = Sent(message.call, marker, worker.generation)
        world.sent[message.call] = worker.calls[message.call] = sent
        world.attempts.setdefault(marker, []).append(sent)

    def _may_be_sent(self, message: v1.Call, marker: int, repeatable: bool) -> None:
        """Nobody else may have it, or have done it, but what may be done twice."""
        attempts = self._world.attempts.get(marker, [])
        must(message.attempt == len(attempts) + 1, f"{message} is attempt {len(attempts) + 1}")
        alive = {child.generation for child in self._world.children.values() if not child.backend}
        holders = [sent for sent in attempts if sent.generation in alive]
        must(not holders, f"{message}: {holders} may still carry it out")
        doubts = sum(sent.doubt for sent in attempts)
        must(doubts <= repeatable, f"{message} may have run {doubts} times already: {attempts}")
