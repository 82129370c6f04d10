"""The death of a worker that keeps backends: what is true of each of its calls is known here, and
what the core makes of it has to be just that.
"""

import copy
from typing import TYPE_CHECKING

from relay_supervisor.core import events
from relay_supervisor.core.estate import ATTEMPTS_MAX
from relay_supervisor.wire.mailbox import Fate
from tests.sim.keeper import Keeper
from tests.sim.model import Sent, must
from tests.sim.rounds import in_between
from tests.sim.server import Server

if TYPE_CHECKING:
    from tests.sim.world import World


class Deathbed:
    """One death, and the calls that it leaves behind."""

    def __init__(self, world: "World", keeper: Keeper, *, known: bool) -> None:
        """*known*: there was room for all calls in its ledger."""
        self._world = world
        self._keeper = keeper
        self._known = known
        self._generation = keeper.worker.generation
        self._going_on: list[tuple[Sent, Server]] = []
        self._untouched: list[Sent] = []
        self._between: list[Sent] = []

    def die(self, pid: int, status: int) -> None:
        """Let it happen."""
        world, keeper = self._world, self._keeper
        for call in list(world.core.calls.values()):
            if call.generation == self._generation:
                self._look_at(world.sent[call.number], written=call.written)
        for server in world.servers.values():
            server.given_to.discard(self._generation)
        keeper.worker.falls({})
        stages = copy.copy(keeper.ledger) if self._known else None
        world.seen["a keeper dies"] += 1
        world.happen(events.ProcessExited(pid, status, stages, "", world.records()))
        if world.relay.ending.pace is None:
            self._judge()

    def _look_at(self, sent: Sent, *, written: bool) -> None:
        """What is true of a call, whatever anybody noted of it; *written*: by a worker before."""
        number = sent.number
        if number in self._keeper.line.calls:
            sent.doubt = self._keeper.line.in_doubt(number, known=self._known)
            if not sent.doubt:
                self._untouched.append(sent)
            self._world.seen["killed with a call at a remote server"] += sent.doubt
            return
        mine = [s for s in self._world.servers.values() if self._generation in s.given_to]
        records = [r for r in (s.record() for s in mine) if r is not None and r.number == number]
        servers = [s for s in self._world.servers.values() if number in s.ran]
        unsure = not (self._known or written or records)
        if any(record.fate is Fate.UNSURE for record in records):
            unsure = True
            self._world.seen["a write in doubt"] += 1
        usable = [s for s in servers if s in mine and s.joined and not s.closed]
        grips = self._keeper.grips
        if any(in_between(grips[s.name], s, number) for s in servers if s in mine):
            unsure = True
            self._between.append(sent)
            self._world.seen["killed before a call is made once more"] += 1
        sent.doubt = unsure or (bool(servers) and not usable)
        if not unsure and not servers:
            self._untouched.append(sent)
        elif not unsure and usable:
            self._going_on.append((sent, usable[0]))

    def _judge(self) -> None:
        world, calls = self._world, self._world.core.calls
        for sent, server in self._going_on:
            call = calls.get(sent.number)
            over = server.closed or world.client.by_marker(sent.marker) is None
            must(over or call is not None, "{} is lost, and {} has it", sent, server.pid)
            must(call is None or call.generation != self._generation, "{} is with the dead", call)
            world.seen["a call goes on after a crash"] += not over
        for sent in self._between:
            must(sent.number not in calls, "{} waits for what may never have been written", sent)
        for sent in self._untouched:
            asked = world.client.by_marker(sent.marker)
            given_up = len(world.attempts[sent.marker]) >= ATTEMPTS_MAX
            must(given_up or asked is not None, "{} was never carried out, and is answered", sent)
            request = world.client.parked.in_core(asked) if asked is not None else None
            again = request is not None and request.call != sent.number
            must(given_up or again, "{} was never carried out, and is not given on", sent)
            world.seen["an untouched call is given on"] += 1
