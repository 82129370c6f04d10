"""Mutants of what is written down, and of the replacement of the supervisor's code."""

from typing import Final

from tests.mutants.mutant import Mutant

_WRITE = "    lean = msgspec.structs.replace(memory, registry=memory.registry.bare())\n"
_LOSING = "    lean = msgspec.structs.replace(memory, registry=memory.registry.bare(), {})\n"

LOST: Final = {
    "deadlines": "timers=Timers()",
    "children": "processes={}",
    "swaps": "swaps=SwapsState()",
    "drains": "drains={}",
    "the end": "ending=EndingState()",
    "who the client is": "session=SessionState()",
    "a silence that nobody is to blame for": "heartbeat=HeartbeatState()",
    "the replacement under way": "reexec=ReexecState()",
    "requests": "state=State()",
    "workers": "workers=WorkersState()",
    "lists": "registry=Registry()",
}

MUTANTS: Final = (
    *(
        Mutant(
            f"written down without {what}",
            "memory.py",
            _WRITE,
            _WRITE.replace("registry=memory.registry.bare()", how)
            if what == "lists"
            else _LOSING.format(how),
        )
        for what, how in LOST.items()
    ),
    Mutant(
        "lists are not made again of what was read",
        "memory.py",
        "    memory.registry.revive()\n",
        "",
    ),
    Mutant(
        "a damaged state is read",
        "sealed.py",
        "    if len(content) != length or zlib.crc32(content) != checksum:\n",
        "    if len(content) != length:\n",
    ),
    Mutant(
        "a state that is not whole is read",
        "sealed.py",
        "    content = data[_START:]\n",
        "    content = data[_START : _START + length].ljust(length)\n"
        "    checksum = zlib.crc32(content)\n",
    ),
    Mutant(
        "a newer state is read",
        "sealed.py",
        "    if schema > SCHEMA:\n",
        "    if schema > SCHEMA + 1:\n",
    ),
    Mutant(
        "the supervisor is replaced during a swap",
        "reexec.py",
        "        if self._swaps.warming is not None or self._swaps.probation is not None:\n",
        "        if False:\n",
    ),
    Mutant(
        "two things are begun at once",
        "orders.py",
        "        if self._reexec.open:\n",
        "        if False:\n",
    ),
    Mutant(
        "code that refuses takes over",
        "reexec.py",
        "        if event.refusal:\n",
        "        if event.refusal is None:\n",
    ),
    Mutant(
        "code that says nothing is waited for without end",
        "reexec.py",
        '        self._shared.timers.set("self-check", now + CHECK_SECONDS_MAX)\n',
        "",
    ),
    Mutant(
        "code that was in time is given up all the same",
        "reexec.py",
        '            return None\n        self._shared.timers.clear("self-check")\n',
        "            return None\n",
    ),
    Mutant(
        "code takes over at the end of the relay",
        "relay.py",
        "            self.reexec.interrupt(now)\n",
        "",
    ),
    Mutant(
        "nobody hears that the code stayed",
        "reexec.py",
        "            self._end(swap, Outcome.FAILED, event.reason, now)\n",
        "            self._state.swap = None\n",
    ),
)
