"""Why a check is known to differ, and whether that fails the run.

A reason that excuses is only for what a backend of another era than the client's cannot do, however
it is translated; and for the row without a relay, which shows what the bridge does by itself.
"""

from dataclasses import dataclass
from typing import Final

from tests.conformance.suite import Key


@dataclass(frozen=True, slots=True)
class Reason:
    """Why checks differ where the row's name has *where* in it."""

    where: str
    checks: tuple[Key, ...]
    why: str


UNKNOWN: Final = "not known yet"
_LEGACY: Final = "legacy era only"

EXCUSES: Final = (
    Reason(
        "bridge, no relay",
        (("server-stateless", "sep-2575-http-server-method-not-found-404-initialize"),),
        "the SDK's server refuses `initialize` on a modern pipe with -32022",
    ),
    Reason(
        _LEGACY,
        (
            ("input-required-result-basic-elicitation", "sep-2322-elicitation-incomplete"),
            ("input-required-result-basic-elicitation", "sep-2322-elicitation-complete"),
        ),
        "the check wants the server's own name for the question; in the legacy era it has none",
    ),
    Reason(
        _LEGACY,
        (("input-required-result-ignore-extra-params", "sep-2322-ignore-unexpected-params"),),
        "answers come with the first request, before a legacy server has asked for anything",
    ),
    Reason(
        _LEGACY,
        (
            (
                "input-required-result-multiple-input-requests",
                "sep-2322-multiple-inputs-incomplete",
            ),
            ("input-required-result-multiple-input-requests", "sep-2322-multiple-inputs-complete"),
        ),
        "the legacy fixture asks one thing after the other, so there are several rounds",
    ),
    Reason(
        _LEGACY,
        (
            ("server-stateless", "sep-2575-server-rejects-undeclared-capability"),
            ("server-stateless", "sep-2575-missing-capability-http-400"),
        ),
        "a legacy server knows the capabilities of its session, and not of one request",
    ),
)


def excuse(row: str, key: Key) -> str | None:
    """Why this check cannot pass in this row, if that is so."""
    for reason in EXCUSES:
        if reason.where in row and key in reason.checks:
            return reason.why
    return None
