"""After the cut-over: a candidate serves, is watched, and is kept or taken back.

It is kept when it has served long enough, or answered enough calls, and its checks are done. The
one before it stands by until then.
"""

from collections.abc import Callable
from typing import Final

from relay_supervisor.core.custody import Custody
from relay_supervisor.core.drains import Drains
from relay_supervisor.core.gate import HEALTHY
from relay_supervisor.core.generation import GONE, Generation, Life
from relay_supervisor.core.recovery import Recovery
from relay_supervisor.core.refusals import Refusals
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.swap_record import Outcome, Swap, checks_of
from relay_supervisor.core.swap_replies import Replies
from relay_supervisor.wire import v1

RELAY_ERRORS_MAX: Final = 3
"""So many failures of the relay's own, and more than half of the calls, end a probation at once; at
its end more than half are enough.
"""


class Probation:
    """The swap on probation, if there is one."""

    def __init__(
        self,
        shared: Shared,
        drains: Drains,
        custody: Custody,
        recovery: Recovery,
        refusals: Refusals,
        replies: Replies,
        *,
        serve: Callable[[Generation, float], None],
        give_up: Callable[[int, str, float], None],
        replace: Callable[[float], None],
    ) -> None:
        """*replace* sees to it that somebody serves; see `Swaps` for the others."""
        self._shared = shared
        self._drains = drains
        self._custody = custody
        self._recovery = recovery
        self._refusals = refusals
        self._replies = replies
        self._serve = serve
        self._give_up = give_up
        self._replace = replace
        self._state = shared.memory.swaps

    @property
    def swap(self) -> Swap | None:
        """The one that is watched."""
        return self._state.probation

    @swap.setter
    def swap(self, swap: Swap | None) -> None:
        self._state.probation = swap

    def begin(self, swap: Swap, generation: Generation, now: float) -> None:
        """The candidate serves: watch it; or commit it at once, where nobody wants it watched."""
        self.swap = swap
        limits = self._shared.state.limits
        if limits.probation_seconds <= 0 or limits.probation_calls <= 0:
            self.commit(now)
            return
        self._shared.timers.set("probation", now + limits.probation_seconds)
        if generation.offer.checks:
            self._check(swap, generation.number, now)

    def end(self, outcome: Outcome, reason: str, now: float) -> None:
        """The probation is over, whatever becomes of the candidate."""
        swap = self.swap
        assert swap is not None
        for deadline in ("probation", "checks"):
            self._shared.timers.clear(deadline)
        self.swap = None
        handed_over = self._shared.state.counts.handed_over
        swap.handed_over = handed_over - swap.handed_over_before
        self._replies.ended(swap, outcome, reason, now)

    def standing_by(self) -> Generation | None:
        """Return the one to go back to, while it is alive."""
        number = self.swap.old if self.swap is not None else None
        old = self._shared.workers.state.generations.get(number or 0)
        return old if old is not None and old.state is Life.STANDBY else None

    # ---- what it shows ------------------------------------------------------------------------

    def answered(self, generation: int, outcome: int, now: float) -> None:
        """A call was answered by *generation*."""
        swap = self.swap
        if swap is not None and swap.old == generation:
            swap.finished_by_old += 1
        if swap is None or swap.new != generation:
            return
        swap.answered += 1
        swap.relay_errors += outcome == v1.OUTCOME_RELAY_ERROR
        if swap.relay_errors >= RELAY_ERRORS_MAX and self._fails(swap):
            self._take_back_failing(swap, now)
        elif swap.answered >= self._shared.state.limits.probation_calls:
            self.over(now)

    def over(self, now: float) -> None:
        """It has served long enough, or answered enough calls."""
        swap = self.swap
        assert swap is not None
        swap.proved = True
        if self._fails(swap):
            self._take_back_failing(swap, now)
        elif not swap.checking:
            self.commit(now)

    def checked(self, generation: int, message: v1.Checked, now: float) -> None:
        """Checks of a generation are done: those after the cut-over, or (without a token) those
        that were due before it and are late, as it was promoted in need.
        """
        swap, results = self.swap, message.results
        if swap is None or swap.new != generation or message.token not in (0, swap.number):
            return
        when = "probation" if message.token else "ready"
        swap.checks = [*swap.checks, *checks_of(results, when)]
        if failed := [result for result in results if not result.ok]:
            text = "; ".join(f"check of {r.tool} failed: {r.detail}" for r in failed)
            self.roll_back(text, now, kill=True)
        elif message.token:
            self._checks_done(swap, now)
        elif results:
            self._check(swap, generation, now)  # some may have been skipped

    def _checks_done(self, swap: Swap, now: float) -> None:
        swap.checking = False
        self._shared.timers.clear("checks")
        if swap.proved:
            self.over(now)  # calls may have failed meanwhile

    def checks_late(self, now: float) -> None:
        """Its checks take too long."""
        limit = self._shared.state.limits.ready_seconds_max
        text = f"its checks were not done {limit:g} s (ready_seconds_max) after the cut-over"
        self.roll_back(text, now, kill=True)

    def _check(self, swap: Swap, number: int, now: float) -> None:
        swap.checking = True
        self._shared.timers.set("checks", now + self._shared.state.limits.ready_seconds_max)
        self._shared.out.worker(number, v1.RunChecks(swap.number))

    def _fails(self, swap: Swap) -> bool:
        return swap.relay_errors * 2 > swap.answered

    def _take_back_failing(self, swap: Swap, now: float) -> None:
        text = f"{swap.relay_errors} of its {swap.answered} calls failed in the relay"
        self.roll_back(text, now, kill=True)

    # ---- how it ends --------------------------------------------------------------------------

    def commit(self, now: float) -> None:
        """The candidate has proved itself, once it has all the backends."""
        swap = self.swap
        assert swap is not None
        swap.kept = True
        if self._custody.moving:
            return
        generation = self._shared.workers.active()
        assert generation is not None
        old = self.standing_by()
        self._recovery.committed(generation)
        swap.problems = [*swap.problems, *_ailing(generation)]
        self.end(Outcome.COMMITTED, "", now)
        if old is not None:
            self._drains.begin(old, now)

    def go_on(self, now: float) -> None:
        """After each event: one that waits for its backends is kept when it has them."""
        swap = self.swap
        if swap is None or not swap.kept or swap.checking or self._custody.moving:
            return
        if swap.proved:
            self.over(now)  # calls may have failed meanwhile
        else:
            self.commit(now)

    def roll_back(self, reason: str, now: float, *, kill: bool = False, blame: bool = True) -> None:
        """Give the calls back to the one before; with *kill* the failed one ends at once, else it
        finishes what it has under way. With *blame* it is not to be taken again without force.
        """
        swap = self.swap
        assert swap is not None
        failed = self._shared.workers.state.generations.get(swap.new or 0)
        old = self.standing_by()
        before = self._recovery.state.pair if old is None else old.pair
        # What is gone back to may be the very same: refusing it would help nobody.
        if failed is not None and blame and failed.pair != before:
            self._refusals.blame(failed, reason)
            swap.refused = True
        if failed is not None and kill:
            self._give_up(failed.number, reason, now)
        if old is None:
            self.end(Outcome.FAILED, f"{reason}; nobody stands by to go back to", now)
        else:
            if failed is not None and failed.state not in GONE:
                self._drains.begin(failed, now)
            self._shared.workers.promote(old)
            self._serve(old, now)
            self.end(Outcome.ROLLED_BACK, reason, now)
        if kill:
            self._replace(now)


def _ailing(generation: Generation) -> list[str]:
    """Return in words which backends are not well."""
    return [
        f"backend {report.backend} is {report.state}"
        + (f": {report.last_error}" if report.last_error else "")
        for report in generation.offer.states.values()
        if report.state not in HEALTHY
    ]
