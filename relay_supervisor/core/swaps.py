"""Replacing the worker: one candidate at a time, gated, on probation, taken back if it fails.

Where a swap is can be read off the generations; what is kept here is its record and who waits for
its outcome. `prepare → gate → cut over → probation → commit`, and from each of them back.
"""

from collections.abc import Callable
from typing import Final

from relay_supervisor.core.drains import DRAINERS_MAX, Drains
from relay_supervisor.core.gate import Verdict, judge
from relay_supervisor.core.generation import GONE, Generation, Life, Source, Step
from relay_supervisor.core.recovery import Recovery
from relay_supervisor.core.refusals import Refusals
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.swap_record import Outcome, Swap, checks_of, label
from relay_supervisor.core.swap_replies import Replies
from relay_supervisor.wire import v1

RELAY_ERRORS_MAX: Final = 3
"""So many failures of the relay's own, and more than half of the calls, end a probation."""


class Swaps:
    """The swap under way, the one on probation, and the last that ended."""

    def __init__(
        self,
        shared: Shared,
        drains: Drains,
        recovery: Recovery,
        *,
        serve: Callable[[Generation, float], None],
        give_up: Callable[[int, str, float], None],
    ) -> None:
        """*serve* makes a promoted generation's offer what the client gets; *give_up* ends a
        generation at once, with all that follows for its calls.
        """
        self._shared = shared
        self._drains = drains
        self._recovery = recovery
        self._serve = serve
        self._give_up = give_up
        self.state = shared.memory.swaps
        self._refusals = Refusals(self.state.refused)
        self._replies = Replies(shared)

    @property
    def open(self) -> bool:
        """Tell whether a swap is under way or on probation."""
        return self.state.warming is not None or self.state.probation is not None

    # ---- asked for --------------------------------------------------------------------------

    def request(self, connection: int, args: dict[str, object], now: float) -> None:
        """relayctl wants a swap."""
        if self.state.warming is not None:
            return self._replies.deny(connection, "busy", "a swap is under way already")
        committed = self._recovery.state.committed
        python = str(args.get("python") or committed.python)
        release = str(args.get("release") or ("" if args.get("python") else committed.release))
        self._refusals.learn(args.get("refused"))
        self.begin(
            Source(python, release),
            now,
            force=bool(args.get("force")),
            backup=str(args.get("backup") or ""),
            connection=connection,
            wait=not args.get("no_wait"),
        )
        return None

    def rollback(self, connection: int, args: dict[str, object], now: float) -> None:
        """relayctl wants the version before."""
        reason = "asked for by relayctl rollback"
        if self.state.probation is not None and self._standing_by(self.state.probation) is not None:
            self.state.probation.watchers.append(connection)
            return self.roll_back(reason, now, blame=False)
        if self.state.warming is not None:
            self.state.warming.watchers.append(connection)
            return self._abandon_candidate(reason, now, Outcome.ROLLED_BACK)
        if (source := self._recovery.before(self._shared.workers.active())) is None:
            text = "no earlier version was committed in this session; nothing was changed"
            return self._replies.deny(connection, "nothing", text)
        if self.state.probation is not None:
            self._end(self.state.probation, Outcome.FAILED, reason, now)
        wait = not args.get("no_wait")
        return self.begin(source, now, force=True, connection=connection, wait=wait)

    def begin(
        self,
        source: Source,
        now: float,
        *,
        force: bool = False,
        backup: str = "",
        connection: int | None = None,
        wait: bool = True,
    ) -> None:
        """Begin a swap to *source*; while somebody serves it waits for those still draining."""
        self.state.count += 1
        active = self._shared.workers.active()
        old = active.number if active else None
        swap = Swap(self.state.count, source, now, old, force=force, backup=backup)
        self.state.warming = swap
        if connection is not None:
            (swap.watchers if wait else swap.no_wait).append(connection)
        swap.labels["from"] = label(active)
        swap.labels["to"] = {"release": source.release}  # more is known when it has spoken
        self._shared.timers.clear("respawn")  # the candidate takes over, whoever died
        if self._crowded():
            self._replies.phase(
                swap, "waiting", now, f"{DRAINERS_MAX} old workers are not done yet"
            )
        else:
            self._spawn(swap, now)

    def go_on(self, now: float) -> None:
        """After each event: a swap that waited for old workers goes on when there is room."""
        swap = self.state.warming
        if swap is not None and swap.new is None and not self._crowded():
            self._spawn(swap, now)

    def _crowded(self) -> bool:
        """Tell whether one more worker to let go would be one too many. The one that stands by
        counts: sooner or later it drains, too.
        """
        lives = [g.state for g in self._shared.workers.state.generations.values()]
        leaving = lives.count(Life.DRAINING) + lives.count(Life.STANDBY)
        return Life.ACTIVE in lives and leaving >= DRAINERS_MAX

    def _spawn(self, swap: Swap, now: float) -> None:
        self._replies.phase(swap, "spawning", now)
        swap.new = self._shared.workers.spawn(swap.source, now).number
        limit = self._shared.state.limits.ready_seconds_max
        self._shared.timers.set("candidate", now + limit)

    # ---- the candidate ----------------------------------------------------------------------

    def is_candidate(self, generation: Generation) -> bool:
        """Tell whether *generation* is being prepared by the swap under way."""
        return self.state.warming is not None and self.state.warming.new == generation.number

    def welcomed(self, generation: Generation, now: float) -> None:
        """The candidate speaks our language."""
        if self.state.warming is not None and self.is_candidate(generation):
            self.state.warming.labels["to"] = label(generation)
            self._replies.phase(self.state.warming, "handshaking", now)

    def configured(self, generation: Generation, now: float) -> None:
        """The candidate has read its configuration; with nobody serving it serves at once."""
        swap = self.state.warming
        if swap is None or not self.is_candidate(generation):
            return
        swap.labels["to"] = label(generation)
        self._replies.phase(swap, "warming", now)
        nobody = self._shared.workers.active() is None or self._shared.state.peer.era is None
        if self._is_welcome(swap, generation, now) and nobody:
            # Nobody serves, or nobody is there to be served: nothing to judge it by.
            self._cut_over(swap, generation, now)

    def _is_welcome(self, swap: Swap, generation: Generation, now: float) -> bool:
        """End the swap if its candidate failed before; looked at again as it may have meanwhile."""
        reason = self._refusals.reason(generation)
        if swap.force or reason is None:
            return True
        text = f"this version failed before ({reason}); --force takes it all the same"
        self._abandon_candidate(text, now)
        return False

    def check_gate(self, now: float) -> None:
        """Something about one of the workers has changed: see whether the candidate may serve."""
        swap = self.state.warming
        generation = self._shared.workers.state.generations.get(swap.new or 0) if swap else None
        if swap is None or generation is None or generation.state is not Life.READY:
            return
        if not self._is_welcome(swap, generation, now):
            return
        if not any(name == "ready" for name, _ in swap.phases):
            self._replies.phase(swap, "ready", now)
        verdict = self._judge(generation)
        swap.difference = verdict.difference
        swap.checks = checks_of(generation.offer.checks, "ready")
        if not verdict.refusals or swap.force:
            self._cut_over(swap, generation, now)
        elif not verdict.waiting:
            self._abandon_candidate("; ".join(verdict.refusals), now)

    def _judge(self, generation: Generation) -> Verdict:
        active = self._shared.workers.active()
        served = self._shared.registry.body
        return judge(active.offer if active else None, generation.offer, served)

    def candidate_late(self, now: float) -> None:
        """The candidate took too long."""
        if self.state.warming is None or self.state.warming.new is None:
            return
        generation = self._shared.workers.state.generations.get(self.state.warming.new)
        limit = self._shared.state.limits.ready_seconds_max
        text = f"it was not ready within {limit:g} s (ready_seconds_max)"
        if generation is not None and generation.state is Life.READY:
            verdict = self._judge(generation)
            text += ": " + "; ".join(verdict.refusals)
        self._abandon_candidate(text, now)

    def _abandon_candidate(
        self, reason: str, now: float, outcome: Outcome = Outcome.FAILED
    ) -> None:
        swap = self.state.warming
        assert swap is not None
        self._end(swap, outcome, reason, now)
        if swap.new is not None:
            self._give_up(swap.new, reason, now)
        self._replace(now)

    def dismiss(self, generation: Generation, now: float) -> None:
        """A worker has come up that was started again before a swap brought another one."""
        self._give_up(generation.number, "another worker serves by now", now)

    def interrupt(self, now: float) -> None:
        """The relay ends: whoever waits for a swap is told."""
        for swap in (self.state.warming, self.state.probation):
            if swap is not None:
                self._end(swap, Outcome.FAILED, "the relay ends", now)

    # ---- cut-over and probation ---------------------------------------------------------------

    def _cut_over(self, swap: Swap, generation: Generation, now: float) -> None:
        shared = self._shared
        shared.timers.clear("candidate")
        old = shared.workers.active()
        swap.calls_at_cut_over = len(shared.state.calls)
        if self.state.probation is not None:
            # Superseded: the one before it stays the one to go back to.
            beaten = self.state.probation
            self._end(beaten, Outcome.FAILED, f"superseded by swap {swap.number}", now)
            if old is not None:
                self._drains.begin(old, now)
            old = self._standing_by(beaten)
        elif old is not None:
            old.advance(Step.SUPERSEDED)
        swap.old = old.number if old is not None else None
        shared.workers.promote(generation)
        self.state.warming, self.state.probation = None, swap
        self._replies.phase(swap, "active", now)
        self._serve(generation, now)
        no_wait, swap.no_wait = swap.no_wait, []
        for connection in no_wait:
            self._replies.answer(connection, swap, Outcome.PROBATION, now)
        limits = shared.state.limits
        if limits.probation_seconds <= 0 or limits.probation_calls <= 0:
            self.commit(now)
            return
        shared.timers.set("probation", now + limits.probation_seconds)
        if generation.offer.checks:
            shared.out.worker(generation.number, v1.RunChecks(swap.number))

    def answered(self, generation: int, outcome: int, now: float) -> None:
        """A call was answered by *generation*."""
        swap = self.state.probation
        if swap is None or swap.new != generation:
            return
        swap.answered += 1
        swap.relay_errors += outcome == v1.OUTCOME_RELAY_ERROR
        if swap.relay_errors >= RELAY_ERRORS_MAX and swap.relay_errors * 2 > swap.answered:
            text = f"{swap.relay_errors} of its {swap.answered} calls failed in the relay"
            self.roll_back(text, now, kill=True)
        elif swap.answered >= self._shared.state.limits.probation_calls:
            self.commit(now)

    def checked(self, generation: Generation, message: v1.Checked, now: float) -> None:
        """The checks after the cut-over are done."""
        swap = self.state.probation
        if swap is None or swap.new != generation.number or message.token != swap.number:
            return
        swap.checks = [*swap.checks, *checks_of(message.results, "probation")]
        if failed := [result for result in message.results if not result.ok]:
            text = "; ".join(f"check of {r.tool} failed: {r.detail}" for r in failed)
            self.roll_back(text, now, kill=True)

    def commit(self, now: float) -> None:
        """The candidate has proved itself."""
        swap = self.state.probation
        assert swap is not None
        shared = self._shared
        generation = shared.workers.active()
        assert generation is not None
        old = self._standing_by(swap)
        self._recovery.committed(generation)
        self._end(swap, Outcome.COMMITTED, "", now)
        if old is not None:
            self._drains.begin(old, now)

    def _standing_by(self, swap: Swap) -> Generation | None:
        """Return the one to go back to, while it is alive."""
        old = self._shared.workers.state.generations.get(swap.old or 0)
        return old if old is not None and old.state is Life.STANDBY else None

    def roll_back(self, reason: str, now: float, *, kill: bool = False, blame: bool = True) -> None:
        """Give the calls back to the one before; with *kill* the failed one ends at once, else it
        finishes what it has under way. With *blame* it is not to be taken again without force.
        """
        swap = self.state.probation
        assert swap is not None
        shared = self._shared
        failed = shared.workers.state.generations.get(swap.new or 0)
        old = self._standing_by(swap)
        if blame and failed is not None:
            self._blame(failed, old, reason)
        if old is None:
            self._end(swap, Outcome.FAILED, f"{reason}; nobody stands by to go back to", now)
        else:
            if failed is not None and failed.state not in GONE and not kill:
                self._drains.begin(failed, now)
            shared.workers.promote(old)
            self._serve(old, now)
            self._end(swap, Outcome.ROLLED_BACK, reason, now)
        if kill and failed is not None:
            self._give_up(failed.number, reason, now)
            self._replace(now)

    def _blame(self, failed: Generation, old: Generation | None, reason: str) -> None:
        """Remember that this pair failed; not where the one to go back to is the very same."""
        pair = (failed.build, failed.offer.config_digest)
        if old is None or pair == (old.build, old.offer.config_digest):
            return
        self._refusals.add(*pair, reason)
        self._shared.out.worker(old.number, v1.Refuse(*pair, reason))

    def lost(self, generation: Generation, reason: str, now: float) -> bool:
        """A generation died. Return whether somebody serves or is about to."""
        number = generation.number
        if self.state.warming is not None and self.state.warming.new == number:
            self._end(self.state.warming, Outcome.FAILED, reason, now)
        elif self.state.probation is not None and self.state.probation.new == number:
            self.roll_back(reason, now)
        if self.state.warming is not None and self._shared.workers.active() is None:
            self._promote_early(self.state.warming, now)
            return True
        return self._shared.workers.active() is not None

    def _replace(self, now: float) -> None:
        """If nobody serves any more, see to it that somebody will."""
        if self._shared.workers.active() is not None:
            return
        if self.state.warming is not None:
            self._promote_early(self.state.warming, now)
        else:
            self._recovery.died(now)

    def _promote_early(self, swap: Swap, now: float) -> None:
        """The active worker died while a candidate warms up: do not wait for the gate."""
        generation = self._shared.workers.state.generations.get(swap.new or 0)
        if generation is None:
            if swap.new is None:
                self._spawn(swap, now)
            return
        up = generation.state in (Life.WARMING, Life.READY) and generation.offer.configured
        if up and self._is_welcome(swap, generation, now):
            self._cut_over(swap, generation, now)

    # ---- the record ---------------------------------------------------------------------------

    def _end(self, swap: Swap, outcome: Outcome, reason: str, now: float) -> None:
        swap.outcome, swap.reason = outcome, reason
        swap.seconds = round(now - swap.began, 3)
        self._replies.phase(swap, outcome.value, now)
        if self.state.warming is swap:
            self.state.warming = None
            self._shared.timers.clear("candidate")
        if self.state.probation is swap:
            self.state.probation = None
            self._shared.timers.clear("probation")
        self.state.last = swap
        self._shared.out.log(
            "info" if outcome is Outcome.COMMITTED else "warning",
            f"swap {swap.number}: {outcome.value}" + (f": {reason}" if reason else ""),
        )
        self._shared.out.journal("swap_ended", **swap.record())
        for connection in (*swap.watchers, *swap.no_wait):
            self._replies.answer(connection, swap, outcome, now)
