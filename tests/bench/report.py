"""The figures of all rounds: medians, ratios, and a verdict on each aim.

Ratios are medians of the rounds' own ratios, so that what drifts between rounds falls out.
"""

import statistics
from dataclasses import dataclass, field

from tests.bench.contestants import Contestant
from tests.bench.measure import Round
from tests.bench.metrics import ABSOLUTE, AIMS, GAP_MS_MAX, P99_MS_MAX


@dataclass
class Results:
    """All rounds of one contestant, and why it took no part, or not in all of it."""

    contestant: Contestant
    version: str = ""
    unavailable: str = ""
    rounds: list[Round] = field(default_factory=list)

    @property
    def failures(self) -> dict[str, str]:
        """Why figures are missing, by section."""
        return {name: why for each in self.rounds for name, why in each.failures.items()}

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
            if metric in mine.figures and theirs.figures.get(there)
        ]
        return statistics.median(values) if values else None


@dataclass
class Report:
    """One run: `machine` and `options` say under what conditions, the rest what came of it."""

    machine: dict[str, object]
    options: dict[str, object]
    results: dict[str, Results]
    disturbance: dict[str, dict[str, float]] = field(default_factory=dict)
    """By kind: `gap_ms`, `gap_max_ms`, `p99_ms`, `windows`."""
    undisturbed: dict[str, str] = field(default_factory=dict)
    """Why a kind was not measured."""
    huge_ms: float | None = None


@dataclass(frozen=True)
class Verdict:
    """An aim beside what was measured; `value` is None where it could not be."""

    aim: str
    value: float | None
    met: bool | None


def verdicts(report: Report) -> list[Verdict]:
    """Judge every aim whose contestants took part."""
    results, judged = report.results, []
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
    return [*judged, *_disturbed(report)]


def _disturbed(report: Report) -> list[Verdict]:
    """The aims of swap and re-exec."""
    quiet, judged = report.disturbance.get("quiet"), []
    for kind, bound in GAP_MS_MAX.items():
        if quiet is not None and (seen := report.disturbance.get(kind)) is not None:
            more = seen["gap_ms"] - quiet["gap_ms"]
            what = f"{kind}: longest gap ≤ {bound:g} ms longer than in quiet"
            judged.append(Verdict(what, more, more <= bound))
            if kind == "swap":
                more = seen["p99_ms"] - quiet["p99_ms"]
                what = f"swap: p99 added < {P99_MS_MAX:g} ms"
                judged.append(Verdict(what, more, more < P99_MS_MAX))
    return judged


def document(report: Report) -> dict[str, object]:
    """What --json writes: medians, ratios and every round. Units are in the names."""
    floor = report.results.get("floor")
    return {
        "machine": report.machine,
        "options": report.options,
        "contestants": {
            name: {
                "about": each.contestant.about,
                "version": each.version,
                "unavailable": each.unavailable,
                "failures": each.failures,
                "medians": {metric: each.median(metric) for metric in _metrics(each)},
                "ratios_to_floor": {
                    metric: each.ratio(metric, floor)
                    for metric in _metrics(each)
                    if floor and metric not in ABSOLUTE
                },
                "rounds": [one.figures for one in each.rounds],
            }
            for name, each in report.results.items()
        },
        "disturbance": report.disturbance,
        "not_disturbed": report.undisturbed,
        "huge_line_decode_ms": report.huge_ms,
        "aims": [
            {"aim": each.aim, "value": each.value, "met": each.met} for each in verdicts(report)
        ],
    }


def _metrics(results: Results) -> list[str]:
    return list(dict.fromkeys(metric for each in results.rounds for metric in each.figures))
