"""Faults in who has a backend, and in what its calls come to when that changes."""

from tests.mutants.mutant import Mutant

HOLDERS = (
    Mutant(
        "a backend is adopted before its holder is proven dead",
        "custody.py",
        "            elif charge.hold is Hold.HELD and self._heirs.is_due(charge, active):\n",
        """            elif charge.hold is Hold.HELD and not self._heirs.is_due(charge, active):
                holder = self._shared.workers.state.generations.get(charge.holder)
                if holder is not None and holder.state in GONE and wants(active, charge):
                    charge.hold = Hold.FREE
                    self._give(charge, active, now)
            elif charge.hold is Hold.HELD:
""",
    ),
    Mutant(
        "a backend is adopted before it was given back",
        "custody.py",
        """                advance(charge, Move.FREEZE)
                charge.moved_at""",
        """                advance(charge, Move.LOST)
                charge.moved_at""",
    ),
    Mutant(
        "one that was not asked to may give back",
        "custody.py",
        "        if charge is None or charge.hold is not Hold.FREEZING:\n",
        "        if charge is None:\n",
    ),
    Mutant(
        "any process is given back",
        "custody.py",
        "        if message.pid != charge.pid and (message.pid or not told):\n",
        "        if message.pid != charge.pid and not told:\n",
    ),
    Mutant(
        "a living process is said to be gone",
        "custody.py",
        "        if message.pid != charge.pid and (message.pid or not told):\n",
        "        if message.pid and message.pid != charge.pid:\n",
    ),
    Mutant(
        "two processes of one backend",
        "custody.py",
        "        return charge is not None and not charge.pid\n",
        "        return charge is not None\n",
    ),
    Mutant(
        "whoever asks may start a backend",
        "custody.py",
        "        return charge is not None and not charge.pid\n",
        "        return charge is None or not charge.pid\n",
    ),
    Mutant(
        "a candidate is not told what will come",
        "custody.py",
        "        if awaited:\n",
        "        if not awaited:\n",
    ),
    Mutant(
        "a backend is forgotten before its process is gone",
        "custody.py",
        """            self._end(charge, Pace.PATIENT, now)
        if not charge.pid:
            self.charges.remove(charge)
""",
        """            self._end(charge, Pace.PATIENT, now)
        self.charges.remove(charge)
""",
    ),
    Mutant(
        "what nobody wants is left running",
        "custody.py",
        """            self._end(charge, Pace.PATIENT, now)
        if not charge.pid:
""",
        """            charge.ending = True
        if not charge.pid:
""",
    ),
    Mutant(
        "an unfinished handshake is handed on",
        "custody.py",
        "            if charge.joined and not closed and ",
        "            if not closed and ",
    ),
    Mutant(
        "one whose end has begun is handed on",
        "custody.py",
        "            if charge.joined and not closed and ",
        "            if charge.joined and ",
    ),
    Mutant(
        "a process no worker can go on with is left running",
        "relay.py",
        "            self.custody.end_unusable(now)\n",
        "",
    ),
    Mutant(
        "a worker's end hurries the end of its backends",
        "custody.py",
        "        if process.rung is Rung.RUNNING:  # one",
        "        if process.rung is not None:  # one",
    ),
    Mutant(
        "nobody reads what an orphan writes to its stderr",
        "custody.py",
        "            self._shared.out.put(effects.TendStderr(charge.pid))\n",
        "            pass\n",
    ),
    Mutant(
        "the end of a process is told before it was given",
        "custody.py",
        "        return charge.hold is not Hold.FREE\n",
        "        return True\n",
    ),
    Mutant(
        "the last words of a process die with it",
        "custody.py",
        "        if charge.ending:\n            self._buried(charge)\n",
        "        if not charge.joined.isspace():\n            self._buried(charge)\n",
    ),
    Mutant(
        "pipes of the dead are kept",
        "custody.py",
        "        if pid != charge.pid:\n            self._buried(charge)\n",
        "",
    ),
)

