"""How the client under test of the client scenarios reaches the suite's server."""

import sys
from dataclasses import dataclass
from typing import Final

from tests.conformance import suite

TIMEOUT_MILLISECONDS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Through:
    """One row of the table: the client's own transport, or a relay."""

    name: str
    way: str


THROUGHS: Final = (
    Through("the SDK's client, direct", "direct"),
    Through("the SDK's client, through the relay", "relay"),
)


def client_run(through: Through, revision: str) -> suite.Checks:
    """Run the client scenarios of one revision."""
    command = f"{sys.executable} -m tests.conformance.client {through.way}"
    return suite.run(
        [
            "client",
            "--command",
            command,
            "--requirements",
            revision,
            "--timeout",
            str(TIMEOUT_MILLISECONDS),
        ],
        {"PYTHONPATH": str(suite.REPOSITORY)},
    )
