"""Faults in what backends are told besides calls, and in what they say themselves."""

from tests.mutants.mutant import Mutant

ERRANDS = (
    Mutant(
        "errands of a dead worker are dropped",
        "errands.py",
        "            if charge is None or done or _is_void(errand, stages, record):\n",
        "            if charge is None or not done or done:\n",
    ),
    Mutant(
        "an errand in doubt counts as done",
        "errands.py",
        "                done = record.fate is Fate.WHOLE\n",
        "                done = record.fate is not Fate.CUT\n",
    ),
    Mutant(
        "an errand that is done is told again",
        "errands.py",
        "            done = (stages or {}).get(errand.number, 0) >= Stage.WRITTEN\n",
        "            done = False\n",
    ),
    Mutant(
        "an errand is kept though it is done",
        "errands.py",
        "            del self._state.errands[message.errand]\n",
        "            pass\n",
    ),
    Mutant(
        "anybody's Done counts",
        "errands.py",
        "        if errand is None or errand.generation != generation:\n",
        "        if errand is None:\n",
    ),
    Mutant(
        "errands are not given on",
        "errands.py",
        "                self._out.worker(charge.holder, errand.message, errand.payload)\n",
        "                pass\n",
    ),
    Mutant(
        "what the custody carries is told as well",
        "errands.py",
        "            if not errand.carried:\n",
        "            if errand.number:\n",
    ),
    Mutant(
        "an errand is told again under the same number",
        "errands.py",
        """                self._number(errand)
                self._out""",
        """                self._out""",
    ),
    Mutant(
        "the next worker does not know whose a cancellation is",
        "errands.py",
        "msgspec.structs.replace(errand.message, backend=errand.backend)\n",
        "errand.message\n",
    ),
    Mutant(
        "a cancellation that came before Routed is nobody's",
        "calls.py",
        "            self._errands.routed(message)\n",
        "            pass\n",
    ),
    Mutant(
        "Done of one that has refused the backend counts",
        "errands.py",
        " or errand.number <= charge.moved_at:\n",
        " or errand.number:\n",
    ),
    Mutant(
        "errands outlive the process they are for",
        "errands.py",
        """            if not charge.pid:
                del self._state.errands[errand.number]
            else:
                self._leave""",
        """            if charge.backend:
                self._leave""",
    ),
    Mutant(
        "what never came to a backend is cancelled there",
        "errands.py",
        " or done or _is_void(errand, stages, record):\n",
        " or done:\n",
    ),
    Mutant(
        "what another worker has given to a backend is not cancelled there",
        "errands.py",
        "    if errand.reached or not isinstance",
        "    if not isinstance",
    ),
    Mutant(
        "errands for a removed backend are kept",
        "custody.py",
        "        self._errands.drop(charge.pid)\n",
        "",
    ),
)

WORDS = (
    Mutant(
        "what was passed on is passed on again",
        "charges.py",
        "        if at <= charge.seen:\n",
        "        if at < charge.seen:\n",
    ),
    Mutant(
        "one process's place is another's",
        "charges.py",
        "        charge.seen = -1\n",
        "",
    ),
    Mutant(
        "questions stay with who has given the backend back",
        "custody.py",
        "        self._asks.move(charge.pid, to.number)\n",
        "",
    ),
    Mutant(
        "questions of a backend die with its worker",
        "custody.py",
        "        self._asks.move(charge.pid, 0)\n",
        "",
    ),
    Mutant(
        "questions without a process move with any backend",
        "custody.py",
        "        if not charge.pid:\n            return\n        self._asks",
        "        self._asks",
    ),
    Mutant(
        "the dead may ask",
        "relay.py",
        "        if news and not self.charges.is_dead(message.pid):\n",
        "        if news:\n",
    ),
    Mutant(
        "a worker that was given up gives nothing back",
        "last_words.py",
        "    v1.Returned,\n    v1.Frozen,\n",
        "",
    ),
    Mutant(
        "what a worker that was given up passes on is lost",
        "last_words.py",
        "    v1.Progress,\n    v1.Notification,\n",
        "",
    ),
    Mutant(
        "what the client says is said while nobody has the backend",
        "notices.py",
        "any(c.pid and c.hold is not Hold.HELD for c in charges)",
        "False",
    ),
    Mutant(
        "what the client says is said again",
        "notices.py",
        "        self._waiting.clear()\n",
        "        pass\n",
    ),
    Mutant(
        "what the client says waits for ever",
        "relay.py",
        "            self.client.notices.tell()\n",
        "",
    ),
    Mutant(
        "news of a backend on its way are lost",
        "reports.py",
        " or self._custody.serves(message.pid)\n",
        "\n",
    ),
)

MUTANTS = (*ERRANDS, *WORDS)
