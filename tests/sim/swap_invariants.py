"""What must hold of generations and swaps after every event. Reads the core, changes nothing."""

from collections import Counter
from typing import TYPE_CHECKING

from relay_supervisor.core.custody import ADOPT_SECONDS_MAX, FREEZE_SECONDS_MAX
from relay_supervisor.core.drains import DRAINERS_MAX
from relay_supervisor.core.generation import COMING, GONE, Generation, Life
from relay_supervisor.core.probation import RELAY_ERRORS_MAX
from relay_supervisor.core.processes import WAIT_SECONDS, Pace, Rung
from tests.sim.model import must

if TYPE_CHECKING:
    from tests.sim.world import World

LATE_SECONDS = 1.0
PATIENCE = sum(WAIT_SECONDS[Pace.PATIENT].values())
MOVE_SECONDS_MAX = FREEZE_SECONDS_MAX + ADOPT_SECONDS_MAX + PATIENCE
"""How long it may take until all backends have changed hands, the end of one included."""


def check(world: "World") -> None:
    """Hold the core against all rules."""
    if world.relay.ending.pace is not None:
        nobody_waits_for_a_swap(world)
        return
    generations = list(world.relay.shared.workers.state.generations.values())
    there_are_not_too_many(world, generations)
    who_is_let_go_is_on_the_way_out(world, generations)
    swaps_and_generations_belong_together(world, generations)
    drains_end_in_time(world)
    whoever_is_needed_is_watched(world)


def nobody_waits_for_a_swap(world: "World") -> None:
    """At the end every conversation is over."""
    must(not world.relayctl.waiting, "at the end relayctl waits for {}", world.relayctl.waiting)


def there_are_not_too_many(world: "World", generations: list[Generation]) -> None:
    """One serves, one stands by, one candidate and one that is started again come up, two drain."""
    lives = Counter(generation.state for generation in generations)
    must(lives[Life.ACTIVE] <= 1, "{}: too many serve", lives)
    must(lives[Life.STANDBY] <= 1, "{}: too many stand by", lives)
    must(lives[Life.DRAINING] <= DRAINERS_MAX, "{}: too many drain", lives)
    warming = world.relay.swaps.warming
    candidate = None if warming is None else warming.new
    coming = [g for g in generations if g.state in COMING and g.number != candidate]
    must(len(coming) <= 1, "{} are all started", coming)
    surplus = [g for g in coming if g.offer.configured and lives[Life.ACTIVE]]
    must(not surplus, "{} came up, and nobody needs them", surplus)
    for active in (g for g in generations if g.state is Life.ACTIVE):
        served = world.core.limits == active.offer.limits
        must(served, "{} serves, and its limits do not hold", active)


def who_is_let_go_is_on_the_way_out(world: "World", generations: list[Generation]) -> None:
    """Nobody who is let go is left running, and of the dead nothing is left."""
    by_pid = world.relay.shared.processes.by_pid
    for generation in generations:
        pid = generation.pid
        if pid is None:
            must(generation.state is Life.SPAWNING, "{} has no process", generation)
        else:
            process = by_pid.get(pid)
            must(process is not None, "{} is dead, and not forgotten", generation)
            assert process is not None
            leaving = process.rung is not Rung.RUNNING
            must(
                leaving or generation.state not in GONE, "nobody ends the process of {}", generation
            )
    lives = {generation.number: generation.state for generation in generations}
    owned = {charge.pid for charge in world.core.charges.values()}
    for process in by_pid.values():
        kept = process.rung is Rung.RUNNING and process.pid not in owned
        let_go = lives.get(process.generation) in (None, *GONE)
        must(not (kept and let_go), "nobody ends {}", process)
    workers = [p for p in by_pid.values() if not p.backend]
    must(len(workers) <= len(generations), "a worker's process without its generation")


def swaps_and_generations_belong_together(world: "World", generations: list[Generation]) -> None:
    """Whoever comes up, stands by or proves itself does so for a swap, and with a deadline."""
    swaps, timers = world.relay.swaps, world.relay.shared.timers.at
    lives = {generation.number: generation.state for generation in generations}
    if (warming := swaps.warming) is not None:
        must(warming.outcome is None, "{} is over and not forgotten", warming)
        if warming.new is not None:
            must(lives.get(warming.new) in COMING, "{} without its candidate: {}", warming, lives)
            must("candidate" in timers, "a candidate without a deadline")
        else:
            must(Life.ACTIVE in lives.values(), "{} waits, and nobody serves", warming)
    else:
        must("candidate" not in timers, "a deadline for no candidate")
    standing_by = [number for number, life in lives.items() if life is Life.STANDBY]
    if (probation := swaps.probation) is not None:
        must(probation.outcome is None, "{} is over and not forgotten", probation)
        must(lives.get(probation.new or 0) is Life.ACTIVE, "{}: {}", probation, lives)
        moving = probation.kept and world.relay.custody.moving
        checking = probation.checking or moving
        must(probation.checking == ("checks" in timers), "checks and their deadline: {}", probation)
        must(checking or "probation" in timers, "a probation without a deadline")
        must(standing_by in ([], [probation.old]), "{} stand by for {}", standing_by, probation)
        limits, watch = world.core.limits, world.watch
        answered, errors = watch.answered.get(probation.new or 0, (0, 0))
        enough = answered >= limits.probation_calls
        must(checking or not enough, "{} has answered {} calls", probation, answered)
        bad = errors >= RELAY_ERRORS_MAX and errors * 2 > answered
        must(not bad, "{}: {} of {} calls have failed in the relay", probation, errors, answered)
        limit = limits.probation_seconds + limits.ready_seconds_max * checking + LATE_SECONDS
        limit += MOVE_SECONDS_MAX * probation.kept
        since = world.watch.served.get(probation.new or 0, world.awake)
        served = world.awake - since
        late = served > limit and since > world.unread_until
        must(not late, "{} has served {} s", probation, served)
    else:
        must(not standing_by, "{} stand by, and nobody is on probation", standing_by)
        must("probation" not in timers, "a deadline for no probation")
        must("checks" not in timers, "a deadline for no checks")


def drains_end_in_time(world: "World") -> None:
    """Every drainer is known, has something under way, and ends by its deadline."""
    generations = world.relay.shared.workers.state.generations
    draining = {number for number, g in generations.items() if g.state is Life.DRAINING}
    open_ones = set(world.relay.drains.open)
    must(draining == open_ones, "{} drain, known are {}", draining, open_ones)
    timers = world.relay.shared.timers.at
    for number in draining:
        calls = any(call.generation == number for call in world.core.calls.values())
        asks = any(ask.generation == number for ask in world.core.asks.values())
        leaving = world.relay.custody.leaving(number)
        must(calls or asks or leaving, "{} drains with nothing under way", number)
        limited = f"drain_max#{number}" in timers or leaving
        must(limited or not (calls or asks), "{} drains without a deadline", number)
        since = world.watch.drains.setdefault(number, world.awake)
        drained = world.awake - since
        limit = world.watch.drain_seconds_max + LATE_SECONDS + MOVE_SECONDS_MAX * leaving
        late = drained > limit and since > world.unread_until
        must(not late, "{} has drained for {} s", number, drained)


def whoever_is_needed_is_watched(world: "World") -> None:
    """While anything is open there are heartbeats."""
    timers = world.relay.shared.timers.at
    busy = world.core.calls or world.relay.swaps.open
    must(not busy or "heartbeat" in timers, "nobody watches the workers")
