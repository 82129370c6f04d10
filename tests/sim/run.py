"""Runs a world from its seed to its end. `SimulationFailed` tells the seed and the last events."""

from relay_supervisor.core import events
from relay_supervisor.core.state import Phase
from tests.sim.actions import NEVER_OFF, WEIGHTS
from tests.sim.model import must
from tests.sim.worker_actions import come_up, reply, serving_worker
from tests.sim.world import World

STEPS_MIN, STEPS_MAX = 20, 400


class SimulationFailed(AssertionError):
    """What went wrong in which world."""

    def __init__(self, world: World, error: Exception) -> None:
        last = "\n".join(f"  {line}" for line in world.trace)
        super().__init__(
            f"{type(error).__name__}: {error}\n\nThe last events of seed {world.seed}:\n{last}\n\n"
            f"Again: SIM_SEED={world.seed} python -m pytest tests/sim -k replay"
        )


def simulate(seed: int) -> int:
    """Let the world of this seed happen; returns the number of its steps.

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
    return steps


def live(world: World, steps: int) -> None:
    """Let random things happen."""
    world.happen(events.Started())
    names = list(WEIGHTS)
    weights = [
        weight if action in NEVER_OFF else world.dice.weigh(action.__name__, weight)
        for action, weight in WEIGHTS.items()
    ]
    for action in world.dice.rng.choices(names, weights, k=steps):
        action(world)


def come_to_rest(world: World) -> None:
    """With a worker that answers everything, nothing stays open but subscriptions."""
    for _ in range(200):
        waiting = [a for a in world.client.open.values() if a.method != "subscriptions/listen"]
        if not waiting:
            break
        come_up(world)
        while (worker := serving_worker(world)) is not None and worker.calls:
            reply(world)
        world.pass_time(0.5)
    must(not waiting, f"never answered: {waiting}")
    phases = {request.phase for request in world.core.requests.values()}
    must(phases <= {Phase.LISTENING}, f"at rest there is {phases}")


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
