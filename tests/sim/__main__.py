"""Runs the simulation for longer than the tests do, from seeds nobody has seen, on all processors.

python -m tests.sim                 two million steps from random seeds
python -m tests.sim --steps 50e6    as many
python -m tests.sim --seed 4711     this one world again
"""

import argparse
import concurrent.futures
import os
import random
import sys
import time

from tests.sim.run import SimulationFailed, simulate

WORLDS_PER_ROUND = 100
FAILURES_SHOWN_MAX = 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--steps", type=float, default=2e6, help="how many steps, of all worlds")
    parser.add_argument("--seed", type=int, help="replay the world of this seed")
    wanted = parser.parse_args()
    if wanted.seed is not None:
        return replay(wanted.seed)
    return explore(int(wanted.steps))


def replay(seed: int) -> int:
    """Let one world happen once more."""
    try:
        print(f"seed {seed}: {simulate(seed)} steps, every promise was kept")
    except SimulationFailed as failure:
        print(failure)
        return 1
    return 0


def explore(steps: int) -> int:
    """Let new worlds happen until there have been so many steps, or some have failed."""
    first, done, worlds, failures = random.SystemRandom().randrange(1 << 32), 0, 0, []
    print(f"from seed {first}, {steps:,} steps on {os.cpu_count()} processors", flush=True)
    began = shown = time.monotonic()
    with concurrent.futures.ProcessPoolExecutor() as pool:
        rounds = iter(range(first, first + (1 << 62), WORLDS_PER_ROUND))
        running = {pool.submit(some_worlds, next(rounds)) for _ in range(2 * (os.cpu_count() or 1))}
        while running:
            over, running = concurrent.futures.wait(
                running, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for round_ in over:
                ran, failed = round_.result()
                done, worlds, failures = done + ran, worlds + WORLDS_PER_ROUND, failures + failed
                if done < steps and len(failures) < FAILURES_SHOWN_MAX:
                    running.add(pool.submit(some_worlds, next(rounds)))
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                print(f"{done:12,} steps, {done / (shown - began):,.0f} per second", flush=True)
    for failure in failures[:FAILURES_SHOWN_MAX]:
        print(f"\n{failure}")
    rate = done / (time.monotonic() - began)
    words = f"{len(failures)} failed" if failures else "every promise was kept"
    print(f"{worlds:,} worlds, {done:,} steps, {rate:,.0f} per second: {words}")
    return 1 if failures else 0


def some_worlds(first: int) -> tuple[int, list[str]]:
    """Let the worlds of these seeds happen; returns their steps, and what failed."""
    steps, failures = 0, []
    for seed in range(first, first + WORLDS_PER_ROUND):
        try:
            steps += simulate(seed)
        except SimulationFailed as failure:
            failures.append(str(failure))
    return steps, failures


if __name__ == "__main__":
    sys.exit(main())
