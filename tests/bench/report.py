"""Makes a table, and a verdict on each aim, of the figures of all rounds.

Ratios are medians of the rounds' own ratios, so that what drifts between rounds falls out.
"""

import statistics
from dataclasses import dataclass, field

from tests.bench.contestants import Contestant
from tests.bench.measure import Round
from tests.bench.processes import LINUX

MEMORY = "PSS" if LINUX else "RSS"
METRICS = {
    "p50_us": "small call p50, µs (one core)",
    "p99_us": "small call p99, µs",
    "spread_p50_us": "p50 as the kernel places it",
    "cpu_us": "CPU per call, µs",
    "rate": "calls/s, 64 in flight",
    "cpu64_us": "CPU per call then, µs",
    "mb1_ms": "1 MB echo, ms",
    "mb10_ms": "10 MB echo, ms",
    "peak_x": "memory peak then, x 10 MB",
    "cold_list_ms": "spawn → tools/list, ms",
    "cached_list_ms": "the same, second start, ms",
    "first_call_ms": "spawn → first call, ms",
    "tree_mb": f"{MEMORY} of the tree, MB",
    "top_mb": f"{MEMORY}, first process, MB",
    "second_mb": f"{MEMORY}, second process, MB",
    "idle_per_s": "idle: wake-ups per s",
}
RELATIVE = [name for name in METRICS if name not in ("peak_x", "idle_per_s")]


@dataclass
class Results:
    """All rounds of one contestant, and what ended them if they ended early."""

    contestant: Contestant
    rounds: list[Round] = field(default_factory=list)

    @property
    def failure(self) -> str | None:
        """Why figures are missing."""
        return next((each.failure for each in self.rounds if each.failure), None)

    def median(self, metric: str) -> float | None:
        """The median over the rounds that have this figure."""
        values = [each.figures[metric] for each in self.rounds if metric in each.figures]
        return statistics.median(values) if values else None

    def ratio(self, metric: str, other: "Results", other_metric: str | None = None) -> float | None:
        """The median of this figure's ratio to another contestant's in the same round."""
        there = other_metric or metric
        values = [
            mine.figures[metric] / theirs.figures[there]
            for mine, theirs in zip(self.rounds, other.rounds, strict=False)
            if metric in mine.figures and there in theirs.figures
        ]
        return statistics.median(values) if values else None


@dataclass(frozen=True)
class Aim:
    """A bound on a figure of Relay's: on its ratio to another's, or on the figure itself."""

    what: str
    metric: str
    bound: float
    against: str | None = "floor"
    against_metric: str | None = None
    at_least: bool = False
    of: str = "relay"


AIMS = (
    Aim("small call p50 ≤ 1.25 x floor", "p50_us", 1.25),
    Aim("small call p99 ≤ 1.5 x floor", "p99_us", 1.5),
    Aim("p50 as the kernel places it ≤ 1.25 x floor", "spread_p50_us", 1.25),
    Aim("calls/s, 64 in flight ≥ 0.6 x floor", "rate", 0.6, at_least=True),
    Aim("CPU per call ≤ 1.3 x floor", "cpu_us", 1.3),
    Aim("CPU per call, 64 in flight ≤ 1.5 x floor", "cpu64_us", 1.5),
    Aim("10 MB echo ≤ 1.3 x floor", "mb10_ms", 1.3),
    Aim("memory peak, 10 MB ≤ 4 x message", "peak_x", 4.0, against=None),
    Aim(
        "list from the cache ≤ 1.5 x one hop's list",
        "cached_list_ms",
        1.5,
        "one-hop",
        "cold_list_ms",
    ),
    Aim(
        "first call, nothing cached ≤ 3 x floor's list",
        "first_call_ms",
        3.0,
        "floor",
        "cold_list_ms",
    ),
    Aim("supervisor's memory ≤ 1.4 x one hop", "top_mb", 1.4, "one-hop"),
    Aim("worker's memory ≤ 2.5 x one hop", "second_mb", 2.5, "one-hop", "top_mb"),
    Aim("idle: wake-ups < 0.1 per s", "idle_per_s", 0.1, against=None),
    Aim("p50 with 50 backends ≤ 1.1 x with one", "p50_us", 1.1, "relay", of="relay-50"),
    Aim("CPU with 50 backends ≤ 1.1 x with one", "cpu_us", 1.1, "relay", of="relay-50"),
)


@dataclass(frozen=True)
class Verdict:
    """An aim beside what was measured; `value` is None where it could not be."""

    aim: str
    value: float | None
    met: bool | None


def verdicts(results: dict[str, Results]) -> list[Verdict]:
    """Judge every aim whose contestants took part."""
    judged = []
    for aim in AIMS:
        if aim.of not in results or (aim.against and aim.against not in results):
            continue
        mine = results[aim.of]
        if aim.against is None:
            value = mine.median(aim.metric)
        else:
            value = mine.ratio(aim.metric, results[aim.against], aim.against_metric)
        met = None
        if value is not None:
            met = value >= aim.bound if aim.at_least else value <= aim.bound
        judged.append(Verdict(aim.what, value, met))
    return judged


def table(results: dict[str, Results]) -> str:
    """Metrics down, contestants across; `x` is the ratio to the floor."""
    floor = results.get("floor")
    width = 19
    lines = [" " * 28 + "".join(f"{name:>{width}}" for name in results)]
    for metric, title in METRICS.items():
        cells = []
        for each in results.values():
            value = each.median(metric)
            cell = "-" if value is None else _number(value)
            if floor and metric in RELATIVE and (ratio := each.ratio(metric, floor)) is not None:
                cell += f" x{_number(ratio):<5}"
            cells.append(f"{cell:>{width}}")
        lines.append(f"{title:<28}" + "".join(cells))
    return "\n".join(lines)


def text(results: dict[str, Results]) -> str:
    """All there is to say, for a terminal."""
    parts = [table(results), ""]
    parts += [f"{name}: {each.contestant.about}" for name, each in results.items()]
    for name, each in results.items():
        if each.failure:
            parts.append(f"\nFAILED: {name}, round {_failed_round(each)}: {each.failure}")
    judged = verdicts(results)
    if judged:
        parts.append("\nAims:")
    for verdict in judged:
        word = {True: "met", False: "NOT MET", None: "no figure"}[verdict.met]
        value = "-" if verdict.value is None else f"{verdict.value:.2f}"
        parts.append(f"  {word:<10}{verdict.aim:<50}{value:>8}")
    return "\n".join(parts)


def _failed_round(results: Results) -> int:
    return next(n for n, each in enumerate(results.rounds, start=1) if each.failure)


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
