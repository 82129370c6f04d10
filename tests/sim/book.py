"""What the core writes into journal and log, held against what has happened.

Each swap ends once, as it may end, and for a reason that holds.
"""

import re
from typing import TYPE_CHECKING, Any

from relay_supervisor.core import effects
from relay_supervisor.core.gate import PENDING
from relay_supervisor.core.generation import GONE
from relay_supervisor.core.heartbeat import MISSES_MAX
from relay_supervisor.core.swap_record import Swap
from tests.sim.model import Worker, must

if TYPE_CHECKING:
    from tests.sim.world import World

EARLY_SECONDS = 1e-6
SILENT = re.compile(r"generation (\d+) failed: it gave no sign of life")
OUR_FAULT = re.compile(r"cannot be .* while")
SICK = re.compile(r"backend (\w+) is (\w+), and was healthy before")
LOST = re.compile(r"tools would be lost: ([\w, ]+)")


class Book:
    """Reads journal and log."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._ended: set[object] = set()
        self._dead: set[object] = set()
        self.commits = False
        """Whether this event has committed a swap."""

    def journal(self, effect: effects.Journal) -> None:
        """An entry for the journal."""
        fields = effect.fields
        if effect.event == "swap_phase":
            must(fields["swap"] not in self._ended, "{} after its end", fields)
        elif effect.event == "swap_ended":
            must(fields["swap"] not in self._ended, "{} once more", fields)
            self._ended.add(fields["swap"])
            self._may_end(fields)
        elif effect.event in {"worker_died", "drained"}:
            key = (effect.event, fields["generation"])
            must(key not in self._dead, "{} once more", effect)
            self._dead.add(key)

    def _may_end(self, fields: dict[str, Any]) -> None:
        if fields["kind"] == "supervisor":
            must(fields["outcome"] in {"committed", "failed"}, "{}", fields)
            return
        served = any(name == "active" for name, _ in fields["phases"])
        if fields["outcome"] == "committed":
            self._may_commit(fields)
        elif fields["outcome"] == "rolled_back" and served:
            active = self._world.relay.shared.workers.state.active
            standby = self._world.watch.standby
            # Who is gone back to may be over its own time in the same moment.
            dead = self._world.relay.shared.workers.state.generations.get(standby or 0)
            gone = dead is None or dead.state in GONE
            must(gone or active == standby, "{}: {} serves, not {}", fields, active, standby)
        elif fields["outcome"] == "failed" and not served:
            swap = self._world.relay.swaps.last
            assert swap is not None
            self._may_be_refused(swap)

    def _may_commit(self, fields: dict[str, Any]) -> None:
        """Nobody is the last good one who has not proved it, and then it is."""
        self.commits = True
        world = self._world
        number = fields["to"]["generation"]
        limits = world.core.limits
        served = world.awake - world.watch.served.get(number, world.awake) + EARLY_SECONDS
        answered, errors = world.watch.answered.get(number, (0, 0))
        proved = served >= limits.probation_seconds or answered >= limits.probation_calls
        must(proved, "{} after {} s and {} calls", fields, served, answered)
        swap = world.relay.swaps.last
        must(swap is not None and not swap.checking, "{} before its checks are done", fields)
        watched = limits.probation_seconds > 0 and limits.probation_calls > 0
        failing = watched and errors * 2 > answered
        must(not failing, "{} with {} of {} calls failed in the relay", fields, errors, answered)
        self._has_all(world.workers[number])
        committed = world.relay.recovery.state.committed
        generation = world.relay.shared.workers.state.generations[number]
        must(committed == generation.source, "{} is committed, not {}", committed, generation)

    def _has_all(self, worker: Worker) -> None:
        """Nobody else has a backend any more that is its own."""
        specs = worker.setup.specs if worker.setup is not None and worker.setup.adopts else {}
        for server in self._world.servers.values():
            if server.alive and not server.closed and specs.get(server.name) == server.spec:
                has = server.given_to == {worker.generation}
                must(has, "{} commits, and {} have {}", worker, server.given_to, server.pid)

    def _may_be_refused(self, swap: Swap) -> None:
        """What the gate says is so, and nobody said that it does not matter."""
        sick, lost = SICK.findall(swap.reason), LOST.findall(swap.reason)
        before = self._world.watch.active
        if not (sick or lost) or before is None:
            return
        must(not swap.force, "{} was forced", swap)
        new, old = (self._world.watch.prints(n) for n in (swap.new or 0, before.number))
        names = [name for name, _ in sick]
        names += [tool.partition("__")[0] for tool in lost[0].split(", ")] if lost else []
        for name in names:
            same = name in new and new[name] == old.get(name)
            must(same, "{}: {} was changed on purpose", swap, name)
        if "ready_seconds_max" not in swap.reason:
            early = [name for name, word in sick if word in PENDING]
            must(not early, "{}: {} is on its way", swap, early)

    def log(self, effect: effects.Log) -> None:
        """A line of the log."""
        must(effect.text, "an empty line in the log")
        must(not OUR_FAULT.search(effect.text), "{}", effect.text)
        if (found := SILENT.search(effect.text)) is not None:
            worker = self._world.workers[int(found[1])]
            must(worker.missed >= MISSES_MAX, "{} is given up, and not to blame", worker)
