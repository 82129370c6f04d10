"""`python -m tests.bench`: Relay beside a direct connection, the floor and an SDK relay.

All take turns in every round of one run, because absolute figures drift. Prints a table, ratios to
the floor, and the aims, met or not. Never part of the tests: nothing here asserts a time. A
contestant that fails is reported with its reason and leaves the run; the exit code is then 1.
"""

import argparse
import gc
import os
import platform
import sys
import tempfile
from pathlib import Path

import msgspec

from tests.bench import contestants, measure, report
from tests.bench.contestants import Contestant
from tests.bench.report import Results


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds; ratios are rough")
    parser.add_argument("--rounds", type=int, help="default 9, quick 3")
    parser.add_argument("--calls", type=int, help="per round, one by one; default 3000, quick 1000")
    parser.add_argument("--idle-seconds", type=float, help="default 12, quick 3; 0 leaves it out")
    parser.add_argument("--only", action="append", metavar="NAME", help="a contestant; repeatable")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there, too")
    options = parser.parse_args()
    defaults = (3, 1000, 3.0) if options.quick else (9, 3000, 12.0)
    for name, default in zip(("rounds", "calls", "idle_seconds"), defaults, strict=True):
        if getattr(options, name) is None:
            setattr(options, name, default)
    known = {each.name for each in contestants.ALL}
    if unknown := set(options.only or []) - known:
        parser.error(f"no such contestant: {', '.join(unknown)}; there are {', '.join(known)}")
    return options


def chosen(options: argparse.Namespace) -> list[Contestant]:
    """Who takes part."""
    if options.only:
        return [each for each in contestants.ALL if each.name in options.only]
    return [each for each in contestants.ALL if each.starts or not options.quick]


def say(message: str) -> None:
    """Progress, where it does not get into a redirected report."""
    print(message, file=sys.stderr, flush=True)


def all_rounds(field: list[Contestant], options: argparse.Namespace, folder: Path) -> list[Results]:
    """Interleave; the order rotates, so that nobody always follows the same neighbour."""
    results = [Results(each) for each in field]
    for number in range(options.rounds):
        turn = number % len(results)
        for result in results[turn:] + results[:turn]:
            if result.failure:
                continue
            gc.collect()
            home = folder / f"{number}{field.index(result.contestant)}"
            # Being idle takes long to measure and does not vary: once is enough.
            idle = options.idle_seconds if number == 0 and result.contestant.starts else 0
            plan = measure.Options(options.calls, idle, turn=number)
            each = measure.one_round(result.contestant, home, plan)
            result.rounds.append(each)
            if each.failure:
                say(f"{result.contestant.name} failed: {each.failure}")
        say(f"round {number + 1} of {options.rounds} done")
    return results


def main() -> int:
    """Measure, print, return the exit code."""
    options = parse()
    load_before = os.getloadavg()[0]
    gc.disable()  # a collection in the load client would be somebody's p99
    with tempfile.TemporaryDirectory(prefix="rb") as folder:
        results = all_rounds(chosen(options), options, Path(folder))
    by_name = {each.contestant.name: each for each in results}
    print(
        f"{options.rounds} rounds on {os.cpu_count()} cores; load average before: "
        f"{load_before:.1f} (where others use the cores, p99 and starts mean little)\n"
    )
    print(report.text(by_name))
    if options.json:
        everything = msgspec.json.encode(document(by_name, options, load_before))
        options.json.write_bytes(msgspec.json.format(everything))
    return 1 if any(each.failure for each in results) else 0


def document(
    results: dict[str, Results], options: argparse.Namespace, load_before: float
) -> dict[str, object]:
    """What --json writes: medians, ratios and every round. Units are in the names."""
    floor = results.get("floor")
    return {
        "machine": {
            "system": platform.platform(),
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "load_average_before": load_before,
        },
        "rounds": options.rounds,
        "calls_per_round": options.calls,
        "memory_is": report.MEMORY,
        "contestants": {
            name: {
                "about": each.contestant.about,
                "failure": each.failure,
                "medians": {metric: each.median(metric) for metric in report.METRICS},
                "ratios_to_floor": {
                    metric: each.ratio(metric, floor) if floor else None
                    for metric in report.RELATIVE
                },
                "rounds": [one.figures for one in each.rounds],
            }
            for name, each in results.items()
        },
        "aims": [msgspec.to_builtins(verdict) for verdict in report.verdicts(results)],
    }


if __name__ == "__main__":
    sys.exit(main())
