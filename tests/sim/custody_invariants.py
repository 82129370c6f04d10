"""What must hold of charges, errands and processes after every event, and when all is at rest."""

from typing import TYPE_CHECKING

from relay_supervisor.core.charges import wanted, wants
from relay_supervisor.core.generation import GONE
from relay_supervisor.core.state import Hold
from tests.sim.model import must

if TYPE_CHECKING:
    from tests.sim.world import World


def check(world: "World") -> None:
    """Hold the core against all rules."""
    charges_are_held_by_one(world)
    processes_have_somebody(world)
    moves_have_deadlines(world)
    errands_are_for_somebody(world)
    notices_wait_for_a_reason(world)
    pipes_are_closed(world)


def charges_are_held_by_one(world: "World") -> None:
    """Each has its holder, if it has one, and each of its processes lives or is to be taken in."""
    generations = world.relay.shared.workers.state.generations
    active = world.relay.shared.workers.active()
    adopting = any(charge.hold is Hold.ADOPTING for charge in world.core.charges.values())
    for charge in world.core.charges.values():
        free = charge.hold is Hold.FREE
        must(free == (charge.holder == 0), "{}", charge)
        must(free or charge.holder in generations, "{} is with nobody", charge)
        lives = charge.pid in world.children
        must(not charge.pid or lives or charge.exit_status is not None, "{} is dead", charge)
        due = free and not charge.ending and active is not None and wants(active, charge)
        due = due and not (charge.deaths and adopting)
        must(not due, "{} is free, and {} wants it", charge, active)
        if charge.pid:
            server = world.servers[charge.pid]
            must(server.given_to <= {charge.holder}, "{} is with {}", charge, server.given_to)


def processes_have_somebody(world: "World") -> None:
    """What runs is a charge's, or is ended; and somebody reads its stderr."""
    owners = {charge.pid: charge for charge in world.core.charges.values() if charge.pid}
    for pid, server in world.servers.items():
        if server.alive:
            must(pid in owners or server.closed, "{} is nobody's", pid)
            read = server.tended or server.given_to or server.closed
            read = read or server.refused  # until that one is dead
            must(read, "nobody reads the stderr of {}", pid)


def notices_wait_for_a_reason(world: "World") -> None:
    """What the client says by itself waits only while somebody could miss it."""
    moving = any(c.pid and c.hold is not Hold.HELD for c in world.core.charges.values())
    ending = world.relay.ending.pace is not None
    must(moving or ending or not world.relay.shared.memory.notices, "a notice waits for nobody")


def moves_have_deadlines(world: "World") -> None:
    """Whoever is to give back, or to take over, has to do it in time."""
    timers, generations = world.relay.shared.timers.at, world.relay.shared.workers.state.generations
    due = set()
    for charge in world.core.charges.values():
        if charge.hold in {Hold.FREEZING, Hold.ADOPTING}:
            freezing = charge.hold is Hold.FREEZING
            name = f"freeze#{charge.holder}" if freezing else f"adopt#{charge.pid}"
            over = generations[charge.holder].state in GONE
            must(over or name in timers, "{} without a deadline", charge)
            due.add(name)
    moves = {name for name in timers if name.startswith(("freeze#", "adopt#"))}
    must(moves <= due, "deadlines for nothing: {}", moves - due)


def errands_are_for_somebody(world: "World") -> None:
    """Each has a worker, or a process that will have one."""
    generations = world.relay.shared.workers.state.generations
    free = {c.pid for c in world.core.charges.values() if c.hold is Hold.FREE}
    for errand in world.core.errands.values():
        if not errand.generation:
            world.seen[f"{type(errand.message).__name__} waits for a worker"] += 1
        somebody = generations if errand.generation else free
        must((errand.generation or errand.pid) in somebody, "{} is for nobody", errand)


def pipes_are_closed(world: "World") -> None:
    """Of processes that are dead, and of which nothing is left to be read."""
    owned = {charge.pid for charge in world.core.charges.values()}
    left = world.pipes - world.children.keys() - owned
    must(not left, "the pipes of {} are still open", left)


def at_rest(world: "World") -> None:
    """Nothing is left of what is over, and nobody was forgotten."""
    active = world.relay.shared.workers.active()
    assert active is not None
    keys = {key for key, _ in wanted(active)}
    must(keys == world.core.charges.keys(), "{} are kept for {}", world.core.charges, keys)
    for charge in world.core.charges.values():
        must((charge.hold, charge.holder) == (Hold.HELD, active.number), "{}", charge)
    hangs = world.workers[active.number].deaf
    must(hangs or not world.core.errands, "errands are left: {}", world.core.errands)
    for server in world.servers.values():
        if server.alive and not hangs:
            _nobody_waits(world, server.pid)


def _nobody_waits(world: "World", pid: int) -> None:
    """A backend was told whatever it had to be told, and has told whatever it had to tell."""
    server = world.servers[pid]
    must(len(server.told) == len(server.out), "{} was not heard to the end", pid)
    open_ones = {ask.backend_id.decode() for ask in world.core.asks.values()}
    unheard = [q for q, over in server.asked.items() if not over and q not in open_ones]
    must(not unheard, "{} waits for answers to {}", pid, unheard)
    forgotten = [n for n in server.busy() if not world.sent[n].doubt]
    must(not forgotten, "{} still works on {}, and nobody waits", pid, forgotten)
