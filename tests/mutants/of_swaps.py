"""Faults in swaps: readiness, gate, cut-over, probation, the way back."""

from tests.mutants.mutant import Mutant

BEFORE = (
    Mutant(
        "a welcome with another nonce is taken",
        "workers.py",
        "        if welcome.generation != generation.number or welcome.nonce != generation.nonce:",
        "        if welcome.generation != generation.number:",
    ),
    Mutant(
        "Ready with another nonce is taken",
        "reports.py",
        "        if (message.generation, message.nonce) != (generation.number, generation.nonce):",
        "        if message.generation != generation.number:",
    ),
    Mutant(
        "Ready before the configuration is taken",
        "reports.py",
        "        if not generation.offer.configured:\n",
        "        if not generation.offer:\n",
    ),
    Mutant(
        "a candidate serves before it is ready",
        "swaps.py",
        "        if swap is None or generation is None or generation.state is not Life.READY:\n",
        """        coming = (Life.WARMING, Life.READY)
        if swap is None or generation is None or generation.state not in coming:
""",
    ),
    Mutant(
        "the gate is open",
        "swaps.py",
        "        if not verdict.refusals or swap.force:",
        "        if not verdict.refusals or swap:",
    ),
    Mutant(
        "force is forgotten",
        "swaps.py",
        "        if not verdict.refusals or swap.force:",
        "        if not verdict.refusals:",
    ),
    Mutant(
        "the gate waits for nobody",
        "swaps.py",
        "        elif not verdict.waiting:\n",
        "        else:\n",
    ),
    Mutant(
        "lost tools are no reason",
        "gate.py",
        "    if lost:\n",
        "    if lost and failed:\n",
    ),
    Mutant(
        "lost health is no reason",
        "gate.py",
        "    sick = [name for name in sick if _state(new, name) not in HEALTHY]",
        "    sick = [name for name in sick if _state(new, name) in HEALTHY[1:0]]",
    ),
    Mutant(
        "what the configuration changed counts as lost",
        "gate.py",
        "    lost = [name for name in difference.lost if before[name] in same]",
        "    lost = list(difference.lost)",
    ),
    Mutant(
        "a candidate has no deadline",
        "swaps.py",
        '        self._shared.timers.set("candidate", now + limit)\n',
        "        del limit\n",
    ),
    Mutant(
        "two swaps are prepared at once",
        "swaps.py",
        "        if self.state.warming is not None:\n            return self._replies.deny",
        """        if self.state.warming is None and self.state.last is self:
            return self._replies.deny""",
    ),
    Mutant(
        "a pair that fails while it is prepared again is taken",
        "swaps.py",
        """        if not self._is_welcome(swap, generation, now):
            return
""",
        "",
    ),
    Mutant(
        "refusals are forgotten",
        "refusals.py",
        "        self._known[:] = [*others, Refused(*pair, reason)][-REFUSED_MAX:]\n",
        "",
    ),
    Mutant(
        "a third worker drains",
        "swaps.py",
        "        return Life.ACTIVE in lives and leaving >= DRAINERS_MAX",
        "        return Life.ACTIVE in lives and leaving > DRAINERS_MAX",
    ),
    Mutant(
        "a swap waits for drainers while nobody serves",
        "swaps.py",
        "        return Life.ACTIVE in lives and leaving >= DRAINERS_MAX",
        "        return leaving >= DRAINERS_MAX",
    ),
)

