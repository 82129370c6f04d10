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
        """        elif call is None or call.generation != generation:
""",
        """        elif call is None:
""",
    ),
    Mutant(
        "a task's progress counts from whoever reports it",
        "task_tokens.py",
        """known is not None and known.backend == message.backend""",
        """known is not None""",
    ),
    Mutant(
        "a token outlives its task",
        "task_tokens.py",
        """        del state.task_tokens[number]
""",
        """        del number
""",
    ),
    Mutant(
        "a cancellation goes to whoever serves",
        "errands.py",
        "        told = self._begin(message, params, call.backend, call.generation, call.pid)\n",
        """        active = self._shared.workers.state.active or 0
        told = self._begin(message, params, call.backend, active, call.pid)
""",
    ),
    Mutant(
        "a cancellation is not passed on",
        "calls.py",
        """        if call is not None:
            self._errands.cancel(call, params)
""",
        """        del call, params
""",
    ),
    Mutant(
        "a call over its limit is not cancelled",
        "calls.py",
        "                self._errands.cancel(call, reason)\n",
        "                del reason\n",
    ),
    Mutant(
        "an answer to a question goes to whoever serves",
        "errands.py",
        "        self._begin(message, members, ask.backend, ask.generation, ask.pid)\n",
        """        active = self._shared.workers.state.active or 0
        self._begin(message, members, ask.backend, active, ask.pid)
""",
    ),
    Mutant(
        "news of resources come from every worker",
        "reports.py",
        "        if (active or own or said) and self._custody",
        "        if (active or message.method) and self._custody",
    ),
    Mutant(
        "progress is held by nobody",
        "racing.py",
        "        call.progress, call.progress_at = payload, now",
        "        self.tell(token, payload)",
    ),
    Mutant(
        "progress that is held comes after what was said later",
        "racing.py",
        "        self._let_out(call)\n        call.progress, ",
        "        self.tell(token, payload)\n        payload = call.progress or payload\n"
        "        call.progress, ",
    ),
    Mutant(
        "what is said in the stream of another worker's call counts",
        "reports.py",
        "        own = call is not None and call.generation == generation.number",
        "        own = call is not None",
    ),
    Mutant(
        "a worker that was given up is heard as before",
        "relay.py",
        "            if state is FAILED or ending:\n",
        "            if state is RETIRED or ending:\n",
    ),
    Mutant(
        "workers begin new things during the end",
        "relay.py",
        "            if state is FAILED or ending:\n",
        "            if state is FAILED:\n",
    ),
    Mutant(
        "the last answers of a worker that was given up are lost",
        "relay.py",
        "LAST_WORDS if lasting else v1.Reply):\n",
        "LAST_WORDS if lasting else v1.Pong):\n",
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
        "estate.py",
        """        self._release(now)
        return losses
""",
        """        return losses
""",
    ),
)

DEATHS = (
    Mutant(
        "a written call is sent again",
        "estate.py",
        "    if stage <= Stage.RECEIVED:\n",
        "    if stage <= Stage.WRITTEN:\n",
    ),
    Mutant(
        "a call in the middle of its write is sent again",
        "estate.py",
        "    if stage <= Stage.RECEIVED:\n",
        "    if stage <= Stage.WRITING:\n",
    ),
    Mutant(
        "a worker without a ledger has touched nothing",
        "estate.py",
        """    if stages is None:
        return Fate.UNSURE
    stage = stages.get(""",
        """    stage = (stages or {}).get(""",
    ),
    Mutant(
        "what may be repeated is repeated again and again",
        "estate.py",
        "        elif untouched or (self._repeatable(request) and request.attempts == 1):",
        "        elif untouched or self._repeatable(request):",
    ),
    Mutant(
        "whatever the tool, it may be repeated",
        "estate.py",
        "            return request.name in self._shared.registry.repeatable",
        "            return bool(request.name)",
    ),
    Mutant(
        "an untouched call is said to have an unknown outcome",
        "estate.py",
        "        elif untouched or (self._repeatable(request) and request.attempts == 1):",
        "        elif self._repeatable(request) and request.attempts == 1:",
    ),
    Mutant(
        "calls are given away before the death is proven",
        "relay.py",
        """        if generation.pid is None:
            self._settle(number, events""",
        """        self.estate.settle(number, {}, {}, {}, now)
        if generation.pid is None:
            self._settle(number, events""",
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
        "losses = self.estate.settle(number, event.stages, event.records, going_on, now)",
        "losses = dict[str, int]()",
    ),
    Mutant(
        "a call that kills its workers is given on for ever",
        "estate.py",
        "        if untouched and request.attempts >= ATTEMPTS_MAX:",
        "        if untouched and request.attempts >= ATTEMPTS_MAX * 1000:",
    ),
)

MUTANTS = (*PINS, *ANSWERS, *DEATHS)
