"""What sessions may have in them, for each pair of client's and server's era.

A feature is listed where both a direct connection and the relay know it. Those of one pair alone
are what the other era has no words for.
"""

from tests.differential.script import LEGACY, MODERN

Pair = tuple[str, str]
"""The era of the client, and that of the server."""

LL, LM, ML, MM = ((c, s) for c in (LEGACY, MODERN) for s in (LEGACY, MODERN))

EVERYWHERE = frozenset({LL, LM, ML, MM})

FEATURES: dict[str, frozenset[Pair]] = {
    "tool": EVERYWHERE,
    "prompt": EVERYWHERE,
    "resource": EVERYWHERE,
    "completion": EVERYWHERE,
    "error": EVERYWHERE,
    "missing": EVERYWHERE,
    "progress": EVERYWHERE,
    "cancel": EVERYWHERE,
    "together": EVERYWHERE,
    "updated": EVERYWHERE,
    # Messages have no request's id: on a pipe no modern client can be told whose they are.
    "log": frozenset({LL}),
    "level": frozenset({LL}),
    # The rest a modern client has no words for, or cannot be told of by a legacy server.
    "other": frozenset({LL}),
    "roots_changed": frozenset({LL}),
    "refusal": frozenset({LL}),
    "report": frozenset({LL}),
    "withdrawn": frozenset({LL}),
    "question": frozenset({LL}),
}

PAIRS: tuple[Pair, ...] = (LL, ML)
"""The pairs that are compared."""


def of(pair: Pair) -> tuple[str, ...]:
    """The features of sessions of this pair, in a fixed order."""
    return tuple(sorted(name for name, pairs in FEATURES.items() if pair in pairs))
