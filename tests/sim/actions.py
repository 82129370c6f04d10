"""Everything that can happen in a simulated world, legal and illegal, each with its weight.

An action looks at the world and does one thing, or nothing where there is nothing to do it to.
"""

from collections.abc import Callable

from tests.sim import client_actions as client
from tests.sim import custody_actions as custody
from tests.sim import swap_actions as swaps
from tests.sim import worker_actions as workers
from tests.sim.rising import come_up, run_checks
from tests.sim.world import World

Action = Callable[[World], None]


def moment(world: World) -> None:
    world.pass_time(world.dice.rng.random() * 0.1)


def while_passes(world: World) -> None:
    world.pass_time(world.dice.rng.expovariate(0.5))


def oversleep(world: World) -> None:
    world.oversleep(world.dice.pick((2.0, 60.0, 8 * 3600.0)))


WEIGHTS: dict[Action, float] = {
    client.initialize: 0.5,
    client.initialized: 0.5,
    client.call: 8,
    client.ask_relay: 4,
    client.batch: 1.5,
    client.rubbish: 0.7,
    client.too_long: 0.3,
    client.cancel: 3,
    client.notify: 0.5,
    client.answer_question: 2,
    client.call_modern: 2,
    client.retry: 2,
    client.retry_badly: 0.5,
    client.let_it_expire: 0.01,
    swaps.swap: 1.2,
    swaps.rollback: 0.25,
    swaps.replace_supervisor: 0.5,
    swaps.answer_check: 3,
    swaps.answer_check_late: 0.1,
    swaps.edit_configuration: 0.3,
    swaps.control: 0.3,
    swaps.stop_reading: 0.2,
    come_up: 14,
    run_checks: 0.5,
    workers.carry: 5,
    workers.reply: 8,
    workers.reply_again: 0.7,
    workers.meddle: 0.5,
    workers.progress: 1.5,
    workers.routed: 0.5,
    workers.last_words: 0.5,
    workers.late_frame: 0.7,
    workers.report: 1,
    workers.remote_news: 0.7,
    workers.backend_changes: 0.5,
    workers.drop_a_tool: 0.1,
    workers.question: 1.2,
    workers.withdraw: 0.5,
    workers.spawn: 0.7,
    workers.stop_backend: 0.3,
    workers.die: 0.3,
    workers.active_dies: 0.3,
    workers.break_pipe: 0.15,
    workers.stop_worker: 0.15,
    workers.wake_worker: 0.1,
    workers.newer_message: 0.3,
    custody.take_in: 14,
    custody.write: 10,
    custody.read: 8,
    custody.serve: 7,
    custody.talk: 3,
    custody.ask: 2,
    custody.want_more: 3,
    custody.make_once_more: 6,
    custody.call_remote: 5,
    custody.start: 2,
    custody.stop_server: 0.2,
    custody.say_something: 0.5,
    custody.killed_while_writing: 0.2,
    custody.killed_before_once_more: 0.5,
    custody.server_dies: 0.2,
    custody.ask_too_much: 0.3,
    custody.lie: 0.03,
    moment: 3,
    while_passes: 1.5,
    oversleep: 0.1,
}
"""How often each action is taken, before a run's own taste."""

KINDS: tuple[dict[Action, float], ...] = (
    {},
    {},
    # Swaps as fast as they are accepted, while calls take their time.
    {swaps.swap: 6, workers.reply: 0.3, come_up: 2, workers.die: 0.3, while_passes: 0.3},
    # One death after another, at every stage of a call.
    {workers.active_dies: 6, workers.carry: 2, come_up: 2},
    # The same, with workers that are killed amid a write.
    {custody.killed_while_writing: 12, come_up: 2, client.call: 2},
    # One hand-over after another, amid all that can be under way.
    {swaps.swap: 8, swaps.rollback: 4, come_up: 3, client.call: 2, custody.talk: 2},
    {swaps.swap: 6, custody.killed_while_writing: 5, workers.active_dies: 3, come_up: 3},
    # The same, with workers that are slow to look at what they are told.
    {swaps.swap: 6, swaps.rollback: 10, custody.take_in: 0.15, client.cancel: 2, come_up: 3},
    # Calls that ask, and a client that comes back to them, amid all that.
    {
        client.call_modern: 4,
        client.retry: 3,
        client.let_it_expire: 30,
        custody.ask: 4,
        workers.question: 4,
        come_up: 2,
    },
    {client.call_modern: 3, client.retry: 2, custody.ask: 4, swaps.swap: 6, come_up: 3},
    {client.call_modern: 3, client.retry: 2, custody.ask: 4, workers.active_dies: 5, come_up: 3},
    # Calls that are made once more, with workers that move on or are killed at each step of it.
    {
        custody.want_more: 8,
        custody.make_once_more: 3,
        custody.killed_before_once_more: 10,
        swaps.swap: 4,
        come_up: 3,
        client.call: 2,
    },
    # Workers that hang, and a loop that is late.
    {workers.stop_worker: 6, workers.wake_worker: 2, while_passes: 3, oversleep: 5},
)
"""What some runs are about: how much more, or less, of an action there is in them."""

NEVER_OFF: tuple[Action, ...] = (
    client.initialize,
    client.call,
    come_up,
    workers.reply,
    custody.take_in,
    custody.write,
    custody.read,
    moment,
    while_passes,
)
"""Without these a run would say nothing."""
