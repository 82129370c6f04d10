"""The core in thousands of random worlds: whatever happens, its promises hold.

Each world comes from a seed: a client that writes requests of both eras, batches, duplicates,
cancellations and rubbish; workers that come up or do not, answer late, twice or never, hang and
die, with a ledger that says what had become of their calls; swaps to sound and to flawed releases,
to other configurations, forced or not, several at once and taken back; backends that outlive their
workers, ask and exit, and know what they were given; a clock that is late or oversleeps; and an
end. After every event the rules of `invariants`, `swap_invariants`, `custody_invariants` and
`watch` are checked, and every answer is held against what was asked.

A failure prints its seed. Replay it with

    python -m tests.sim --seed 4711

and run new worlds with `make sim`, or more of these with `SIM_STEPS=5000000`.
"""

import os
from collections import Counter
from collections.abc import Callable

import pytest

from tests.sim.mutations import MUTATIONS
from tests.sim.run import SimulationFailed, simulate

STEPS = int(os.environ.get("SIM_STEPS", "400000"))
"""Steps of all worlds together."""

PARTS = 4
"""Tests the worlds are divided into, so that progress is seen."""

RARE = (
    "taken over",
    "taken over after a crash",
    "taken over dead",
    "given back with calls",
    "given back amid a frame",
    "given back with errands unsent",
    "given back before its handshake",
    "calls returned",
    "a call goes on after a crash",
    "an untouched call is given on",
    "a write in doubt",
    "a torn line is ended",
    "told again",
    "killed with a call at a remote server",
    "a call is made once more",
    "given back with one to be made once more",
    "killed before a call is made once more",
    "refused",
    "never taken over",
    "Cancel waits for a worker",
    "ClientAnswer waits for a worker",
    "parked",
    "about to be parked",
    "parked again",
    "retried",
    "retried badly",
    "retried under another worker",
    "an answer is kept",
    "a parked call is handed over",
    "expired",
    "a backend dies while it is held",
    "a backend dies while it is freezing",
    "a backend dies while it is free",
    "a backend dies while it is adopting",
)
"""What has to happen at times, or its rules are never put to the test."""

RARE_SEEDS = 2000
"""Worlds in which all of it must have happened."""

MUTATION_SEEDS = 400
"""Worlds in which a broken core must be caught."""


@pytest.fixture(scope="module")
def seen() -> Counter[str]:
    """What has happened in all worlds so far."""
    return Counter()


@pytest.mark.parametrize("part", range(PARTS))
def test_every_promise_holds_in_every_world(part: int, seen: Counter[str]) -> None:
    done, seed = 0, part
    while done < STEPS // PARTS:
        done += simulate(seed, seen)
        seed += PARTS


def test_what_is_rare_has_happened(seen: Counter[str]) -> None:
    seed = 0
    while missing := [what for what in RARE if not seen[what]]:
        assert seed < RARE_SEEDS, f"in {seed} worlds never: {missing}"
        simulate(seed, seen)
        seed += 1


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
