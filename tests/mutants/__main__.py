"""Puts each fault into a copy of the tree and runs the tests on it; a fault they miss is a failure.

python -m tests.mutants                   all of them
python -m tests.mutants drain nonce       those with one of these words in their rule
"""

import concurrent.futures
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutants.every import MUTANTS
from tests.mutants.mutant import DoesNotApply, Mutant

REPOSITORY = Path(__file__).parents[2]
PYTEST = ("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no")
UNIT = (*PYTEST, "tests/unit/relay_supervisor/core")
SIMULATION = (*PYTEST, "tests/sim", "-k", "every_promise")
SIMULATED_STEPS = 100_000
RUN_SECONDS_MAX = 120.0
"""A run that takes longer hangs, and that is noticed, too."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the tests say of one mutant."""

    rule: str
    unit: str
    simulation: str
    seconds: float

    @property
    def caught(self) -> bool:
        return "caught" in {self.unit, self.simulation}


def main(words: list[str]) -> int:
    wanted = [m for m in MUTANTS if not words or any(word in m.rule for word in words)]
    if not wanted:
        print(f"No rule has any of these words: {' '.join(words)}")
        return 2
    width = max(len(mutant.rule) for mutant in wanted)
    began, survivors = time.monotonic(), []
    print(f"{'rule':{width}}  unit tests  simulation  seconds")
    with (
        tempfile.TemporaryDirectory() as folder,
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        trees = [copy(Path(folder) / str(number)) for number in range(os.cpu_count() or 1)]
        if not all(passes(trees[0], run) for run in (UNIT, SIMULATION)):
            print("The tests fail on the sound tree already; mutants say nothing then.")
            return 1
        for verdict in pool.map(lambda mutant: try_one(mutant, trees), wanted):
            print(
                f"{verdict.rule:{width}}  {verdict.unit:10}  {verdict.simulation:10}  "
                f"{verdict.seconds:7.1f}",
                flush=True,
            )
            if not verdict.caught:
                survivors.append(verdict.rule)
    print(f"{len(wanted)} mutants, {len(survivors)} not caught, {time.monotonic() - began:.0f} s")
    for rule in survivors:
        print(f"  {rule}")
    return 1 if survivors else 0


def copy(tree: Path) -> Path:
    """A tree of its own to break."""
    leave = shutil.ignore_patterns("__pycache__", ".*")
    for part in ("relay_supervisor", "relay_worker", "tests"):
        shutil.copytree(REPOSITORY / part, tree / part, ignore=leave)
    shutil.copy(REPOSITORY / "pyproject.toml", tree)
    return tree


def try_one(mutant: Mutant, trees: list[Path]) -> Verdict:
    """Break a tree that nobody uses, run both kinds of tests on it, and mend it."""
    tree, began = trees.pop(), time.monotonic()
    try:
        sound = mutant.apply(tree)
    except DoesNotApply as reason:
        trees.append(tree)
        print(reason)
        return Verdict(mutant.rule, "not there", "not there", 0.0)
    found = ["missed" if passes(tree, run) else "caught" for run in (UNIT, SIMULATION)]
    mutant.path(tree).write_text(sound, encoding="utf-8")
    trees.append(tree)
    return Verdict(mutant.rule, *found, seconds=time.monotonic() - began)


def passes(tree: Path, run: tuple[str, ...]) -> bool:
    """Whether the tests pass on this tree, in time."""
    # No bytecode: it is told from its source by a time stamp too coarse for changes this quick.
    own = {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    environment = os.environ | own | {"SIM_STEPS": str(SIMULATED_STEPS)}
    try:
        done = subprocess.run(
            [sys.executable, *run],
            cwd=tree,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=RUN_SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
