"""Which checks differ, and the page about it: docs/conformance.md."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tests.conformance.reasons import UNKNOWN, excuse
from tests.conformance.suite import NOT_THERE, REVISIONS, Checks, Key, Outcome

MESSAGE_CHARACTERS_MAX: Final = 300

HEAD: Final = """\
# Conformance

Written by `make conformance`; do not edit. The official suite (npm package
`@modelcontextprotocol/conformance`) is run against one server, which has the tools, resources and
prompts it wants and speaks both eras of the protocol: directly, and with the relay in between. What
counts is the difference: **every check that passes directly has to pass through the relay**, or the
run fails, but for those that a backend of the other era than the client's cannot pass. Counted are
the checks of the scenarios that the suite scores for a revision, without extensions and what came
to the suite later. A warning, which is a SHOULD that was not kept, counts as not passed."""

SERVER: Final = """\
The suite speaks HTTP and the relay stdio, so a small bridge stands before the relay: one relay for
each legacy session, one for all modern requests, to which the bridge says first what the suite's
clients can do at most. *bridge, no relay* is the same server on stdio
behind this bridge, and shows what the bridge and stdio alone change. *swapping*: `relayctl swap`
one second after the last one was done, as long as the suite runs; in brackets how many of them were
committed. *legacy era only* and *modern era only* are what the backend speaks, whatever the suite
speaks: there the relay translates."""

CLIENT: Final = """\
The suite plays the server, over HTTP, and the client has to get along with it: the client of the
Python SDK by itself, and the same client on stdio with a relay that has the suite's server as its
backend."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one target has passed, by revision, and a remark."""

    name: str
    checks: Mapping[str, Checks]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """A check that passes directly, and not here."""

    row: str
    revision: str
    key: Key
    outcome: Outcome

    @property
    def excuse(self) -> str | None:
        """Why it cannot be otherwise here, if that is so."""
        return excuse(self.row, self.key)


@dataclass(frozen=True, slots=True)
class Leg:
    """The rows of one kind of scenarios: the first is the direct one, which all are measured by."""

    title: str
    text: str
    rows: tuple[Row, ...]

    def differences(self) -> Iterator[Difference]:
        """All checks that pass directly and not elsewhere, row by row."""
        direct = self.rows[0]
        for row in self.rows[1:]:
            for revision, checks in row.checks.items():
                for key, outcome in direct.checks[revision].items():
                    here = checks.get(key, NOT_THERE)
                    if outcome.passed and not here.passed:
                        yield Difference(row.name, revision, key, here)


def figures(checks: Checks) -> str:
    """How many passed, of how many."""
    counted = [outcome for outcome in checks.values() if outcome.counts]
    return f"{sum(outcome.passed for outcome in counted)}/{len(counted)}"


def page(legs: tuple[Leg, ...], date: str, versions: Mapping[str, str]) -> str:
    """The whole page."""
    ran = ", ".join(f"{name} {version}" for name, version in versions.items())
    parts = [HEAD, f"Run on {date} with {ran}."]
    for leg in legs:
        parts += [f"## {leg.title}", leg.text, table(leg)]
    return "\n\n".join([*parts, *differences(legs)]) + "\n"


def table(leg: Leg) -> str:
    """Passed checks of all rows."""
    head = f"| passed/checked | {' | '.join(REVISIONS)} |"
    lines = [head, "|---|" + "--:|" * len(REVISIONS)]
    for row in leg.rows:
        cells = [figures(row.checks[name]) if name in row.checks else "-" for name in REVISIONS]
        name = f"{row.name} ({row.note})" if row.note else row.name
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def differences(legs: tuple[Leg, ...]) -> list[str]:
    """Every check that differs, and why."""
    parts = ["## Checks that pass directly and not here"]
    found = [each for leg in legs for each in leg.differences()]
    if not found:
        return [*parts, "None."]
    lines = ["| where | revision | check | the suite says | why |", "|---|---|---|---|---|"]
    for each in found:
        scenario, check = each.key
        said = _cell(f"{each.outcome.status}: {each.outcome.message}")
        why = each.excuse or f"**{UNKNOWN}**"
        lines.append(f"| {each.row} | {each.revision} | {scenario}: `{check}` | {said} | {why} |")
    return [*parts, "\n".join(lines)]


def _cell(text: str) -> str:
    return " ".join(text[:MESSAGE_CHARACTERS_MAX].replace("|", "\\|").split())
