"""Why a check is known not to pass, and so does not fail the run.

There are two kinds. What the same server passes directly has to pass through the relay: nothing is
excused there but the row without a relay, which shows what the bridge does by itself. What only a
server of both eras passes is the limit of translation: the reason is what cannot be translated.
"""

from dataclasses import dataclass
from typing import Final

from tests.conformance.suite import Key


@dataclass(frozen=True, slots=True)
class Reason:
    """Why checks do not pass where the row's name has *where* in it."""

    where: str
    checks: tuple[Key, ...]
    why: str


UNKNOWN: Final = "not known yet"
BRIDGE: Final = "bridge, no relay"
LEGACY_BACKEND: Final = "legacy era only"

REASONS: Final = (
    Reason(
        BRIDGE,
        (("server-stateless", "sep-2575-http-server-method-not-found-404-initialize"),),
        "the SDK's server refuses `initialize` on a modern pipe with -32022",
    ),
    Reason(
        LEGACY_BACKEND,
        (
            ("input-required-result-basic-elicitation", "sep-2322-elicitation-incomplete"),
            ("input-required-result-basic-elicitation", "sep-2322-elicitation-complete"),
        ),
        "the check wants the question under the name `user_name`, which is not on the wire: in the "
        "legacy era questions have ids, and no names",
    ),
    Reason(
        LEGACY_BACKEND,
        (("input-required-result-ignore-extra-params", "sep-2322-ignore-unexpected-params"),),
        "the first request of all brings the answers already, by the modern server's own names; a "
        "legacy server asks all the same, and nothing tells which of them its question is",
    ),
    Reason(
        LEGACY_BACKEND,
        (
            ("server-stateless", "sep-2575-server-rejects-undeclared-capability"),
            ("server-stateless", "sep-2575-missing-capability-http-400"),
        ),
        "a legacy server goes by its handshake, which declares what the client can at most; no "
        "request tells it otherwise, and -32021 is none of its errors",
    ),
)


def reason(row: str, key: Key) -> str | None:
    """Why this check cannot pass in this row, if that is so."""
    for one in REASONS:
        if one.where in row and key in one.checks:
            return one.why
    return None
