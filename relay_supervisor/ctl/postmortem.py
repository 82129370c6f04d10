"""A swap as Markdown. Pure text: what it is given goes in, nothing is looked up elsewhere.

Names, reasons and outputs come from backends and from people's code, so all of it is escaped.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec

from relay_supervisor.ctl.history import (
    LOSSES,
    event_words,
    fields_words,
    op_words,
    spoken,
    value_words,
    version_words,
)
from relay_supervisor.ctl.journal import Entry, Swap
from relay_supervisor.ctl.outcome import SUPERVISOR, WORKER, Tools, Version, outcome
from relay_supervisor.ctl.releases import Releases
from relay_supervisor.ctl.words import clean, local_time, seconds

LINES_MAX: Final = 200
"""Of the journal, quoted at the end."""

_SPECIAL: Final = re.compile(r"([\\`*\[\]<>#|~&])")
_KNOWN: Final = {
    *("swap", "outcome", "reason", "from", "to", "seconds", "phases"),
    *("tools", "calls", "checks", "backup", "problems", "op", "force", "refused"),
    "kind",
}
_NO_PROBLEMS: Final = ("started", "recovered", "drained")
_SKIPPED: Final = "skipped: "
"""The detail of a check begins so that could not be run yet."""

_CALLS: Final = {
    "at_cut_over": "under way at the cut-over",
    "handed_over": "handed over with the backends that work on them",
    "finished_by_old": "finished by the old worker during the probation",
    "answered": "answered by the new worker during the probation",
    "relay_errors": "of these failed in the relay",
    **LOSSES,
}


class Check(msgspec.Struct, frozen=True):
    """How one of the configured checks went, and when: before or after the cut-over."""

    tool: str
    ok: bool
    seconds: float = 0.0
    detail: str = ""
    when: str = ""


def write(swap: Swap, journal: Path, releases: Releases) -> str:
    """Return the report."""
    end = swap.ended or _unended(swap)
    if end.get("kind", str, WORKER) == SUPERVISOR:
        return _joined(_of_supervisor(swap, end, journal, releases))
    parts = [
        [f"# {_title(swap, end)}"],
        _summary(swap, end),
        _section("Timeline", _timeline(end)),
        _section("Tools", _tools(end)),
        _section("Calls in flight", _calls(swap, end)),
        _section("Checks", _checks(end)),
        _section("Problems", _problems(swap, end)),
        _section("Rollback", _rollback(end)),
        _section("Artefacts", _artefacts(end, journal, releases)),
        _section("Journal", _quoted(swap)),
    ]
    return _joined(parts)


def _of_supervisor(swap: Swap, end: Entry, journal: Path, releases: Releases) -> list[list[str]]:
    """Workers, backends and lists are not touched, so there is nothing to tell of them."""
    return [
        [f"# {_title(swap, end)}"],
        _summary(swap, end),
        _section("Timeline", _timeline(end)),
        _section("Calls in flight", _went_on(end)),
        _section("Problems", _problems(swap, end)),
        _section("Artefacts", _artefacts(end, journal, releases)),
        _section("Journal", _quoted(swap)),
    ]


def _joined(parts: list[list[str]]) -> str:
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def plain(text: object) -> str:
    """Return *text* such that Markdown shows it as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", clean(str(text)))