MOVES = (
    Mutant(
        "who gives nothing back is waited for",
        "custody.py",
        "            if names:\n",
        "            if not names:\n",
    ),
    Mutant(
        "who does not take over is waited for",
        "custody.py",
        '        self._shared.timers.set(f"adopt#{charge.pid}", now + ADOPT_SECONDS_MAX)\n',
        "",
    ),
    Mutant(
        "a refusal is not heard",
        "custody.py",
        "        if message.refusal:\n",
        "        if message.refusal.isspace():\n",
    ),
    Mutant(
        "a worker dies of what it cannot take over, though nobody else can",
        "custody.py",
        "            if self._heirs.has_another(charge):\n",
        "            if charge.holder:\n",
    ),
    Mutant(
        "what nobody can take over is given again and again",
        "custody.py",
        "        self._free(charge)\n        self._end(charge, Pace.HURRIED, now)\n",
        "        self._free(charge)\n",
    ),
    Mutant(
        "workers die of a backend for ever",
        "custody.py",
        "            charge.deaths += adopting\n",
        "",
    ),
    Mutant(
        "what workers may die of is given together with the rest",
        "custody.py",
        "                    if not (charge.deaths and self._adopting):\n",
        "                    if charge.backend:\n",
    ),
    Mutant(
        "a worker that took it over is counted as one that died of it",
        "custody.py",
        'charge.left, charge.deaths = b"", 0\n',
        'charge.left = b""\n',
    ),
    Mutant(
        "a swap is committed while backends move",
        "probation.py",
        """        swap.kept = True
        if self._custody.moving:
            return
""",
        """        swap.kept = True
""",
    ),
    Mutant(
        "a swap that has its backends is not committed",
        "relay.py",
        "                self.swaps.trial.go_on(now)\n",
        "                pass\n",
    ),
    Mutant(
        "what is still with the dead does not count as moving",
        "custody.py",
        "(charge.hold, charge.holder) != (Hold.HELD, active.number)",
        "charge.hold is not Hold.HELD",
    ),
    Mutant(
        "a drain ends while a backend is on its way",
        "drains.py",
        "            if not leaving:\n                self._end(",
        "            if number:\n                self._end(",
    ),
    Mutant(
        "a drain cuts off what is about to move",
        "drains.py",
        "            if drain.cut_off and not leaving:\n",
        "            if drain.cut_off:\n",
    ),
    Mutant(
        "calls that wait with one that no longer serves are left there",
        "custody.py",
        "        return {before.number: []}\n",
        "        return {}\n",
    ),
    Mutant(
        "what nobody serving wants has no reader",
        "heirs.py",
        "        heirs = [active, *leaving] if charge.pid else [active]\n",
        "        heirs = [active]\n",
    ),
    Mutant(
        "what waited is sent to who has given it back",
        "estate.py",
        "                request.attempts -= 1\n",
        "",
    ),
)

CALLS = (
    Mutant(
        "a call is not pinned to who has its backend now",
        "estate.py",
        "                call.generation = charge.holder\n",
        "",
    ),
    Mutant(
        "who has given a backend back keeps its calls",
        "estate.py",
        "                call.generation, call.pid = 0, charge.pid\n",
        "",
    ),
    Mutant(
        "a call sent after Freeze goes with the backend",
        "estate.py",
        " and call.number <= charge.moved_at:\n",
        ":\n",
    ),
    Mutant(
        "an unsent call counts as written",
        "estate.py",
        "                call.written = call.number not in unsent\n",
        "                call.written = call.number not in ()\n",
    ),
    Mutant(
        "what the worker before had written is forgotten",
        "estate.py",
        "    if call.written and (stages or {}).get(call.number) != Stage.WRITING:\n"
        "        return Fate.WHOLE\n",
        "",
    ),
    Mutant(
        "what the worker before had written counts where this one writes it again",
        "estate.py",
        "    if call.written and (stages or {}).get(call.number) != Stage.WRITING:\n",
        "    if call.written:\n",
    ),
    Mutant(
        "what was written before it asked for more counts as written",
        "estate.py",
        "            call.begun, call.written = True, False\n",
        "            call.begun = True\n",
    ),
    Mutant(
        "the record in the mailbox is not looked at",
        "estate.py",
        "fates.get(call.number) or _fate(",
        "None or _fate(",
    ),
    Mutant(
        "whatever is recorded is whole",
        "estate.py",
        "record.number: record.fate for record",
        "record.number: Fate.WHOLE for record",
    ),
    Mutant(
        "what a living backend has is given away",
        "estate.py",
        "            if fate is Fate.WHOLE and charge is not None:\n",
        "            if fate is Fate.WHOLE and charge is None:\n",
    ),
    Mutant(
        "a call in doubt goes on",
        "estate.py",
        "            if fate is Fate.WHOLE and charge is not None:\n",
        "            if fate is not Fate.CUT and charge is not None:\n",
    ),
    Mutant(
        "calls of a removed backend are never answered",
        "custody.py",
        "        self._estate.drop(charge, why, now)\n",
        "",
    ),
    Mutant(
        "what a removed backend has not seen is unknown",
        "estate.py",
        "            fate = Fate.UNSURE if call.written or call.begun else Fate.CUT\n",
        "            fate = Fate.UNSURE\n",
    ),
    Mutant(
        "what was begun with is never untouched",
        "estate.py",
        "            if call.begun and fate is Fate.CUT:\n",
        "            if False:\n",
    ),
)

MUTANTS = (*HOLDERS, *MOVES, *CALLS)
