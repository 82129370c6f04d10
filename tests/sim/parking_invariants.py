"""What must hold of parked requests after every event: none is lost, none waits for ever."""

from typing import TYPE_CHECKING

from relay_supervisor.core.parking import RETRY_SECONDS_MAX
from relay_supervisor.core.state import Hold, Seat
from tests.sim.model import must
from tests.sim.parked import ROUNDING

if TYPE_CHECKING:
    from tests.sim.world import World


def check(world: "World") -> None:
    """Hold the core against all rules."""
    known = world.relay.shared.memory.parking.open
    if not known and not world.client.parked.by_state:
        return
    parked_requests_are_those_of_the_client(world)
    seats_are_right(world)
    questions_are_asked_somewhere(world)


def parked_requests_are_those_of_the_client(world: "World") -> None:
    """Whoever was told to come back can do so, until the time is over; and nobody else."""
    known = world.relay.shared.memory.parking.open.values()
    waiting = [parked for parked in known if parked.seat is not Seat.OPEN]
    told = world.client.parked.by_state.values()
    young = [asked for asked in told if world.now - asked.since < RETRY_SECONDS_MAX - ROUNDING]
    must(len(young) <= len(waiting), "of {} only {} are left", young, waiting)
    # What is answered within a batch the client gets with the rest of it.
    unsent = [a for key, a in world.client.open.items() if key not in world.core.requests]
    must(len(waiting) <= len(told) + len(unsent), "{} wait, and {} was told", waiting, told)


def seats_are_right(world: "World") -> None:
    """Each has what its seat says, and a deadline while it waits, or is about to."""
    timers, requests = world.relay.shared.timers.at, world.core.requests
    by_ticket = {request.ticket: request for request in requests.values() if request.ticket}
    known = world.relay.shared.memory.parking.open
    asked = {ask.ticket for ask in world.core.asks.values()}
    must(by_ticket.keys() <= known.keys(), "{} have tickets, {} are known", by_ticket, known)
    for ticket, parked in known.items():
        request = by_ticket.get(ticket)
        away = request is not None and not request.raw_id
        must((parked.seat is Seat.PARKED) == away, "{} with {}", parked, request)
        must((parked.seat is Seat.KEPT) == (request is None), "{} with {}", parked, request)
        must((parked.seat is Seat.KEPT) == bool(parked.answer), "{}", parked)
        waits = f"parked#{ticket}" in timers
        ending = world.relay.ending.pace is not None
        if parked.seat is Seat.OPEN:
            must(waits or ticket not in asked or ending, "{}: {}", parked, timers)
            world.seen["about to be parked"] += ticket in asked
        else:
            must(waits or ending, "{}: {}", parked, timers)
        world.seen["an answer is kept"] += parked.seat is Seat.KEPT
        call = world.core.calls.get(request.call) if request is not None else None
        free = [c.pid for c in world.core.charges.values() if c.hold is Hold.FREE]
        world.seen["a parked call is handed over"] += away and call is not None and call.pid in free


def questions_are_asked_somewhere(world: "World") -> None:
    """Each belongs to a request that is parked: the client has it, or gets it with the retry; or
    in a moment.
    """
    known = world.relay.shared.memory.parking.open
    timers = world.relay.shared.timers.at
    ending = world.relay.ending.pace is not None
    for ask in world.core.asks.values():
        if ask.ticket:
            parked = known.get(ask.ticket)
            sits = parked is not None and parked.seat is not Seat.OPEN
            soon = f"parked#{ask.ticket}" in timers
            must(sits or soon or ending, "{} in {}", ask, parked)
