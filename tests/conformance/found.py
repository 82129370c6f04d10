"""What one run of the suite has found, and how it is kept until the page is written."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.conformance.commit import is_certain
from tests.conformance.reasons import reason
from tests.conformance.suite import REPOSITORY, Checks

KEPT: Final = REPOSITORY / ".conformance"


@dataclass(frozen=True, slots=True)
class Found:
    """The checks; the swaps that were committed meanwhile, and why others were not; of which
    commit it is, and how many runs there were.
    """

    checks: Checks
    swaps: int = 0
    failed_swaps: tuple[str, ...] = ()
    commit: str = ""
    runs: int = 1

    def faults(self, row: str) -> list[str]:
        """What has failed, and is not known to have to in this row."""
        return [
            *(f"a swap has failed: {text}" for text in self.failed_swaps),
            *(
                f"{scenario}: {check}: {outcome.message}"
                for (scenario, check), outcome in self.checks.items()
                if outcome.counts and not outcome.passed and not reason(row, (scenario, check))
            ),
        ]


def place(commit: str, row: str, revision: str) -> Path:
    """Where it is kept: of each commit apart, as another one may have it in another form."""
    return KEPT / commit / f"{row}, {revision}"


def keep(found: Found, row: str, revision: str) -> None:
    """Keep it for `--resume`."""
    path = place(found.commit, row, revision)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(found))


def kept(commit: str, row: str, revision: str) -> Found | None:
    """What is kept of a row, if it certainly is of this very commit."""
    path = place(commit, row, revision)
    if not path.exists() or not is_certain(commit):
        return None
    found: Found = pickle.loads(path.read_bytes())
    return found
