"""Faults in what becomes of a request in which something was asked."""

from tests.mutants.mutant import Mutant

ASKED = (
    Mutant(
        "it is asked in a parked call though another one is open",
        "parking.py",
        "        return 0 if not request.raw_id else 1 if gathers else 2\n",
        "        return 3 if not request.raw_id else 1 if gathers else 2\n",
    ),
    Mutant(
        "it is asked in the latest call",
        "parking.py",
        "self._openness(request), -call.number, request)",
        "self._openness(request), call.number, request)",
    ),
    Mutant(
        "a call in which something is asked is taken for one in which nothing is",
        "parking.py",
        "1 if gathers else 2\n",
        "2\n",
    ),
    Mutant(
        "a call that is about to be parked is taken for one that is",
        "parking.py",
        "1 if gathers else 2\n",
        "0 if gathers else 2\n",
    ),
    Mutant(
        "the first question does not wait for others",
        "parking.py",
        "self._timers.set(_timer(parked.ticket), now + GATHER_SECONDS)\n",
        "self._timers.set(_timer(parked.ticket), now)\n",
    ),
    Mutant(
        "each question makes those before it wait anew",
        "parking.py",
        "        if parked.seat is Seat.OPEN and _timer(parked.ticket) not in self._timers.at:\n",
        "        if parked.seat is Seat.OPEN:\n",
    ),
    Mutant(
        "a request is parked for a question that was withdrawn",
        "parking.py",
        "        elif asks:\n",
        "        else:\n",
    ),
    Mutant(
        "who has asked in a request that is over at once waits for ever",
        "parking.py",
        "        if parked is None:\n            self._pass_on(asks, now)\n        elif",
        "        if parked is None:\n            pass\n        elif",
    ),
    Mutant(
        "what is known to be asked in a call that is over is asked in another",
        "parking.py",
        "            request = None if ask.call else self._likeliest(",
        "            request = self._likeliest(",
    ),
    Mutant(
        "it is asked in a call of another backend",
        "parking.py",
        "            if call.backend == backend and (request",
        "            if (request",
    ),
    Mutant(
        "it is asked in the call of another worker though there is one of this worker's",
        "parking.py",
        "            (call.generation == generation, self",
        "            (call.generation != generation, self",
    ),
    Mutant(
        "a call of another worker is believed to be asked in",
        "parking.py",
        "            if call is None or call.generation != generation:\n",
        "            if call is None:\n",
    ),
    Mutant(
        "who has shaken hands is not asked by a request",
        "parking.py",
        "        if state.peer.era == v1.LEGACY:\n",
        "        if state.peer.era is None:\n",
    ),
    Mutant(
        "what nobody declared is asked",
        "parking.py",
        "        return declared.refusal(ask.method, ask.params, self._capabilities(request))\n",
        "        return None\n",
    ),
    Mutant(
        "the first envelope says for ever what can be asked",
        "parking.py",
        "        parked.capabilities = bytes(envelope.read(Raw(retry.params))[1].capabilities)\n",
        "",
    ),
    Mutant(
        "nobody limits how many requests are parked",
        "parking.py",
        "        if not request.ticket and len(self._known.open) >= PARKED_MAX:\n",
        "        if not request.ticket and len(self._known.open) >= PARKED_MAX**9:\n",
    ),
)

RETRIED = (
    Mutant(
        "any code is right",
        "request_state.py",
        "    if not _compare_digest(_code(secret, *known).encode(), code.encode(errors=",
        "    if not _compare_digest(code.encode(), code.encode(errors=",
    ),
    Mutant(
        "a state is for any number of retries",
        "parking.py",
        "        if parked.seat is Seat.OPEN or parked.turn != turn:\n",
        "        if parked.seat is Seat.OPEN:\n",
    ),
    Mutant(
        "every turn has the same number",
        "parking.py",
        "        parked.turn += 1\n",
        "        parked.turn = 1\n",
    ),
    Mutant(
        "a state is for any request",
        "parking.py",
        "        if (parked.method, parked.name) != (retry.method, retry.name):\n",
        "        if False:\n",
    ),
    Mutant(
        "what a retry does not answer is forgotten",
        "parking.py",
        "        if left:\n            self._park(parked, request, now)\n        return True\n",
        "        return True\n",
    ),
    Mutant(
        "a retry's own progress token is not taken over",
        "requests.py",
        "        request.raw_id, request.token, request.batch = "
        "retry.raw_id, retry.token, retry.batch\n",
        "        request.raw_id, request.batch = retry.raw_id, retry.batch\n",
    ),
    Mutant(
        "a parked request keeps its progress token",
        "requests.py",
        '        request.raw_id, request.token, request.batch = b"", b"", 0\n',
        '        request.raw_id, request.batch = b"", 0\n',
    ),
    Mutant(
        "a parked request goes on asking for log messages",
        "requests.py",
        '        request.log_level = ""\n',
        "",
    ),
    Mutant(
        "a retry does not say which log messages it wants",
        "requests.py",
        "        request.log_level, request.arrived = retry.log_level, retry.arrived\n",
        "        request.arrived = retry.arrived\n",
    ),
    Mutant(
        "the call does not know its request by its new name",
        "requests.py",
        "            call.request = key\n",
        "            del call\n",
    ),
)

KEPT = (
    Mutant(
        "an answer is kept however large it is",
        "requests.py",
        "if self._state.retained_bytes and self._state.retained_bytes + len(members) > limit:\n",
        "if limit < 0:\n",
    ),
    Mutant(
        "the bytes of a kept answer are not counted",
        "requests.py",
        "        self._state.retained_bytes += len(members)\n\n    def fetch",
        "\n    def fetch",
    ),
    Mutant(
        "a question left over is forgotten",
        "parking.py",
        "            self._pass_on(left, now)\n",
        "",
    ),
    Mutant(
        "a question left over is put to anybody",
        "parking.py",
        "            elif (refusal := self._refusal(ask, request)) is not None:\n",
        "            elif (refusal := None) is not None:\n",
    ),
    Mutant(
        "a parked request waits for ever",
        "parking.py",
        "        self._timers.set(_timer(parked.ticket), now + RETRY_SECONDS_MAX)\n",
        "",
    ),
    Mutant(
        "a parked request that is over its time is not cancelled",
        "parking.py",
        "            self._calls.cancel(request, b'",
        "            str(b'",
    ),
    Mutant(
        "the deadline of a parked request goes on after its retry",
        "parking.py",
        "        self._timers.clear(_timer(parked.ticket))\n",
        "",
    ),
    Mutant(
        "who asked in a request that is over waits for ever",
        "parking.py",
        "        for ask in asks:\n            self._asks.settle(ask, _OVER)\n        text",
        "        text",
    ),
    Mutant(
        "the end waits for a retry",
        "ending.py",
        "        return any(r.raw_id and r.phase is not Phase.LISTENING for r in requests)\n",
        "        return any(r.phase is not Phase.LISTENING for r in requests)\n",
    ),
    Mutant(
        "a response answers what is asked in a parked request",
        "asks.py",
        "        if ask is not None and not ask.ticket:\n",
        "        if ask is not None:\n",
    ),
    Mutant(
        "a client that gets ready is asked what is asked in parked requests",
        "asks.py",
        "            if not ask.ticket:\n                self._put(ask)\n",
        "            self._put(ask)\n",
    ),
    Mutant(
        "an id of the client's is taken for the key of a parked request",
        "mcp.py",
        '    return f"\\x00{value}" if value[:1] == "\\x00" else value\n',
        "    return value\n",
    ),
)

MUTANTS = (*ASKED, *RETRIED, *KEPT)