def code(text: object) -> str:
    """Return *text* as code, whatever backticks are in it."""
    shown = clean(str(text))
    ticks = "`" * (max(map(len, re.findall("`+", shown)), default=0) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    # A pipe ends a table's cell even within code.
    return f"{ticks}{pad}{shown}{pad}{ticks}".replace("|", "\\|")


def _unended(swap: Swap) -> Entry:
    """Make the end that the journal has not got, of the phases it has."""
    phases = [
        (entry.get("phase", str, "?"), entry.get("seconds", float, 0.0))
        for entry in swap.entries
        if entry.event == "swap_phase"
    ]
    last = swap.entries[-1]
    fields = {"phases": phases, "seconds": phases[-1][1] if phases else 0.0}
    return Entry(last.at, last.instance, "swap_ended", fields, "")


def _title(swap: Swap, end: Entry) -> str:
    """`Swap a1b2c3d4-3: committed`."""
    ended = outcome(end.get("outcome", str, "?")) if swap.ended else "its end is not recorded"
    return plain(f"{op_words(end).capitalize()} {swap.id}: {ended}")


def _summary(swap: Swap, end: Entry) -> list[str]:
    facts = {
        "Relay": plain(end.instance),
        "Began": plain(local_time(swap.entries[0].at, zone=True)),
        "Ended" if swap.ended else "Last heard of": plain(local_time(end.at, zone=True)),
        "Took": seconds(end.get("seconds", float, 0.0)),
        "From": plain(version_words(end.fields.get("from"))),
        "To": plain(version_words(end.fields.get("to"))),
    }
    if end.get("op", str, "swap") == "swap" and end.get("force", bool, False):
        facts["Forced"] = "yes"
    if reason := end.get("reason", str, ""):
        facts["Reason"] = plain(reason)
    rest = {name: value for name, value in end.fields.items() if name not in _KNOWN}
    if rest:
        facts["Also recorded"] = plain(fields_words(rest))
    return [f"- {name}: {value}" for name, value in facts.items()]


def _timeline(end: Entry) -> list[str]:
    """A phase lasts until the next one begins, and the last one is the end itself."""
    phases = end.get("phases", list[tuple[str, float]], [])
    if not phases:
        return []
    rows = ["| phase | began after | took |", "|---|--:|--:|"]
    for (name, began), (_, until) in pairwise(phases):
        rows.append(f"| {plain(name)} | {seconds(began)} | {seconds(until - began)} |")
    name, began = phases[-1]
    return [*rows, f"| {plain(name)} | {seconds(began)} | |"]


def _served(end: Entry) -> bool:
    phases = end.get("phases", list[tuple[str, float]], [])
    return any(name == "active" for name, _ in phases)


def _tools(end: Entry) -> list[str]:
    tools = end.get("tools", Tools, Tools())
    if end.fields.get("tools") is None:
        return ["Not compared: the new worker did not come so far, or nobody served before it."]
    lines = [] if _served(end) else ["This is what the new worker offered; it never served.", ""]
    lines.append(f"- kept: {tools.kept}")
    for verb, names in (("added", tools.added), ("lost", tools.lost)):
        listed = f" ({', '.join(map(code, names))})" if names else ""
        lines.append(f"- {verb}: {len(names)}{listed}")
    return lines


def _went_on(end: Entry) -> list[str]:
    """Tell of calls that no worker gave to another: they only waited for the supervisor."""
    calls = end.get("calls", dict[str, Any], {}).get("at_cut_over")
    return [f"- {plain(value_words(calls))} under way, and they went on."] if calls else []


def _calls(swap: Swap, end: Entry) -> list[str]:
    lines = _figures(end) if _served(end) else ["- The new worker never got a call."]
    if (last := swap.let_go) is None:
        return lines
    if last.event == "drained":
        return [*lines, f"- {plain(event_words(last))}"]
    number, how = last.fields.get("generation", "?"), last.get("how", str, "?")
    became = ["  " + line for line in _figures(last)]
    return [
        *lines,
        f"- worker of generation {plain(number)} ended ({plain(how)}); its calls:",
        *became,
    ]


def _figures(entry: Entry) -> list[str]:
    figures = entry.get("calls", dict[str, Any], {})
    return [
        f"- {_CALLS.get(name) or plain(spoken(name))}: {plain(value_words(value))}"
        for name, value in figures.items()
    ]


def _checks(end: Entry) -> list[str]:
    rows = ["| check | passed | took | when | |", "|---|---|--:|---|---|"]
    for value in end.get("checks", list[Any], []):
        try:
            check = msgspec.convert(value, Check)
        except msgspec.ValidationError:
            rows.append(f"| {code(value)} | ? | | | |")
            continue
        passed = "yes" if check.ok else "**no**"
        if check.ok and check.detail.startswith(_SKIPPED):
            passed = "not run"
        details = f"{plain(check.when)} | {plain(check.detail)}"
        rows.append(f"| {code(check.tool)} | {passed} | {seconds(check.seconds)} | {details} |")
    return rows if len(rows) > 2 else []


def _problems(swap: Swap, end: Entry) -> list[str]:
    lines = [f"- {plain(text)}" for text in end.get("problems", list[str], [])]
    if swap.ended is None:
        lines.append("- The journal has no end of this swap: the relay ended, or was killed.")
    for entry in swap.meanwhile:
        if entry.event in _NO_PROBLEMS:
            continue
        lines.append(f"- {plain(local_time(entry.at))}: {plain(event_words(entry))}")
    return lines


def _rollback(end: Entry) -> list[str]:
    lines = []
    outcome, why = end.get("outcome", str, ""), plain(end.get("reason", str, "no recorded reason"))
    if outcome == "rolled_back" and _served(end):
        back = plain(version_words(end.fields.get("from")))
        lines.append(f"The calls went back to {back}: {why}.")
    elif outcome == "rolled_back":
        lines.append(f"The new worker was given up before it served: {why}.")
    elif end.get("op", str, "") == "rollback" and outcome == "committed":
        lines.append("This was one: `relayctl rollback` asked for the version before.")
    if end.get("refused", bool, False):
        lines += [""] if lines else []
        lines.append(
            "That pair of code and configuration is refused from now on, unless `--force` takes it."
        )
    return lines


def _artefacts(end: Entry, journal: Path, releases: Releases) -> list[str]:
    lines = []
    for name in ("from", "to"):
        release = end.get(name, Version, Version()).release
        if release:
            there = "" if releases.find(release) else " (removed since)"
            lines.append(f"- release {name}: {code(releases.path(release))}{there}")
    if backup := end.get("backup", str, ""):
        there = "" if Path(backup).exists() else " (removed since)"
        lines.append(f"- configuration: {code(backup)}{there}")
    return [*lines, f"- journal: {code(journal)}"]


def _quoted(swap: Swap) -> list[str]:
    last = [] if swap.let_go is None else [swap.let_go]
    entries: Sequence[Entry] = swap.entries + swap.meanwhile + last
    lines = [clean(entry.raw) for entry in sorted(entries, key=lambda entry: entry.at)]
    left_out = len(lines) - LINES_MAX
    fence = "`" * (max((len(run) for run in _backticks(lines)), default=2) + 1)
    note = [f"{left_out} more lines are in the file.", ""] if left_out > 0 else []
    return [*note, f"{fence}json", *lines[:LINES_MAX], fence]


def _backticks(lines: Iterable[str]) -> list[str]:
    return ["``", *(run for line in lines for run in re.findall("`+", line))]


def _section(title: str, lines: list[str]) -> list[str]:
    return [f"## {title}", "", *(lines or ["None."])]
