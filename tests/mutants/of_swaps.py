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
        "    sick = [name for name in sick if _state(new, name) not in (*HEALTHY, AWAITED)]",
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
        "        if self.warming is not None:\n            return self._replies.deny",
        """        if self.warming is None and self.last is self:
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
        "        uris, tasks = peer.subscriptions(), peer.tasks()\n",
        "        uris, tasks = peer.subscriptions()[:0], peer.tasks()\n",
    ),
    Mutant(
        "links are not replayed",
        "session.py",
        "        for backend, links in named.items():\n",
        "        for backend, links in [*named.items()][:0]:\n",
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
        "probation.py",
        '        self._shared.timers.set("probation", now + limits.probation_seconds)\n',
        '        self._shared.timers.set("probation", now)\n',
    ),
    Mutant(
        "it is never committed by time",
        "relay.py",
        '            "probation": lambda _, now: self.swaps.trial.over(now),\n',
        '            "probation": lambda _, now: None,\n',
    ),
    Mutant(
        "it is never committed by calls",
        "probation.py",
        """        elif swap.answered >= self._shared.state.limits.probation_calls:
            self.over(now)
""",
        "",
    ),
    Mutant(
        "calls of any worker end a probation",
        "probation.py",
        """        if swap is None or swap.new != generation:
            return
        swap.answered""",
        """        if swap is None:
            return
        swap.answered""",
    ),
    Mutant(
        "the commit is not remembered",
        "probation.py",
        "        self._recovery.committed(generation)\n        swap.problems",
        "        swap.problems",
    ),
    Mutant(
        "the last good one is written before it has proved itself",
        "probation.py",
        "        limits = self._shared.state.limits\n        if limits.probation_seconds",
        """        self._recovery.committed(generation)
        limits = self._shared.state.limits
        if limits.probation_seconds""",
    ),
    Mutant(
        "who stood by stands by for ever",
        "probation.py",
        """        if old is not None:
            self._drains.begin(old, now)

    def go_on""",
        """        del old

    def go_on""",
    ),
    Mutant(
        "the death of the one on probation takes nothing back",
        "swaps.py",
        "            self.trial.roll_back(reason, now)\n        if self.warming",
        """            self.trial.end(Outcome.FAILED, reason, now)
        if self.warming""",
    ),
    Mutant(
        "relay errors are no reason to go back",
        "probation.py",
        "        swap.relay_errors += outcome == v1.OUTCOME_RELAY_ERROR\n",
        "        del outcome\n",
    ),
    Mutant(
        "failed checks are no reason to go back",
        "probation.py",
        "        if failed := [result for result in results if not result.ok]:",
        "        if failed := [result for result in results if result.ok is None]:",
    ),
    Mutant(
        "it is kept before its checks are done",
        "probation.py",
        "        elif not swap.checking:\n",
        "        else:\n",
    ),
    Mutant(
        "checks of one promoted in need are no reason",
        "probation.py",
        " or message.token not in (0, swap.number):",
        " or message.token != swap.number:",
    ),
    Mutant(
        "few failures are none",
        "probation.py",
        """        swap.proved = True
        if self._fails(swap):
            self._take_back_failing(swap, now)
        elif not""",
        """        swap.proved = True
        if not""",
    ),
    Mutant(
        "what is gone back to is refused",
        "probation.py",
        " and blame and failed.pair != before:",
        " and blame:",
    ),
    Mutant(
        "a refusal nobody could write down is forgotten",
        "refusals.py",
        "        while self._unsaved and active is not None:\n",
        "        while self._unsaved and (active is not None or self._unsaved.clear()):\n",
    ),
    Mutant(
        "a second rollback undoes the first",
        "swaps.py",
        '        if self.warming is not None and self.warming.op == "rollback":\n',
        '        if self.warming is not None and self.warming.op == "flight":\n',
    ),
    Mutant(
        "a broken file is taken where nobody judges",
        "swaps.py",
        "        if offer.broken and not swap.force:\n",
        "        if offer.broken and swap.force:\n",
    ),
    Mutant(
        "going back leaves the next one coming",
        "swaps.py",
        """            self._abandon_candidate(reason, now, Outcome.ROLLED_BACK)
            if back is None:
                return None
""",
        """            if back is None:
                return self._abandon_candidate(reason, now, Outcome.ROLLED_BACK)
""",
    ),
    Mutant(
        "what is gone back to is not served",
        "probation.py",
        "            self._serve(old, now)\n",
        "",
    ),
    Mutant(
        "who is taken back is left as it is",
        "probation.py",
        "            if failed is not None and failed.state not in GONE:\n"
        "                self._drains.begin(failed, now)\n",
        "",
    ),
    Mutant(
        "a deadline outlives its probation",
        "probation.py",
        '        for deadline in ("probation", "checks"):\n',
        '        for deadline in ("checks",):\n',
    ),
    Mutant(
        "nobody is told that the relay ends",
        "relay.py",
        "            self.swaps.interrupt(now)\n",
        "            pass\n",
    ),
)

CALM = (
    Mutant(
        "it is calm while a backend is on its way",
        "memory.py",
        "            self.state.custody.stale\n            or ",
        "            ",
    ),
    *(
        Mutant(f"it is calm {while_}", "memory.py", f"            or {what}\n", "")
        for while_, what in {
            "while a swap is on probation": "self.swaps.probation is not None",
            "while a generation drains": "self.drains",
            "though the client has closed its end": "ending.client_closed",
            "while the relay ends": "ending.pace is not None",
        }.items()
    ),
)

MUTANTS = (*BEFORE, *CUT_OVER, *PROBATION, *CALM)
