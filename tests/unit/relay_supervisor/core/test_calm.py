"""While calls are under way the rooms are asked what they want to do only where something else is
under way, too. (That nothing is missed otherwise the simulation looks after each event.)
"""

from relay_supervisor.core import events
from relay_supervisor.core.swap_record import Outcome
from relay_supervisor.wire import v1
from tests.unit.relay_supervisor.core.custody_driver import BOTH, CustodyDriver

AT_ONCE = v1.Limits(probation_seconds=0)
GOOD = [v1.CheckResult("files__read", True, 0.1)]


def test_who_waits_for_checks_alone_is_kept_when_they_are_done() -> None:
    """By the answer to the checks, and not with whatever happens next."""
    relay = CustodyDriver()
    relay.serve()
    relay.swap()
    relay.warm(2, limits=AT_ONCE, states=dict.fromkeys(BOTH, "awaited"))
    relay.do(events.WorkerPipeFailed(1, "it broke"))
    assert relay.active == 2, "promoted in need, before its checks"
    relay.frame(v1.Checked(0, GOOD), b"", 2)
    token = relay.one(v1.RunChecks).token
    relay.kill(1, {})
    for name in BOTH:
        relay.adopted(name)
    assert relay.relay.swaps.probation is not None, "its checks are not done"
    relay.frame(v1.Checked(token, GOOD), b"", 2)
    assert relay.ended(Outcome.COMMITTED)
