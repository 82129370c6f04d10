"""The record of a swap: what is kept of it, told to who waits, and written to the journal."""

import enum
from typing import Final

import msgspec

from relay_supervisor.core.gate import Difference
from relay_supervisor.core.generation import Generation, Source
from relay_supervisor.core.refusals import Refused
from relay_supervisor.wire import v1


class Outcome(enum.Enum):
    """How a swap ended."""

    PROBATION = "probation"
    COMMITTED = "committed"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"


class Check(msgspec.Struct, frozen=True):
    """A check as the journal keeps it; `when` is ready or probation."""

    tool: str
    ok: bool
    seconds: float
    detail: str
    when: str


WORKER: Final = "worker"
SUPERVISOR: Final = "supervisor"
"""What is replaced."""

PROBLEMS_MAX: Final = 20
"""Of a configuration's; all of them are in the status."""


class Swap(msgspec.Struct):
    """The record of one swap."""

    number: int
    source: Source
    began: float
    old: int | None
    new: int | None = None
    op: str = "swap"
    """What relayctl asked for: swap or rollback."""
    force: bool = False
    backup: str = ""
    no_wait: list[int] = []
    """Control connections that want to be answered at the cut-over."""
    watchers: list[int] = []
    """Control connections that want to be answered at the end."""
    phases: list[tuple[str, float]] = []
    difference: Difference | None = None
    """None: there was nothing to compare with, or it did not come to that."""
    checks: list[Check] = []
    checking: bool = False
    """Checks are under way since the cut-over."""
    proved: bool = False
    """It has served long enough, or answered enough calls; only its checks are waited for."""
    problems: list[str] = []
    refused: bool = False
    """The pair is not taken again without force."""
    calls_at_cut_over: int = 0
    handed_over: int = 0
    """Calls that went with their backends from one of the two to the other."""
    handed_over_before: int = 0
    """How many such calls there were before it."""
    finished_by_old: int = 0
    answered: int = 0
    relay_errors: int = 0
    kept: bool = False
    """Its probation is over; only the hand-over of backends is waited for."""
    outcome: Outcome | None = None
    reason: str = ""
    seconds: float = 0.0
    labels: dict[str, dict[str, object]] = {}
    """`from`, `to`: what is said of the two generations, also when they are long gone."""
    kind: str = WORKER

    def record(self) -> dict[str, object]:
        """Return what the journal keeps of it. Add-only."""
        return {
            "swap": self.number,
            "kind": self.kind,
            "op": self.op,
            "force": self.force,
            "outcome": self.outcome.value if self.outcome else Outcome.PROBATION.value,
            "reason": self.reason,
            "from": self.labels.get("from"),
            "to": self.labels.get("to"),
            "seconds": self.seconds,
            "phases": self.phases,
            "tools": self.difference,
            "calls": {
                "at_cut_over": self.calls_at_cut_over,
                "handed_over": self.handed_over,
                "finished_by_old": self.finished_by_old,
                "answered": self.answered,
                "relay_errors": self.relay_errors,
            },
            "checks": self.checks,
            "problems": self.problems,
            "refused": self.refused,
            "backup": self.backup,
        }


class SwapsState(msgspec.Struct):
    """Plain data of the room `Swaps`."""

    count: int = 0
    warming: Swap | None = None
    """Its candidate is being prepared."""
    probation: Swap | None = None
    """Its candidate serves, and has yet to prove itself."""
    last: Swap | None = None
    """The last that ended, of either kind."""
    refused: list[Refused] = []
    """Pairs that failed, the newest last."""
    unsaved: list[v1.Refuse] = []
    """Those that no worker has written down yet."""


def checks_of(results: list[v1.CheckResult], when: str) -> list[Check]:
    """Return check results as a swap's record keeps them."""
    return [Check(r.tool, r.ok, r.seconds, r.detail, when) for r in results]


def label(generation: Generation | None) -> dict[str, object]:
    """Return what is said of a generation to people and in the journal; nothing of none."""
    if generation is None:
        return {}
    return {
        "generation": generation.number,
        "release": generation.source.release,
        "build": generation.build,
        "config_digest": generation.offer.config_digest,
    }
