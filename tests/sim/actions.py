"""Everything that can happen in a simulated world, legal and illegal, each with its weight.

An action looks at the world and does one thing, or nothing where there is nothing to do it to.
"""

from collections.abc import Callable

from tests.sim import client_actions, worker_actions
from tests.sim.world import World

Action = Callable[[World], None]


def moment(world: World) -> None:
    world.pass_time(world.dice.rng.random() * 0.1)


def while_passes(world: World) -> None:
    world.pass_time(world.dice.rng.expovariate(0.5))


def oversleep(world: World) -> None:
    world.oversleep(world.dice.pick((2.0, 60.0, 8 * 3600.0)))


WEIGHTS: dict[Action, float] = {
    client_actions.initialize: 0.5,
    client_actions.initialized: 0.5,
    client_actions.call: 8,
    client_actions.ask_relay: 4,
    client_actions.batch: 2,
    client_actions.rubbish: 1,
    client_actions.too_long: 0.3,
    client_actions.cancel: 3,
    client_actions.notify: 0.5,
    client_actions.answer_question: 2,
    client_actions.control: 0.3,
    worker_actions.come_up: 4,
    worker_actions.catalogue: 1.5,
    worker_actions.reply: 8,
    worker_actions.reply_again: 0.7,
    worker_actions.progress: 2,
    worker_actions.routed: 1,
    worker_actions.late_frame: 0.7,
    worker_actions.report: 1,
    worker_actions.ready: 0.1,
    worker_actions.question: 1.5,
    worker_actions.withdraw: 0.5,
    worker_actions.spawn: 0.7,
    worker_actions.stop_backend: 0.3,
    worker_actions.die: 0.3,
    worker_actions.break_pipe: 0.15,
    worker_actions.newer_message: 0.3,
    moment: 3,
    while_passes: 1,
    oversleep: 0.1,
}
"""How often each action is taken, before a run's own taste."""

NEVER_OFF: tuple[Action, ...] = (
    client_actions.initialize,
    client_actions.call,
    worker_actions.come_up,
    worker_actions.reply,
    moment,
    while_passes,
)
"""Without these a run would say nothing."""
