"""What must hold after every event, whatever has happened. Reads the core, changes nothing."""

from typing import TYPE_CHECKING

from relay_supervisor.core.generation import COMING, Life
from relay_supervisor.core.processes import Rung
from relay_supervisor.core.state import Hold, Phase
from tests.sim import custody_invariants, parking_invariants, swap_invariants
from tests.sim.model import must

if TYPE_CHECKING:
    from tests.sim.world import World

HOLDS_CALLS = (Life.ACTIVE, Life.STANDBY, Life.DRAINING, Life.FAILED)
"""One that failed still has its calls, until its death is proven."""

LATE_SECONDS = 1.0
"""How much longer than its limit anything may take; the loop may be late by half of that."""

GREETING_SECONDS = 2.0
END_SECONDS = 1.8
"""0.8 s for last answers and 1.0 s to stop."""


def check(world: "World") -> None:
    """Hold the core against all rules."""
    requests_are_those_of_the_client(world)
    calls_and_requests_belong_together(world)
    batches_add_up(world)
    bytes_add_up(world)
    one_generation_is_active(world)
    children_are_known(world)
    questions_are_known(world)
    parking_invariants.check(world)
    if not world.exited:
        no_deadline_is_long_past(world)
        nothing_waits_without_a_deadline(world)
        nothing_waits_for_too_long(world)
        swap_invariants.check(world)
        if world.relay.ending.pace is None:
            custody_invariants.check(world)
            world.remote.check()


def requests_are_those_of_the_client(world: "World") -> None:
    """Every open request is in the core's table, and no other; answers of a batch may be held."""
    core, client = world.core.requests, world.client.open
    strange = [key for key, request in core.items() if request.raw_id and key not in client]
    must(not strange, "the core has requests that are closed for the client: {}", strange)
    lost = [asked for key, asked in client.items() if key not in core and not asked.batch]
    must(not lost, "the core has forgotten {}", lost)
    for key, request in core.items():
        must(request.id == key and type(request.id) is type(key), "{} under {!r}", request, key)
        if not request.raw_id:
            continue  # see `parked_requests_are_those_of_the_client`
        must(request.method == client[key].method, "{} is not {}", request, client[key])


def calls_and_requests_belong_together(world: "World") -> None:
    """No call without its request, no calling request without its call, none with one that is let
    go, and none with the dead once that is proven.
    """
    state, workers = world.core, world.relay.shared.workers.state
    for number, call in state.calls.items():
        request = state.requests.get(call.request)
        must(request is not None, "{} has no request", call)
        assert request is not None
        must(request.call == number == call.number, "{} is not the call of {}", call, request)
        must(request.phase is Phase.CALLING, "{} has a call", request)
        generation = workers.generations.get(call.generation)
        # At the end they are answered all at once, when it is reached.
        ending = world.relay.ending.pace is not None
        holds = generation is not None and generation.state in HOLDS_CALLS
        if not call.generation:
            free = [c.pid for c in state.charges.values() if c.hold is Hold.FREE]
            holds = call.pid > 0 and call.pid in free
        must(holds or ending, "{} is with generation {}", call, generation)
    for request in state.requests.values():
        if request.phase is Phase.CALLING:
            must(request.call in state.calls, "{} has no call", request)
        must(
            (request.phase is Phase.LISTENING) == (request.id in state.peer.listens),
            "{} and the subscriptions differ",
            request,
        )
    must(len(state.peer.listens) <= len(state.requests), "subscriptions without requests")


def batches_add_up(world: "World") -> None:
    """A batch waits for as many answers as it has open requests."""
    waiting: dict[int, int] = {}
    for request in world.core.requests.values():
        waiting[request.batch] = waiting.get(request.batch, 0) + 1
    waiting.pop(0, None)
    core = {number: batch.waiting for number, batch in world.core.batches.items()}
    must(core == waiting, "batches wait for {}, open are {}", core, waiting)


def bytes_add_up(world: "World") -> None:
    """The retained bytes are those of the open requests."""
    held = sum(len(request.params) for request in world.core.requests.values())
    held += sum(len(parked.answer) for parked in world.relay.shared.memory.parking.open.values())
    must(world.core.retained_bytes == held, "{} for {} bytes", world.core.retained_bytes, held)


