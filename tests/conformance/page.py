"""The page about it: docs/conformance.md. Nothing is judged here."""

from collections.abc import Iterable, Mapping
from typing import Final

from tests.conformance.reasons import UNKNOWN
from tests.conformance.report import Difference, Leg, Row, figures, kept
from tests.conformance.suite import REVISIONS

MESSAGE_CHARACTERS_MAX: Final = 300

HEAD: Final = """\
# Conformance

Written by `make conformance`; do not edit. The official suite (npm package
`@modelcontextprotocol/conformance`) is run against one server, which has the tools, resources and
prompts it wants: directly, and with the relay in between. What counts is the difference: **every
check that a server passes directly has to pass through the relay**, or the run fails. Counted are
the checks of the scenarios that the suite scores for a revision, without what came to the suite
later; of the extensions it has scenarios for, tasks have a table of their own. A warning, which is
a SHOULD that was not kept, counts as not passed."""

SERVER: Final = """\
The suite speaks HTTP and the relay stdio, so a small bridge stands before the relay: one relay for
each legacy session, one for all modern requests, to which the bridge says first what the suite's
clients can do at most. *bridge, no relay* is the same server on stdio behind this bridge, and shows
what the bridge and stdio alone change. *swapping*: a `relayctl swap` begins every second, or when
the last one is done, as long as the suite runs; how many were committed stands in brackets. (With
2025-11-25 a relay lives as long as a session of the suite's, mostly less than a second.)

*legacy era only* and *modern era only* are what the server speaks, whatever the suite speaks. The
relay translates, so there are three figures: checks passed of those made; of those that **the same
server** passes directly, how many pass here, which has to be all; and of those that the server
passes directly when it speaks **both eras**, how many pass here, which is what translating is good
for."""

CLIENT: Final = """\
The suite plays the server, over HTTP, and the client has to get along with it: the client of the
Python SDK by itself, and the same client on stdio with a relay that has the suite's server as its
backend."""

LOST: Final = """\
## Checks that the same server passes directly, and not here"""

UNTRANSLATED: Final = """\
## Checks that pass only if the server speaks both eras

The server by itself, which does not speak the suite's era at all, fails these, too."""

SWAPS: Final = """\
## Swaps that failed"""


def page(legs: tuple[Leg, ...], date: str, versions: Mapping[str, str]) -> str:
    """The whole page."""
    ran = ", ".join(f"{name} {version}" for name, version in versions.items())
    commits = commits_of(legs)
    parts = [HEAD, f"Run on {date} with {ran}; {_commit(commits)}"]
    for leg in legs:
        parts += [f"## {leg.title}", leg.text, _table(leg, mixed=len(commits) > 1)]
    parts += [LOST, _differences([one for leg in legs for one in leg.lost()])]
    parts += [UNTRANSLATED, _differences([one for leg in legs for one in leg.untranslated()])]
    return "\n\n".join([*parts, SWAPS, _failed_swaps(legs)]) + "\n"


def commits_of(legs: tuple[Leg, ...]) -> list[str]:
    """All commits that rows are of."""
    return sorted({one.commit for leg in legs for row in leg.rows for one in row.found.values()})


def _commit(commits: list[str]) -> str:
    if len(commits) == 1:
        return f"all rows are of commit {commits[0]}."
    return f"**rows are of different commits ({', '.join(commits)})**, as each of them says."


def _table(leg: Leg, *, mixed: bool) -> str:
    columns = ["same server"] if leg.is_of_one_server() else ["same server", "both eras"]
    heads = [name for revision in REVISIONS for name in (revision, *columns)]
    lines = [f"| passed | {' | '.join(heads)} |", "|---|" + "--:|" * len(heads)]
    for row in leg.rows:
        cells = [
            cell
            for revision in REVISIONS
            for cell in _cells(leg, row, revision)[: 1 + len(columns)]
        ]
        lines.append(f"| {row.name}{_note(row, mixed=mixed)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cells(leg: Leg, row: Row, revision: str) -> tuple[str, str, str]:
    if revision not in row.found:
        return "-", "-", "-"
    checks = row.found[revision].checks
    same = both = ""
    if row.name != row.direct:
        same = kept(checks, leg.directly(row, revision))
    if row is not leg.rows[0]:
        both = kept(checks, leg.both_eras(revision))
    return figures(checks), same, both


def _note(row: Row, *, mixed: bool) -> str:
    notes = []
    swaps = sum(one.swaps for one in row.found.values())
    failed = sum(len(one.failed_swaps) for one in row.found.values())
    if swaps or failed:
        notes.append(f"{swaps} swaps" + (f", {failed} failed" if failed else ""))
    for revision, found in row.found.items():
        if found.runs > 1:
            notes.append(f"{revision}: run {found.runs} times")
        if mixed:
            notes.append(f"{revision}: commit {found.commit}")
    return f" ({'; '.join(notes)})" if notes else ""


def _differences(found: list[Difference]) -> str:
    """Every check that differs, with all the rows it differs in, and why."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for one in found:
        scenario, check = one.key
        said = _text(f"{one.outcome.status}: {one.outcome.message}")
        why = one.why or f"**{UNKNOWN}**"
        key = one.revision, f"{scenario}: `{check}`", said, why
        rows.setdefault(key, []).append(one.row)
    lines = ["| revision | check | the suite says | why | where |", "|---|---|---|---|---|"]
    lines += [f"| {' | '.join(key)} | {'<br>'.join(names)} |" for key, names in rows.items()]
    return "\n".join(lines) if rows else "None."


def _failed_swaps(legs: Iterable[Leg]) -> str:
    lines = [
        f"- {row.name}, {revision}: {_text(text)}"
        for leg in legs
        for row in leg.rows
        for revision, found in row.found.items()
        for text in found.failed_swaps
    ]
    return "\n".join(lines) or "None."


def _text(text: str) -> str:
    return " ".join(text[:MESSAGE_CHARACTERS_MAX].replace("|", "\\|").split())
