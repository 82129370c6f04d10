"""Why a check is known to differ. A reason excuses nothing: a check that differs fails the run, but
for the row without a relay, which is there to show what the bridge and stdio do by themselves.
"""

from typing import Final

from tests.conformance.suite import Key

UNKNOWN: Final = "not known yet"

# (scenario, check), as in the table; the first part of the row's name.
_REASONS: Final[dict[tuple[Key, str], str]] = {
    (
        ("server-stateless", "sep-2575-http-server-method-not-found-404-initialize"),
        "bridge",
    ): "the SDK's server refuses `initialize` on a modern stdio connection with -32022",
}


def reason(row: str, key: Key) -> str:
    """Why this check differs in this row."""
    for (known, begin), why in _REASONS.items():
        if known == key and row.startswith(begin):
            return why
    return UNKNOWN
