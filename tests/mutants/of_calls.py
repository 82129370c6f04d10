"""Faults in what becomes of a call: its pin, its one answer, and its worker's death."""

from tests.mutants.mutant import Mutant

PINS = (
    Mutant(
        "a reply counts from whoever has it",
        "calls.py",
        """        if call is None or call.generation != generation:
            self._state.counts.late_replies += 1
""",
        """        if call is None:
            self._state.counts.late_replies += 1
""",
    ),
    Mutant(
        "progress counts from whoever has it",
        "calls.py",
        """        if call is None or call.generation != generation:
            return
        token""",
        """        if call is None:
            return
        token""",
    ),
    Mutant(
        "a cancellation goes to whoever serves",
        "calls.py",
        "            self._out.worker(call.generation, v1.Cancel(call.number), params)",
        """            active = self._workers.state.active or 0
            self._out.worker(active, v1.Cancel(call.number), params)""",
    ),
    Mutant(
        "a cancellation is not passed on",
        "calls.py",
        """        if call is not None:
            self._out.worker(call.generation, v1.Cancel(call.number), params)
""",
        """        del call, params
""",
    ),
    Mutant(
        "a call over its limit is cancelled at whoever serves",
        "calls.py",
        "                self._out.worker(call.generation, v1.Cancel(call.number), reason)",
        """                active = self._workers.state.active or 0
                self._out.worker(active, v1.Cancel(call.number), reason)""",
    ),
    Mutant(
        "an answer to a question goes to whoever serves",
        "asks.py",
        "            self._out.worker(ask.generation, answer, message.members)",
        "            self._out.worker(max(ask.generation, 2), answer, message.members)",
    ),
    Mutant(
        "news of resources come from every worker",
        "reports.py",
        '        if active or message.method == "notifications/message":\n',
        "        if active or message.method:\n",
    ),
    Mutant(
        "a worker that was given up is heard as before",
        "relay.py",
        "            if generation.state is Life.FAILED or self.ending.pace",
        "            if generation.state is Life.RETIRED or self.ending.pace",
    ),
    Mutant(
        "workers begin new things during the end",
        "relay.py",
        "            if generation.state is Life.FAILED or self.ending.pace is not None:\n",
        "            if generation.state is Life.FAILED:\n",
    ),
    Mutant(
        "the last answers of a worker that was given up are lost",
        "relay.py",
        "                if isinstance(message, v1.Reply):\n",
        "                if isinstance(message, v1.Pong):\n",
    ),
)

ANSWERS = (
    Mutant(
        "a request is answered twice",
        "requests.py",
        """        else:
            self._out.client(buffers)
""",
        """        else:
            self._out.client(buffers)
            self._out.client(buffers)
""",
    ),
    Mutant(
        "an answered call stays in the table",
        "requests.py",
        "        state.calls.pop(request.call, None)\n",
        "",
    ),
    Mutant(
        "what was held goes out in another order",
        "calls.py",
        """        for request in self._open.waiting(Phase.HELD):
            self._dispatch(request, now)
""",
        """        for request in self._open.waiting(Phase.HELD)[::-1]:
            self._dispatch(request, now)
""",
    ),
    Mutant(
        "what is cancelled while it is held stays in the table",
        "requests.py",
        """        self._forget(request)
        if request.batch:
""",
        """        if request.phase is not Phase.HELD:
            self._forget(request)
        if request.batch:
""",
    ),
    Mutant(
        "the held queue is lost",
        "serving.py",
        "        self._calls.release(now)\n",
        "",
    ),
    Mutant(
        "what was held at a crash is not given on while somebody serves",
        "calls.py",
        """        if self._workers.state.active is not None:
            self.release(now)
        return losses
""",
        """        return losses
""",
    ),
)

DEATHS = (
    Mutant(
        "a written call is sent again",
        "calls.py",
        "stages.get(call.number, 0) <= Stage.RECEIVED",
        "stages.get(call.number, 0) <= Stage.WRITTEN",
    ),
    Mutant(
        "a call in the middle of its write is sent again",
        "calls.py",
        "stages.get(call.number, 0) <= Stage.RECEIVED",
        "stages.get(call.number, 0) <= Stage.WRITING",
    ),
    Mutant(
        "a worker without a ledger has touched nothing",
        "calls.py",
        "untouched = stages is not None and stages.get(call.number, 0) <= Stage.RECEIVED",
        "untouched = (stages or {}).get(call.number, 0) <= Stage.RECEIVED",
    ),
    Mutant(
        "what may be repeated is repeated again and again",
        "calls.py",
        "            if untouched or (self._repeatable(request) and request.attempts == 1):",
        "            if untouched or self._repeatable(request):",
    ),
    Mutant(
        "whatever the tool, it may be repeated",
        "calls.py",
        "            return request.name in self._registry.repeatable",
        "            return bool(request.name)",
    ),
    Mutant(
        "an untouched call is said to have an unknown outcome",
        "calls.py",
        "            if untouched or (self._repeatable(request) and request.attempts == 1):",
        "            if self._repeatable(request) and request.attempts == 1:",
    ),
    Mutant(
        "calls are given away before the death is proven",
        "relay.py",
        """        if generation.pid is None:
            self._settle(number, {}, reason, now)
""",
        """        self.calls.settle(number, {}, now)
        if generation.pid is None:
            self._settle(number, {}, reason, now)
""",
    ),
    Mutant(
        "a worker that is given up is left running",
        "relay.py",
        """        else:
            self.shared.processes.end(generation.pid, Pace.AT_ONCE, now)
""",
        "",
    ),
    Mutant(
        "the calls of a dead worker are forgotten",
        "relay.py",
        "            losses = self.calls.settle(number, stages, now)",
        """            losses = dict[str, int]()""",
    ),
    Mutant(
        "a call that kills its workers is given on for ever",
        "calls.py",
        "            if untouched and request.attempts >= ATTEMPTS_MAX:",
        "            if untouched and request.attempts >= ATTEMPTS_MAX * 1000:",
    ),
)

MUTANTS = (*PINS, *ANSWERS, *DEATHS)
