"""What a candidate must bring before it may serve: all tools, and all health, of the one before."""

from typing import Final

import msgspec

from relay_supervisor.core.generation import Offer
from relay_supervisor.wire import cache
from relay_supervisor.wire.errors import UNDECODABLE

HEALTHY: Final = ("ready", "idle", "disabled")
AWAITED: Final = "awaited"
"""It runs under the old worker, and is handed over: it will be as healthy as it is."""

PENDING: Final = ("unknown", "starting", "backing_off", "restarting", "stopping")
"""A backend in these states may yet be healthy: the gate waits for it."""


class Difference(msgspec.Struct, frozen=True):
    """Tools of a candidate beside those of the one before, by name."""

    kept: int = 0
    added: list[str] = []
    lost: list[str] = []


class Verdict(msgspec.Struct, frozen=True):
    """`refusals` says why not; with `waiting` it is too early to say."""

    difference: Difference | None
    refusals: list[str] = []
    waiting: list[str] = []


def judge(old: Offer | None, new: Offer, served: cache.Body | None) -> Verdict:
    """Compare a candidate with the generation it is to replace, if there is one, and with what the
    client is *served* now: a worker that was started again may not know all of it yet.

    What the configuration changed on purpose does not count: a backend whose fingerprint is
    another, or which is gone, may lose tools and health.
    """
    failed = [f"check of {c.tool} failed: {c.detail}" for c in new.checks if not c.ok]
    if old is None:
        return Verdict(None, failed)
    before, after = _tools(served), _tools(_body(new))
    difference = Difference(
        kept=len(before.keys() & after.keys()),
        added=sorted(after.keys() - before.keys()),
        lost=sorted(before.keys() - after.keys()),
    )
    prints = {info.name: info.fingerprint for info in new.backends}
    same = {b.name for b in old.backends if prints.get(b.name) == b.fingerprint}
    lost = [name for name in difference.lost if before[name] in same]
    sick = [name for name in sorted(same) if _state(old, name) in HEALTHY]
    sick = [name for name in sick if _state(new, name) not in (*HEALTHY, AWAITED)]
    missing = {*sick, *(before[name] for name in lost)}
    waiting = [name for name in sorted(missing) if _state(new, name) in PENDING]
    refusals = list(failed)
    if lost:
        refusals.append(f"tools would be lost: {', '.join(lost)}")
    refusals += [f"backend {name} is {_state(new, name)}, and was healthy before" for name in sick]
    return Verdict(difference, refusals, waiting)


def _body(offer: Offer) -> cache.Body | None:
    try:
        return cache.decode_body(offer.body) if offer.body else None
    except UNDECODABLE:
        return None


def _tools(body: cache.Body | None) -> dict[str, str]:
    return {} if body is None else {entry.key: entry.backend for entry in body.tools}


def _state(offer: Offer, name: str) -> str:
    report = offer.states.get(name)
    return "unknown" if report is None else report.state
