"""Which checks differ from those of which row: what `make conformance` fails for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.conformance.found import Found
from tests.conformance.reasons import BRIDGE, reason
from tests.conformance.suite import NOT_THERE, Key, Outcome


@dataclass(frozen=True, slots=True)
class Row:
    """What one target has passed, by revision. *direct* is the row of the same server without
    anything between; its own name, if it is that.
    """

    name: str
    direct: str
    found: Mapping[str, Found]


@dataclass(frozen=True, slots=True)
class Difference:
    """A check that passes in the row *than*, and not here."""

    row: str
    than: str
    revision: str
    key: Key
    outcome: Outcome
    why: str | None


@dataclass(frozen=True, slots=True)
class Leg:
    """The rows of one kind of scenarios. The first has a server of both eras, directly."""

    title: str
    text: str
    rows: tuple[Row, ...]

    def directly(self, row: Row, revision: str) -> Mapping[Key, Outcome]:
        """What the same server does without anything between."""
        (same,) = (one for one in self.rows if one.name == row.direct)
        return same.found[revision].checks

    def is_of_one_server(self) -> bool:
        """Whether all rows are measured by the first."""
        return {row.direct for row in self.rows} == {self.rows[0].name}

    def both_eras(self, revision: str) -> Mapping[Key, Outcome]:
        """What a server of both eras does without anything between."""
        return self.rows[0].found[revision].checks

    def lost(self) -> Iterator[Difference]:
        """What passes directly, and not here: nothing but the bridge by itself has an excuse."""
        for row, revision, checks in self._measured():
            for key in passed(self.directly(row, revision)):
                here = checks.get(key, NOT_THERE)
                if not here.passed:
                    why = reason(row.name, key) if row.name == BRIDGE else None
                    yield Difference(row.name, row.direct, revision, key, here, why)

    def untranslated(self) -> Iterator[Difference]:
        """What neither passes here nor directly, but would if the server were of both eras."""
        for row, revision, checks in self._measured():
            directly = passed(self.directly(row, revision))
            for key in passed(self.both_eras(revision)):
                here = checks.get(key, NOT_THERE)
                if key not in directly and not here.passed:
                    why = reason(row.name, key)
                    yield Difference(row.name, self.rows[0].name, revision, key, here, why)

    def _measured(self) -> Iterator[tuple[Row, str, Mapping[Key, Outcome]]]:
        for row in self.rows:
            if row.name != row.direct:
                for revision, found in row.found.items():
                    yield row, revision, found.checks


def passed(checks: Mapping[Key, Outcome]) -> list[Key]:
    """Those that passed."""
    return [key for key, outcome in checks.items() if outcome.passed]


def figures(checks: Mapping[Key, Outcome]) -> str:
    """How many passed, of how many that were put to the test."""
    counted = sum(outcome.counts for outcome in checks.values())
    return f"{len(passed(checks))}/{counted}"


def kept(here: Mapping[Key, Outcome], there: Mapping[Key, Outcome]) -> str:
    """How many of those that passed there pass here, too."""
    wanted = passed(there)
    return f"{sum(here.get(key, NOT_THERE).passed for key in wanted)}/{len(wanted)}"
