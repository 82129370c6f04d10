"""More sessions than the tests hold, or one again; prints the seed of each that differs."""

import argparse
import random
import sys
import time

from tests.differential.features import SWAPPED, WAYS, By
from tests.differential.stage import stage

SESSIONS = 1000
HOUSE_SESSIONS_MAX = 250
"""Then it is time for another house."""

SHOWN_MAX = 5


def main() -> int:
    """Hold the sessions; the number of those that differ."""
    ways = {str(by): by for by in (*WAYS, *SWAPPED)}
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    names = f"eras of client and server: {', '.join(ways)}"
    parser.add_argument("ways", nargs="*", choices=[[], *ways], metavar="WAY", help=names)
    parser.add_argument("--sessions", type=int, default=SESSIONS, help="in each way")
    parser.add_argument("--seed", type=int, default=None, help="of the first one; default: any")
    parser.add_argument("--house", type=int, default=None, help="default: any")
    given = parser.parse_args()
    first = random.randrange(10**6) if given.seed is None else given.seed
    chosen = [ways[name] for name in given.ways or ways]
    return sum(_hold(by, first, given.sessions, given.house) for by in chosen)


def _hold(by: By, first: int, sessions: int, house: int | None) -> int:
    begin, differing = time.monotonic(), 0
    for start in range(first, first + sessions, HOUSE_SESSIONS_MAX):
        lists = start if house is None else house
        with stage(by, lists) as here:
            if found := here.first_differences():
                print(f"{by} --house {lists}\n{found}")
                differing += 1
            for seed in range(start, min(start + HOUSE_SESSIONS_MAX, first + sessions)):
                session = here.session(seed)
                if found := here.differences(session):
                    differing += 1
                    if differing <= SHOWN_MAX:
                        print(f"{here.again(session)}\n{found}")
    took = time.monotonic() - begin
    print(f"{by}: {sessions} sessions from seed {first}, {differing} differ, {took:.1f} s")
    return differing


if __name__ == "__main__":
    sys.exit(min(main(), 1))
