"""`python -m tests.bench`: Relay beside a direct connection, the floor, and other relays.

All take turns in every round of one run, because absolute figures drift. Prints Markdown; a full
run writes docs/benchmarks.md, too. Never part of the tests: nothing here asserts a time. A
contestant that fails is reported with its reason; the exit code is 1 where it is none of the peers.
"""

import argparse
import dataclasses
import gc
import os
import platform
import sys
import tempfile
from pathlib import Path

import msgspec

from tests.bench import cache, contestants, disturbance, huge, markdown, measure, peers
from tests.bench.client import ContestantFailed
from tests.bench.contestants import Contestant, Unavailable
from tests.bench.report import Report, Results, document

PAGE = contestants.REPOSITORY / "docs" / "benchmarks.md"
QUICK = (*contestants.FLOOR, contestants.RELAY, contestants.SDK)
ALL = (
    *contestants.FLOOR,
    contestants.RELAY,
    contestants.SDK,
    *peers.PEERS,
    *contestants.SCALED,
)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="few rounds, no peers; ratios are rough")
    add("--rounds", type=int, help="default 9, quick 3")
    add("--calls", type=int, help="per round, one by one; default 3000, quick 1000")
    add("--idle-seconds", type=float, help="default 12, quick 0: leave it out")
    add("--windows", type=int, help="of the swap under load; default 5, quick 1, 0 leaves it out")
    add("--only", action="append", metavar="NAME", help="a contestant; repeatable")
    add("--beside", action="append", metavar="DIR", default=[], type=Path,
        help="another checkout of Relay, measured as well; repeatable")  # fmt: skip
    add("--small", action="store_true", help="small calls only")
    add("--json", type=Path, metavar="FILE", default=cache.FOLDER / "last.json",
        help="where every figure goes; default .bench/last.json")  # fmt: skip
    options = parser.parse_args()
    defaults = (3, 1000, 0.0, 1) if options.quick else (9, 3000, 12.0, 5)
    for name, default in zip(("rounds", "calls", "idle_seconds", "windows"), defaults, strict=True):
        if getattr(options, name) is None:
            setattr(options, name, default)
    known = {each.name for each in ALL}
    if unknown := set(options.only or []) - known:
        parser.error(f"no such contestant: {', '.join(unknown)}; there are {', '.join(known)}")
    return options


def chosen(options: argparse.Namespace) -> list[Contestant]:
    """Who takes part."""
    field = QUICK if options.quick else ALL
    if options.only:
        field = tuple(each for each in ALL if each.name in options.only)
    field += tuple(contestants.other_tree(code.name, code) for code in options.beside)
    if options.small:
        return [dataclasses.replace(each, whole=False) for each in field]
    return list(field)


def say(message: str) -> None:
    """Progress, where it does not get into a redirected report."""
    print(message, file=sys.stderr, flush=True)


def prepared(field: list[Contestant]) -> list[Results]:
    """Compile and install what is not there yet; who cannot take part says why."""
    results = []
    for each in field:
        result = Results(each)
        try:
            result.version = each.prepare()
        except Unavailable as reason:
            result.unavailable = str(reason)
            say(f"{each.name} takes no part: {reason}")
        results.append(result)
    return results


def all_rounds(results: list[Results], options: argparse.Namespace, folder: Path) -> None:
    """Interleave; the order rotates, so that nobody always follows the same neighbour."""
    taking_part = [each for each in results if not each.unavailable]
    for number in range(options.rounds):
        turn = number % len(taking_part)
        for place, result in enumerate(taking_part[turn:] + taking_part[:turn]):
            gc.collect()
            plan = measure.Options(
                options.calls,
                # Being idle takes long to measure and does not vary: once is enough.
                options.idle_seconds if number == 0 and result.contestant.whole else 0.0,
                turn=number,
                skip=frozenset(result.failures),
            )
            each = measure.one_round(result.contestant, folder / f"{number}.{place}", plan)
            result.rounds.append(each)
            for section, failure in each.failures.items():
                say(f"{result.contestant.name}, {section}: {failure.splitlines()[0]}")
        say(f"round {number + 1} of {options.rounds} done")


def measured(options: argparse.Namespace, folder: Path) -> Report:
    """The whole run."""
    machine = {
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load average before": round(os.getloadavg()[0], 1),
    }
    results = prepared(chosen(options))
    all_rounds(results, options, folder)
    machine["load average after"] = round(os.getloadavg()[0], 1)
    plan = {"rounds": options.rounds, "calls per round": options.calls}
    report = Report(machine, plan, {each.contestant.name: each for each in results})
    if options.windows and not options.small and "relay" in report.results:
        try:
            report.disturbance, report.undisturbed = disturbance.measure(
                folder / "swap", options.windows
            )
        except ContestantFailed as failure:
            report.undisturbed["all"] = str(failure)
        report.huge_ms = huge.decode_ms()
    return report


def main() -> int:
    """Measure, print, write; return the exit code."""
    options = parse()
    gc.disable()  # a collection in the load client would be somebody's p99
    with tempfile.TemporaryDirectory(prefix="rb") as folder:
        report = measured(options, Path(folder))
    text = markdown.page(report)
    print(text)
    if not (options.quick or options.only or options.small):
        PAGE.write_text(text, encoding="utf-8")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_bytes(msgspec.json.format(msgspec.json.encode(document(report))))
    ours = [each for each in report.results.values() if each.contestant.ours]
    return 1 if "all" in report.undisturbed or any(each.failures for each in ours) else 0


if __name__ == "__main__":
    sys.exit(main())
