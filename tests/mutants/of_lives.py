"""Faults in how workers live and end: drains, heartbeats, back-off, crash loops."""

from tests.mutants.mutant import Mutant

DRAINS = (
    Mutant(
        "a drain has no deadline",
        "drains.py",
        'f"drain_max#{generation.number}", now',
        'f"drain_max#{generation.number}", 1e9 + now',
    ),
    Mutant(
        "the hard limit does not cancel at the backend",
        "drains.py",
        '            self._errands.cancel(call, b"")\n',
        "",
    ),
    Mutant(
        "the hard limit forgets questions to the client",
        "drains.py",
        "        self._asks.lose(generation=number)\n",
        "",
    ),
    Mutant(
        "a drain ends with calls under way",
        "drains.py",
        """            if any(call.generation == number for call in state.calls.values()):
                continue
""",
        "",
    ),
    Mutant(
        "a drain ends with a question under way",
        "drains.py",
        """            if any(ask.generation == number for ask in state.asks.values()):
                continue
""",
        "",
    ),
    Mutant(
        "a drain that is over does not end its process",
        "drains.py",
        "            shared.processes.end(generation.pid, Pace.PATIENT, now)\n",
        "            pass\n",
    ),
    Mutant(
        "a drain that is over leaves its backends",
        "drains.py",
        "            shared.processes.end(process.pid, Pace.PATIENT, now)\n",
        "            pass\n",
    ),
    Mutant(
        "a drainer that dies is counted for ever",
        "relay.py",
        "        self.drains.gone(number)\n",
        "",
    ),
)

HEARTBEATS = (
    Mutant(
        "nobody is watched",
        "heartbeat.py",
        "            generation.unanswered_pings += 1\n",
        "            generation.unanswered_pings = 1\n",
    ),
    Mutant(
        "who overslept blames others",
        "relay.py",
        "        self.heartbeat.forgive()\n",
        "",
    ),
    Mutant(
        "who does not read blames others",
        "heartbeat.py",
        "            if generation.state not in ASKED or self._state.unread:\n",
        "            if generation.state not in ASKED:\n",
    ),
    Mutant(
        "answers to pings are not heard",
        "heartbeat.py",
        '        """A worker lives."""\n        generation.unanswered_pings = 0\n',
        '        """A worker lives."""\n',
    ),
    Mutant(
        "an idle relay does not sleep",
        "heartbeat.py",
        """        if not needed:
            self.forgive()
            return
""",
        "",
    ),
)

RECOVERY = (
    Mutant(
        "a worker is started again from the file as it is",
        "recovery.py",
        "        return self._shared.workers.spawn(self.good, now)",
        """        source = self.good
        return self._shared.workers.spawn(Source(source.python, source.release), now)""",
    ),
    Mutant(
        "a dead worker is not followed",
        "relay.py",
        "            self.recovery.died(now)\n",
        "            pass\n",
    ),
    Mutant(
        "two workers are started for a dead one",
        "relay.py",
        "        if self.ending.pace is None and self.shared.workers.nobody():\n",
        "        if self.ending.pace is None:\n",
    ),
    Mutant(
        "who came up too late stays",
        "reports.py",
        "            self._swaps.dismiss(generation, now)\n",
        "            pass\n",
    ),
    Mutant(
        "a crash loop never leads to the last good version",
        "recovery.py",
        "            state.source = last_good\n",
        "",
    ),
    Mutant(
        "a release that never comes up is tried for ever",
        "recovery.py",
        '        return Source(own, "", state.committed.config)\n',
        "        return None\n",
    ),
    Mutant(
        "a crash loop is never noticed",
        "recovery.py",
        "        if len(state.deaths) >= DEATHS_MAX:\n",
        "        if len(state.deaths) >= DEATHS_MAX * 1000:\n",
    ),
    Mutant(
        "a degraded relay is degraded for ever",
        "recovery.py",
        "            state.condition = Condition.WELL\n",
        "            pass\n",
    ),
    Mutant(
        "of two that are late together the second is ended though the first has ended it",
        "timers.py",
        """            if self.at.get(name, inf) <= now:
                self.clear(name)
""",
        """            if inf >= now:
                self.clear(name)
""",
    ),
    Mutant(
        "Ready after the replacement is a death",
        "generation.py",
        "        _T.REPORTED_READY: _S.STANDBY,\n",
        "",
    ),
)

MUTANTS = (*DRAINS, *HEARTBEATS, *RECOVERY)
