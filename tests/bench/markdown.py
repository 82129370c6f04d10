"""The report as Markdown: what `make bench` prints, and what docs/benchmarks.md holds."""

from tests.bench.huge import LINE_BYTES
from tests.bench.metrics import ABSOLUTE, GROUPS, METRICS, SCALING
from tests.bench.report import Report, Results, verdicts

HEAD = """\
# Benchmarks

Written by `make bench`; do not edit. All contestants stand in front of one echo server with 97
tools and take turns in every round of one run. Figures are medians over the rounds; in brackets the
ratio to the *floor*, the median of the rounds' own ratios. Absolute figures drift by tens of
percent from run to run: read the ratios."""

LOAD, LOAD_MAX = "load average before", 0.5
NOT_ALONE = """\
**Others used the processors, too**: 99th percentiles, starts and what runs on both cores at once
say little here; medians on one core and ratios of processor time say most."""

SMALL_NOTE = """\
One call after another, with all processes on one core, so that what is compared is their work
and not where the kernel happens to wake them; then as the kernel places them; then with 64 in
flight."""


def page(report: Report) -> str:
    """The whole of it."""
    taking_part = {name: each for name, each in report.results.items() if each.rounds}
    field = {name: each for name, each in taking_part.items() if not each.contestant.scaled}
    scaled = {name: each for name, each in taking_part.items() if each.contestant.scaled}
    parts = [HEAD, _conditions(report), "## Who", _who(report)]
    for title, metrics in GROUPS.items():
        if any(each.median(metric) is not None for each in field.values() for metric in metrics):
            parts += [f"## {title}"]
            parts += [SMALL_NOTE] if title == "Small calls" else []
            parts += [_table(field, tuple(metrics), field.get("floor"))]
    if scaled and (relay := field.get("relay")) is not None:
        parts += ["## Backends and tools", "In brackets: ratio to Relay with one backend."]
        parts += [_table({"relay": relay, **scaled}, SCALING, relay)]
    parts += _disturbance(report) + _huge(report) + _verdicts(report) + _failures(report)
    return "\n\n".join(parts) + "\n"


def _conditions(report: Report) -> str:
    words = [f"{name.replace('_', ' ')}: {value}" for name, value in report.machine.items()]
    words += [f"{name.replace('_', ' ')}: {value}" for name, value in report.options.items()]
    conditions = "; ".join(words) + "."
    if float(str(report.machine.get(LOAD, 0.0))) > LOAD_MAX:
        conditions += f"\n\n{NOT_ALONE}"
    return conditions


def _who(report: Report) -> str:
    lines = ["| name | what | version |", "|---|---|---|"]
    for name, each in report.results.items():
        what = each.contestant.about
        if each.unavailable:
            what += f" (not measured: {_cell(each.unavailable)})"
        lines.append(f"| {name} | {what} | {each.version} |")
    return "\n".join(lines)


def _table(field: dict[str, Results], metrics: tuple[str, ...], base: Results | None) -> str:
    lines = ["| | " + " | ".join(METRICS[metric] for metric in metrics) + " |"]
    lines.append("|---" * (len(metrics) + 1) + "|")
    for name, each in field.items():
        cells = [_figure(each, metric, base) for metric in metrics]
        bold = "**" if name == "relay" else ""
        lines.append(f"| {bold}{name}{bold} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _figure(results: Results, metric: str, base: Results | None) -> str:
    value = results.median(metric)
    if value is None:
        return "-"
    if base is None or metric in ABSOLUTE or (ratio := results.ratio(metric, base)) is None:
        return _number(value)
    return f"{_number(value)} ({_number(ratio)})"


def _disturbance(report: Report) -> list[str]:
    if not report.disturbance:
        return []
    lines = [
        "| 64 in flight, and | longest gap between answers, ms | longest of all, ms | p99, ms |",
        "|---|---|---|---|",
    ]
    for kind, seen in report.disturbance.items():
        cells = (seen["gap_ms"], seen["gap_max_ms"], seen["p99_ms"])
        lines.append(f"| {kind} | " + " | ".join(map(_number, cells)) + " |")
    parts = ["## While something is replaced", "\n".join(lines)]
    parts += [f"Not measured: {kind}: {_cell(why)}" for kind, why in report.undisturbed.items()]
    return parts


def _huge(report: Report) -> list[str]:
    if report.huge_ms is None:
        return []
    text = (
        "One loop carries everything, so a huge line costs everybody the time of its decoding. For "
        f"a call of {LINE_BYTES >> 20} MiB (`frame_bytes_max`) of nested JSON that is "
        f"{report.huge_ms:.0f} ms in the supervisor, in which no other answer comes through."
    )
    return ["## A known limit", text]


def _verdicts(report: Report) -> list[str]:
    judged = verdicts(report)
    if not judged:
        return []
    lines = ["| aim | measured | |", "|---|---|---|"]
    for verdict in judged:
        word = {True: "met", False: "**not met**", None: "no figure"}[verdict.met]
        value = "-" if verdict.value is None else f"{verdict.value:.2f}"
        lines.append(f"| {verdict.aim} | {value} | {word} |")
    return ["## Aims", "\n".join(lines)]


def _failures(report: Report) -> list[str]:
    lines = [
        f"- {name}, {section}: {_cell(why)}"
        for name, each in report.results.items()
        for section, why in each.failures.items()
    ]
    return ["## What failed", "\n".join(lines)] if lines else []


def _cell(text: str) -> str:
    """On one line, not too long, nothing that ends a cell, and without anybody's stderr."""
    text = text.partition("; its stderr ends:")[0]
    return " ".join(text.split()).replace("|", "/")[:200]


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