CUT_OVER = (
    Mutant(
        "new calls go where the old ones went",
        "workers.py",
        "        self.state.active = generation.number\n",
        "        self.state.active = self.state.active or generation.number\n",
    ),
    Mutant(
        "the one that is superseded is left as it is",
        "swaps.py",
        """            if old is not None:
                self._drains.begin(old, now)
            old = self""",
        "            old = self",
    ),
    Mutant(
        "the one to go back to is noted when the swap begins",
        "swaps.py",
        "        swap.old = old.number if old is not None else None\n",
        "",
    ),
    Mutant(
        "a candidate's offer is not served",
        "swaps.py",
        """        self._replies.phase(swap, "active", now)
        self._serve(generation, now)
""",
        '        self._replies.phase(swap, "active", now)\n',
    ),
    Mutant(
        "an unsettled catalogue takes tools away",
        "serving.py",
        "replace=offer.ready)",
        "replace=True)",
    ),
    Mutant(
        "who does not wait is told twice",
        "swaps.py",
        "        no_wait, swap.no_wait = swap.no_wait, []\n",
        "        no_wait = swap.no_wait\n",
    ),
    Mutant(
        "subscriptions are not replayed",
        "session.py",
        "        if uris := peer.subscriptions():\n",
        "        if uris := peer.subscriptions()[:0]:\n",
    ),
    Mutant(
        "changes of the session are told to one worker only",
        "shared.py",
        "            if knows and generation.number != but:\n",
        """            if knows and generation.number == self.workers.state.active:
""",
    ),
)

PROBATION = (
    Mutant(
        "it is committed at the cut-over",
        "swaps.py",
        '        shared.timers.set("probation", now + limits.probation_seconds)\n',
        '        shared.timers.set("probation", now)\n',
    ),
    Mutant(
        "it is never committed by time",
        "relay.py",
        '            "probation": lambda _, now: self.swaps.commit(now),\n',
        '            "probation": lambda _, now: None,\n',
    ),
    Mutant(
        "it is never committed by calls",
        "swaps.py",
        """        elif swap.answered >= self._shared.state.limits.probation_calls:
            self.commit(now)
""",
        "",
    ),
    Mutant(
        "calls of any worker end a probation",
        "swaps.py",
        """        if swap is None or swap.new != generation:
            return
        swap.answered""",
        """        if swap is None:
            return
        swap.answered""",
    ),
    Mutant(
        "the commit is not remembered",
        "swaps.py",
        "        self._recovery.committed(generation)\n        self._end",
        "        self._end",
    ),
    Mutant(
        "the last good one is written before it has proved itself",
        "swaps.py",
        "        limits = shared.state.limits\n        if limits.probation_seconds",
        """        self._recovery.committed(generation)
        limits = shared.state.limits
        if limits.probation_seconds""",
    ),
    Mutant(
        "who stood by stands by for ever",
        "swaps.py",
        """        if old is not None:
            self._drains.begin(old, now)

    def _standing_by""",
        """        del old

    def _standing_by""",
    ),
    Mutant(
        "the death of the one on probation takes nothing back",
        "swaps.py",
        "            self.roll_back(reason, now)\n        if self.state.warming",
        """            self._end(self.state.probation, Outcome.FAILED, reason, now)
        if self.state.warming""",
    ),
    Mutant(
        "relay errors are no reason to go back",
        "swaps.py",
        "        swap.relay_errors += outcome == v1.OUTCOME_RELAY_ERROR\n",
        "        del outcome\n",
    ),
    Mutant(
        "failed checks are no reason to go back",
        "swaps.py",
        "        if failed := [result for result in message.results if not result.ok]:",
        "        if failed := [result for result in message.results if result.ok is None]:",
    ),
    Mutant(
        "what is gone back to is not served",
        "swaps.py",
        "            self._serve(old, now)\n",
        "",
    ),
    Mutant(
        "who is taken back is left as it is",
        "swaps.py",
        "            if failed is not None and failed.state not in GONE and not kill:\n"
        "                self._drains.begin(failed, now)\n",
        "",
    ),
    Mutant(
        "a deadline outlives its probation",
        "swaps.py",
        '            self._shared.timers.clear("probation")\n',
        "            pass\n",
    ),
    Mutant(
        "nobody is told that the relay ends",
        "relay.py",
        "            self.swaps.interrupt(now)\n",
        "            pass\n",
    ),
)

MUTANTS = (*BEFORE, *CUT_OVER, *PROBATION)