def one_generation_is_active(world: "World") -> None:
    """At most one, and it is the one the core names."""
    workers = world.relay.shared.workers.state
    active = [g.number for g in workers.generations.values() if g.state is Life.ACTIVE]
    must(len(active) <= 1, "{} are active", active)
    if workers.active is None:
        must(not active, "{} is active and not known to be", active)
    else:
        must(active == [workers.active], "{} is named, {} is active", workers.active, active)


def children_are_known(world: "World") -> None:
    """The core's children are those that live."""
    core = sorted(world.relay.shared.processes.by_pid)
    must(core == sorted(world.children), "the core knows {}, alive are {}", core, [*world.children])


def questions_are_known(world: "World") -> None:
    """What the client was asked and has not answered is in the core's table."""
    lost = world.client.questions - set(world.core.asks)
    must(not lost, "the client is to answer {}, which nobody waits for", lost)
    if world.core.peer.ready:
        asked = {number for number, ask in world.core.asks.items() if not ask.ticket}
        unasked = asked - world.client.questions
        must(not unasked, "{} were never put to the client", unasked)


def no_deadline_is_long_past(world: "World") -> None:
    """One set in the past would look as if the loop had overslept, and postpone all others."""
    deadline = world.relay.next_deadline()
    must(deadline is None or deadline >= world.now - LATE_SECONDS, "{} is long past", deadline)


def nothing_waits_without_a_deadline(world: "World") -> None:
    """Whoever waits for a time has a deadline that will come."""
    timers, workers = world.relay.shared.timers.at, world.relay.shared.workers.state
    phases = {request.phase for request in world.core.requests.values()}
    for phase, name in (
        (Phase.GREETING, "greeting"),
        (Phase.LISTING, "first lists"),
        (Phase.HELD, "held"),
    ):
        must(phase not in phases or name in timers, "{} without the deadline {!r}", phase, name)
    if any(call.deadline is not None or call.progress for call in world.core.calls.values()):
        must("calls" in timers, "calls without their deadline")
    by_pid = world.relay.shared.processes.by_pid
    for process in by_pid.values():
        on_its_way = process.rung in {Rung.CLOSED, Rung.TERMINATED}
        must(not on_its_way or f"process#{process.pid}" in timers, "{} is left as it is", process)
    if world.relay.ending.pace is None:
        alive = [g for g in workers.generations.values() if g.state in COMING]
        served = workers.active is not None
        # Before the first event there is none, and that is not the simulation's concern.
        to_come = alive or "respawn" in timers or not world.workers
        must(served or to_come, "no worker serves, and none is to come")
        held = [r for r in world.core.requests.values() if r.phase is Phase.HELD]
        must(not (served and held), "a worker serves, and {} are still held", held)
    else:
        must("stop" in timers, "an end without a deadline")
        running = [c for c in by_pid.values() if c.rung is Rung.RUNNING]
        must(not running, "at the end nobody ends {}", running)


def nothing_waits_for_too_long(world: "World") -> None:
    """No limit is passed by more than the loop may be late. Time asleep does not count."""
    limits = world.core.limits
    longest = {
        Phase.GREETING: GREETING_SECONDS,
        Phase.LISTING: limits.first_list_wait_seconds,
    }
    for key, request in world.core.requests.items():
        asked = world.client.open.get(key)
        if asked is not None and (seconds := longest.get(request.phase)) is not None:
            waited = world.awake - asked.born
            must(waited <= seconds + LATE_SECONDS, "{} has waited {:.3f} s", request, waited)
        elif request.phase is Phase.HELD:
            waited = world.now - request.held_since
            limit = limits.queue_wait_seconds + LATE_SECONDS
            must(waited <= limit, "{} is held for {:.3f} s", request, waited)
    for call in world.core.calls.values():
        if call.deadline is not None:
            must(world.now <= call.deadline + LATE_SECONDS, "{} is over its limit", call)
    if world.ended is not None:
        took = world.awake - world.ended
        must(took <= END_SECONDS + LATE_SECONDS, "the end has taken {:.3f} s", took)
