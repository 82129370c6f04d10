"""Replacing the worker: one candidate at a time, gated, cut over to, and then on probation.

Where a swap is can be read off the generations; what is kept here is its record and who waits for
its outcome. `prepare → gate → cut over → probation → commit`, and from each of them back.
"""

from collections.abc import Callable

from relay_supervisor.core.custody import Custody
from relay_supervisor.core.drains import DRAINERS_MAX, Drains
from relay_supervisor.core.gate import Verdict, judge
from relay_supervisor.core.generation import Generation, Life, Source, Step
from relay_supervisor.core.probation import Probation
from relay_supervisor.core.recovery import Recovery
from relay_supervisor.core.refusals import Refusals
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.swap_record import PROBLEMS_MAX, Outcome, Swap, checks_of, label
from relay_supervisor.core.swap_replies import Replies


class Swaps:
    """The swap under way, the one on probation, and the last that ended."""

    def __init__(
        self,
        shared: Shared,
        drains: Drains,
        custody: Custody,
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
        self._state = shared.memory.swaps
        self._refusals = Refusals(shared)
        self._replies = Replies(shared)
        self.trial = Probation(
            *(shared, drains, custody, recovery, self._refusals, self._replies),
            serve=serve,
            give_up=give_up,
            replace=self._replace,
        )

    @property
    def warming(self) -> Swap | None:
        """The swap whose candidate is being prepared."""
        return self._state.warming

    @warming.setter
    def warming(self, swap: Swap | None) -> None:
        self._state.warming = swap

    @property
    def probation(self) -> Swap | None:
        """The swap whose candidate serves and is watched."""
        return self.trial.swap

    @property
    def last(self) -> Swap | None:
        """The swap that was over last."""
        return self._state.last

    @property
    def open(self) -> bool:
        """Tell whether a swap is under way or on probation."""
        return self.warming is not None or self.probation is not None

    # ---- asked for --------------------------------------------------------------------------

    def request(self, connection: int, args: dict[str, object], now: float) -> None:
        """relayctl wants a swap."""
        if self.warming is not None:
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
        back = self.trial.standing_by()
        wait = not args.get("no_wait")
        if self.warming is not None and self.warming.op == "rollback":
            (self.warming.watchers if wait else self.warming.no_wait).append(connection)
            return None  # it is on its way
        if self.warming is not None:
            if back is None:
                self.warming.watchers.append(connection)
            self._abandon_candidate(reason, now, Outcome.ROLLED_BACK)
            if back is None:
                return None
        if self.probation is not None and back is not None:
            self.probation.watchers.append(connection)
            return self.trial.roll_back(reason, now, blame=False)
        if (source := self._recovery.before(self._shared.workers.active())) is None:
            text = "no earlier version was committed in this session; nothing was changed"
            return self._replies.deny(connection, "nothing", text)
        if self.probation is not None:
            self.trial.end(Outcome.FAILED, reason, now)
        return self.begin(source, now, op="rollback", force=True, connection=connection, wait=wait)

    def begin(
        self,
        source: Source,
        now: float,
        *,
        op: str = "swap",
        force: bool = False,
        backup: str = "",
        connection: int | None = None,
        wait: bool = True,
    ) -> None:
        """Begin a swap to *source*; while somebody serves it waits for those still draining."""
        self._state.count += 1
        active = self._shared.workers.active()
        swap = self.warming = Swap(
            *(self._state.count, source, now, active.number if active else None),
            op=op,
            force=force,
            backup=backup,
        )
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
        """After each event: a swap that waited for old workers goes on when there is room, and
        whoever serves now writes down what is refused.
        """
        self._refusals.save()
        if self.warming is not None and self.warming.new is None and not self._crowded():
            self._spawn(self.warming, now)

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
        return self.warming is not None and self.warming.new == generation.number

    def spawned(self, number: int, now: float) -> None:
        """The process of a worker runs."""
        if self.warming is not None and self.warming.new == number:
            self._replies.phase(self.warming, "handshaking", now)

    def welcomed(self, generation: Generation, now: float) -> None:
        """The candidate speaks our language."""
        if self.warming is not None and self.is_candidate(generation):
            self.warming.labels["to"] = label(generation)
            self._replies.phase(self.warming, "warming", now)

    def configured(self, generation: Generation, now: float) -> None:
        """The candidate has read its configuration; with nobody serving it serves at once."""
        swap = self.warming
        if swap is None or not self.is_candidate(generation):
            return
        swap.labels["to"] = label(generation)
        swap.problems = generation.offer.problems[:PROBLEMS_MAX]
        nobody = self._shared.workers.active() is None or self._shared.state.peer.era is None
        if self._is_welcome(swap, generation, now) and nobody:
            # Nobody serves, or nobody is there to be served: nothing to judge it by.
            self._cut_over_unjudged(swap, generation, now)

    def _cut_over_unjudged(self, swap: Swap, generation: Generation, now: float) -> None:
        """Do without the gate; but with a file of which nothing can be used, what was before is
        better than this, also if it has to be started first.
        """
        offer = generation.offer
        if offer.broken and not swap.force:
            text = f"its configuration cannot be used: {'; '.join(offer.problems[:1])}"
            self._abandon_candidate(text, now)
        else:
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
        swap = self.warming
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
            swap.problems = [*swap.problems, *(f"forced: {text}" for text in verdict.refusals)]
            self._cut_over(swap, generation, now)
        elif not verdict.waiting:
            self._abandon_candidate("; ".join(verdict.refusals), now)

    def _judge(self, generation: Generation) -> Verdict:
        active = self._shared.workers.active()
        served = self._shared.registry.body
        return judge(active.offer if active else None, generation.offer, served)

    def candidate_late(self, now: float) -> None:
        """The candidate took too long."""
        if self.warming is None or self.warming.new is None:
            return
        generation = self._shared.workers.state.generations.get(self.warming.new)
        limit = self._shared.state.limits.ready_seconds_max
        text = f"it was not ready within {limit:g} s (ready_seconds_max)"
        if generation is not None and generation.state is Life.READY:
            verdict = self._judge(generation)
            text += ": " + "; ".join(verdict.refusals)
        self._abandon_candidate(text, now)

    def _abandon_candidate(
        self, reason: str, now: float, outcome: Outcome = Outcome.FAILED
    ) -> None:
        swap = self.warming
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
        if self.warming is not None:
            self._end(self.warming, Outcome.FAILED, "the relay ends", now)
        if self.probation is not None:
            self.trial.end(Outcome.FAILED, "the relay ends", now)

    # ---- cut-over -----------------------------------------------------------------------------

    def _cut_over(self, swap: Swap, generation: Generation, now: float) -> None:
        shared, beaten = self._shared, self.probation
        shared.timers.clear("candidate")
        old = shared.workers.active()
        swap.calls_at_cut_over = len(shared.state.calls)
        swap.handed_over_before = shared.state.counts.handed_over
        if beaten is not None:
            # Superseded: the one before it stays the one to go back to.
            if old is not None:
                self._drains.begin(old, now)
            old = self.trial.standing_by()
        elif old is not None:
            old.advance(Step.SUPERSEDED)
        swap.old = old.number if old is not None else None
        if old is not None:
            swap.labels["from"] = label(old)
        shared.workers.promote(generation)
        self.warming = None
        self._replies.phase(swap, "active", now)
        self._serve(generation, now)
        if beaten is not None:
            self.trial.end(Outcome.FAILED, f"superseded by swap {swap.number}", now)
        self.trial.begin(swap, generation, now)
        no_wait, swap.no_wait = swap.no_wait, []
        if swap.outcome is None:
            for connection in no_wait:
                self._replies.answer(connection, swap, Outcome.PROBATION, now)

    def lost(self, generation: Generation, reason: str, now: float) -> bool:
        """A generation died. Return whether somebody serves or is about to."""
        number = generation.number
        if self.warming is not None and self.warming.new == number:
            self._end(self.warming, Outcome.FAILED, reason, now)
        elif self.probation is not None and self.probation.new == number:
            self.trial.roll_back(reason, now)
        if self.warming is not None and self._shared.workers.active() is None:
            self._promote_early(self.warming, now)
            return True
        return self._shared.workers.active() is not None

    def _replace(self, now: float) -> None:
        """If nobody serves any more, see to it that somebody will."""
        if self._shared.workers.active() is not None:
            return
        if self.warming is not None:
            self._promote_early(self.warming, now)
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
            self._cut_over_unjudged(swap, generation, now)

    def _end(self, swap: Swap, outcome: Outcome, reason: str, now: float) -> None:
        """The swap under way is over before its candidate served."""
        self.warming = None
        self._shared.timers.clear("candidate")
        self._replies.ended(swap, outcome, reason, now)
