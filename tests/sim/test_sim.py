"""The core in thousands of random worlds: whatever happens, its promises hold.

Each world comes from a seed: a client that writes requests of both eras, batches, duplicates,
cancellations and rubbish; workers that come up or do not, answer late, twice or never, hang and
die, with a ledger that says what had become of their calls; swaps to sound and to flawed releases,
to other configurations, forced or not, several at once and taken back; backends that ask and exit;
a clock that is late or oversleeps; and an end. After every event the rules of `invariants`,
`swap_invariants` and `watch` are checked, and every answer is held against what was asked.

A failure prints its seed. Replay it with

    python -m tests.sim --seed 4711

and run new worlds with `make sim`, or more of these with `SIM_STEPS=5000000`.
"""

import os
from collections.abc import Callable

import pytest

from tests.sim.mutations import MUTATIONS
from tests.sim.run import SimulationFailed, simulate

STEPS = int(os.environ.get("SIM_STEPS", "400000"))
"""Steps of all worlds together."""

PARTS = 4
"""Tests the worlds are divided into, so that progress is seen."""

MUTATION_SEEDS = 400
"""Worlds in which a broken core must be caught."""


@pytest.mark.parametrize("part", range(PARTS))
def test_every_promise_holds_in_every_world(part: int) -> None:
    done, seed = 0, part
    while done < STEPS // PARTS:
        done += simulate(seed)
        seed += PARTS


def test_a_seed_gives_the_same_world_every_time() -> None:
    assert [simulate(seed) for seed in range(5)] == [simulate(seed) for seed in range(5)]


@pytest.mark.parametrize("break_it", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_core_that_is_broken_on_purpose_is_caught(
    break_it: Callable[[pytest.MonkeyPatch], None],
) -> None:
    """By a world in which the right core keeps all its promises."""
    for seed in range(MUTATION_SEEDS):
        with pytest.MonkeyPatch.context() as patch:
            break_it(patch)
            try:
                simulate(seed)
            except SimulationFailed:
                break
    else:
        pytest.fail(f"{MUTATION_SEEDS} worlds have not noticed")
    simulate(seed)
