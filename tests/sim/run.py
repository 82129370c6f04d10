"""Runs a world from its seed to its end. `SimulationFailed` tells the seed and the last events."""

from collections import Counter

from relay_supervisor.core import events
from relay_supervisor.core.generation import Life
from relay_supervisor.core.state import Hold, Phase
from relay_supervisor.errors import ProtocolError
from relay_supervisor.wire import v1
from tests.sim import custody_invariants
from tests.sim.actions import KINDS, NEVER_OFF, WEIGHTS
from tests.sim.client_actions import initialize, initialized
from tests.sim.custody_actions import do_everything
from tests.sim.model import must
from tests.sim.rising import come_up, run_checks, speakers
from tests.sim.swap_actions import stop_reading
from tests.sim.worker_actions import reply
from tests.sim.world import World

STEPS_MIN, STEPS_MAX = 20, 400
REST_ROUNDS_MAX = 600


class SimulationFailed(AssertionError):
    """What went wrong in which world."""

    def __init__(self, world: World, error: Exception) -> None:
        last = "\n".join(f"  {now:12.3f} {_words(event)[:300]}" for now, event in world.trace)
        super().__init__(
            f"{type(error).__name__}: {error}\n\nThe last events of seed {world.seed}:\n{last}\n\n"
            f"Again: python -m tests.sim --seed {world.seed}"
        )


def _words(event: object) -> str:
    """An event to be read; of a frame what it says, if it says anything."""
    if isinstance(event, events.WorkerFrame):
        try:
            message = v1.decode_to_supervisor(event.header)
        except ProtocolError:
            return str(event)
        return f"from {event.generation}: {message} {event.payload!r}"
    return str(event)


def simulate(seed: int, seen: Counter[str] | None = None) -> int:
    """Let the world of this seed happen; returns the number of its steps, and adds to *seen* what
    has happened in it.

    Raises:
        SimulationFailed: a rule was broken, or the core raised.
    """
    world = World(seed)
    steps = world.dice.rng.randint(STEPS_MIN, STEPS_MAX)
    try:
        live(world, steps)
        if world.dice.chance(0.5):
            come_to_rest(world)
        finish(world)
    except Exception as error:
        raise SimulationFailed(world, error) from error
    if seen is not None:
        seen.update(world.seen)
    return steps


def live(world: World, steps: int) -> None:
    """Let random things happen."""
    world.happen(events.Started())
    if world.dice.chance(0.7):
        initialize(world)
        initialized(world)
    names, kind = list(WEIGHTS), world.dice.pick(KINDS)
    weights = [
        world.dice.weigh(weight, off=action not in NEVER_OFF) * kind.get(action, 1.0)
        for action, weight in WEIGHTS.items()
    ]
    for action in world.dice.rng.choices(names, weights, k=steps):
        action(world)


def come_to_rest(world: World) -> None:
    """Everybody is sound and answers everything, but that who hangs may go on hanging: nothing
    stays open but subscriptions, one worker serves, and no other is left.
    """
    hang = world.dice.chance(0.5)
    if world.unread:
        stop_reading(world)
    world.spawn_failures = 0.0
    world.disk.repair()
    for _ in range(REST_ROUNDS_MAX):
        for worker in world.workers.values():
            worker.deaf = worker.deaf and hang
        for _ in range(4):
            come_up(world)
            run_checks(world)
        do_everything(world)
        world.upgrade.answer()
        world.turn()
        while any(worker.calls for worker in speakers(world)):
            reply(world)
        world.client.answer_questions()
        for state in [*world.client.parked.by_state]:
            world.client.parked.retry(state, whole=True)
        if at_rest(world):
            do_everything(world)  # what was told last, and what came of it
            world.client.answer_questions()
            do_everything(world)
            if at_rest(world):
                custody_invariants.at_rest(world)
                return
        world.pass_time(0.5)
    must(False, f"never at rest: {world.client.open}, {world.relayctl.waiting}")


def at_rest(world: World) -> bool:
    """Whether nothing is under way any more."""
    phases = {request.phase for request in world.core.requests.values()}
    generations = world.relay.shared.workers.state.generations.values()
    return (
        phases <= {Phase.LISTENING}
        and not world.relayctl.waiting
        and not world.client.parked.by_state
        and [generation.state for generation in generations] == [Life.ACTIVE]
        and not any(charge.hold is Hold.FREE for charge in world.core.charges.values())
        and not world.relay.custody.moving
        and not any(name.startswith("closed#") for name in world.relay.shared.timers.at)
    )


def finish(world: World) -> None:
    """End it in one of its ways; meanwhile workers and children do as they please."""
    ways = (
        events.ClientClosed(),
        events.ClientGone(),
        events.StopRequested(2),
        events.StopRequested(15),
    )
    world.end(world.dice.pick(ways))
    for _ in range(100):
        if world.exited:
            return
        if world.dice.chance(0.1):
            world.end(world.dice.pick(ways[1:]))
        elif world.dice.chance(0.3):
            world.dice.pick(WEIGHTS)(world)
        else:
            world.pass_time(0.05)
    must(world.exited, "the end does not come")
