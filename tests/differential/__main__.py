"""More sessions than the tests hold, or one again; prints the seed of each that differs."""

import argparse
import random
import sys
import time

from tests.differential.features import PAIRS
from tests.differential.stage import stage

SESSIONS = 1000
HOUSE_SESSIONS_MAX = 250
"""Then it is time for another house."""

SHOWN_MAX = 5


def main() -> int:
    """Hold the sessions; the number of those that differ."""
    names = ["".join(pair) for pair in PAIRS]
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("pairs", nargs="*", choices=[[], *names], help="eras of client and server")
    parser.add_argument("--sessions", type=int, default=SESSIONS, help="of each pair")
    parser.add_argument("--seed", type=int, default=None, help="of the first one; default: any")
    parser.add_argument("--house", type=int, default=None, help="default: any")
    given = parser.parse_args()
    first = random.randrange(10**6) if given.seed is None else given.seed
    return sum(_hold(name, first, given.sessions, given.house) for name in given.pairs or names)


def _hold(pair: str, first: int, sessions: int, house: int | None) -> int:
    begin, differing = time.monotonic(), 0
    for start in range(first, first + sessions, HOUSE_SESSIONS_MAX):
        lists = start if house is None else house
        with stage((pair[0], pair[1]), lists) as here:
            if found := here.first_differences():
                print(f"{pair} --house {lists}\n{found}")
                differing += 1
            for seed in range(start, min(start + HOUSE_SESSIONS_MAX, first + sessions)):
                if found := here.differences(here.session(seed)):
                    differing += 1
                    if differing <= SHOWN_MAX:
                        print(f"{pair} --sessions 1 --seed {seed} --house {lists}\n{found}")
    took = time.monotonic() - begin
    print(f"{pair}: {sessions} sessions from seed {first}, {differing} differ, {took:.1f} s")
    return differing


if __name__ == "__main__":
    sys.exit(min(main(), 1))
