"""Client requests that backends carry out: numbered, pinned to a generation, answered once.

A request and the call made for it are two records. The request is the client's and is answered
exactly once or cancelled; a call is one attempt, and what comes back for a call that is no longer
in the table is late and dropped.
"""

from typing import Final

from relay_supervisor.core import task_tokens
from relay_supervisor.core.errands import Errands
from relay_supervisor.core.mcp import Kind
from relay_supervisor.core.racing import Racing
from relay_supervisor.core.recovery import Recovery
from relay_supervisor.core.requests import Requests, failure
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.state import CALLING, BackendCall, ClientRequest, Phase
from relay_supervisor.wire import v1

LATENCIES_KEPT: Final = 1024

SUBSCRIBING: Final = ("resources/subscribe", "resources/unsubscribe")

NOTED: Final = (*SUBSCRIBING, *task_tokens.ENDING)
"""Requests whose results change what is known here."""

_KINDS: Final = {
    "tools/call": Kind.TOOLS,
    "prompts/get": Kind.PROMPTS,
    "resources/read": Kind.RESOURCES,
    "resources/subscribe": Kind.RESOURCES,
    "resources/unsubscribe": Kind.RESOURCES,
}


class Calls:
    """The way of a request to a worker and of its answer back."""

    def __init__(
        self, shared: Shared, requests: Requests, errands: Errands, recovery: Recovery
    ) -> None:
        self._shared = shared
        self._state = shared.state
        self._registry = shared.registry
        self._workers = shared.workers
        self._timers = shared.timers
        self._out = shared.out
        self._open = requests
        self._errands = errands
        self._recovery = recovery
        self._racing = Racing(shared)

    # ---- to the worker ----------------------------------------------------------------------

    def admit(self, request: ClientRequest, now: float) -> None:
        """Carry out a new request, or hold it while no worker is up."""
        state, limits = self._state, self._state.limits
        size = len(request.params)
        state.counts.total += 1
        # One request is always admitted, however large it is.
        if state.retained_bytes > limits.retained_bytes_max and state.retained_bytes > size:
            return self._refuse(request, "retained_bytes_max", limits.retained_bytes_max)
        if len(state.requests) > limits.requests_in_flight_max:
            return self._refuse(request, "requests_in_flight_max", limits.requests_in_flight_max)
        if self._workers.state.active is not None:
            return self._dispatch(request, now)
        if self._recovery.degraded:
            return self.fail(
                request,
                "Relay: its worker dies again and again, so this was not carried out. The relay "
                "goes on trying; `relayctl status` and `relayctl logs` say why.",
            )
        held = self._open.waiting(Phase.HELD)
        if len(held) >= limits.queue_requests_max:
            return self._refuse(request, "queue_max_requests", limits.queue_requests_max)
        if held and sum(len(r.params) for r in held) + size > limits.queue_bytes_max:
            return self._refuse(request, "queue_bytes_max", limits.queue_bytes_max)
        return self.hold(request, now)

    def release(self, now: float) -> None:
        """A worker is up: carry out what was held, oldest first."""
        self._timers.clear("held")
        for request in self._open.waiting(Phase.HELD):
            self._dispatch(request, now)

    def hold(self, request: ClientRequest, now: float) -> None:
        """Keep a request until a worker is up."""
        request.phase = Phase.HELD
        request.held_since = now
        if "held" not in self._timers.at:
            self._timers.set("held", now + self._state.limits.queue_wait_seconds)

    def expire_held(self, now: float) -> None:
        """Answer the requests that waited too long for a worker."""
        limit = self._state.limits.queue_wait_seconds
        for request in self._open.waiting(Phase.HELD):
            if now >= request.held_since + limit:  # the very sum the deadline was set to
                self.fail(
                    request,
                    f"Relay: no worker came up within {limit:g} s (queue_wait_seconds), so this "
                    f"was not carried out. The relay goes on trying. {self._state.worker_trouble}",
                )
        if held := self._open.waiting(Phase.HELD):
            self._timers.set("held", min(r.held_since for r in held) + limit)

    def _dispatch(self, request: ClientRequest, now: float) -> None:
        state = self._state
        active = self._workers.state.active
        assert active is not None
        number = request.call = state.last_call = state.last_call + 1
        assert number <= v1.CALL_MAX
        if request.phase is not CALLING:
            request.phase = CALLING
        attempt = request.attempts = request.attempts + 1
        method, name = request.method, request.name
        backend = self._registry.owner(_KINDS.get(method), name)
        call = BackendCall(number, request.id, active, backend, now, attempt)
        state.calls[number] = call
        if backend:
            self._attribute(call, now)
        message = v1.Call(number, method, name, request.era, attempt, not backend)
        self._out.worker(active, message, request.params)

    def routed(self, generation: int, message: v1.Routed, now: float) -> None:
        """A worker says whose call it is, where the name did not."""
        call = self._state.calls.get(message.call)
        if call is None:
            self._errands.routed(message)
        elif call.generation == generation and not call.backend:
            call.backend = message.backend
            self._attribute(call, now)

    def _attribute(self, call: BackendCall, now: float) -> None:
        """Count a call for its backend, and limit it as that one's configuration says."""
        if (owner := self._state.backends.get(call.backend)) is None:
            return
        owner.calls += 1
        if owner.call_timeout_seconds is not None:
            self._limit(call, now + owner.call_timeout_seconds)

    def _refuse(self, request: ClientRequest, setting: str, limit: int) -> None:
        self.fail(
            request, f"Relay: too much is under way; this was not carried out ({setting} = {limit})"
        )

    # ---- back from the worker ---------------------------------------------------------------

    def reply(self, generation: int, message: v1.Reply, payload: bytes, now: float) -> bool:
        """A worker answered a call; False where nobody waits for it any more."""
        call = self._state.calls.get(message.call)
        if call is None or call.generation != generation:
            self._state.counts.late_replies += 1
            return False
        request = self._state.requests[call.request]
        if message.outcome == v1.OUTCOME_RESULT:
            if request.method in SUBSCRIBING:
                self._remember_subscription(request, generation)
            elif message.task:
                task_tokens.keep(self._state, call, request, message.task)
            elif request.method in task_tokens.ENDING:
                task_tokens.answered(self._state, request)
        elif (owner := self._state.backends.get(call.backend)) is not None:
            owner.errors += 1
        self.measure(now - call.sent)
        self._open.answer(request, payload)
        return True

    def progress(self, generation: int, message: v1.Progress, payload: bytes, now: float) -> None:
        """A worker reported progress: pass it on under the client's own token."""
        call = self._state.calls.get(message.call)
        if message.backend:
            self._racing.tell(task_tokens.find(self._state, message), payload)
        elif call is None or call.generation != generation:
            return
        elif (due := self._racing.report(call, payload, now)) is not None:
            self._look_at(due)

    def cancel(self, request: ClientRequest, params: bytes) -> None:
        """The client cancelled: tell whoever works on it."""
        call = self._state.calls.get(request.call)
        if call is not None:
            self._errands.cancel(call, params)

    # ---- no answer of a worker's -------------------------------------------------------------

    def abandon(self) -> None:
        """The relay ends: answer everything that is still open."""
        for request in list(self._state.requests.values()):
            if request.phase is not Phase.LISTENING:
                text = "Relay: it was ended before this was answered; it may have run."
                self.fail(request, text)

    def fail(self, request: ClientRequest, text: str) -> None:
        """Answer a request with a failure of the relay's, in the form its method wants."""
        self._open.answer(request, failure(request, text))

    # ---- time -------------------------------------------------------------------------------

    def _limit(self, call: BackendCall, when: float) -> None:
        call.deadline = when
        self._look_at(when)

    def _look_at(self, when: float) -> None:
        if when < self._timers.at.get("calls", float("inf")):
            self._timers.set("calls", when)

    def expire_calls(self, now: float) -> None:
        """Tell what progress was held. Answer the calls over their backend's
        `call_timeout_seconds`, and cancel them there.
        """
        again = self._racing.release(now)
        limited = [call for call in self._state.calls.values() if call.deadline is not None]
        for call in limited:
            if call.deadline is not None and call.deadline <= now:
                seconds = call.deadline - call.sent
                request = self._state.requests[call.request]
                reason = b'{"reason":"timeout of the relay"}'
                self._errands.cancel(call, reason)
                self.fail(
                    request,
                    f"Relay: backend {call.backend!r} gave no answer within {seconds:g} s "
                    "(call_timeout_seconds); the call was cancelled there, it may have run.",
                )
        rest = [c.deadline for c in limited if c.deadline is not None and c.deadline > now]
        if again is not None:
            rest.append(again)
        if rest:
            self._timers.set("calls", min(rest))

    def postpone(self, seconds: float) -> None:
        """Nobody could run for so long: it does not count against anybody."""
        for request in self._open.waiting(Phase.HELD):
            request.held_since += seconds
        for call in self._state.calls.values():
            if call.deadline is not None:
                call.deadline += seconds

    def measure(self, seconds: float) -> None:
        """Keep how long a call took."""
        counts = self._state.counts
        if len(counts.latencies) < LATENCIES_KEPT:
            counts.latencies.append(seconds)
        else:
            counts.latencies[counts.position] = seconds
            counts.position = (counts.position + 1) % LATENCIES_KEPT

    def _remember_subscription(self, request: ClientRequest, generation: int) -> None:
        peer = self._state.peer
        if request.method == "resources/subscribe" and request.name not in peer.uris:
            peer.uris.append(request.name)
        elif request.method == "resources/unsubscribe" and request.name in peer.uris:
            peer.uris.remove(request.name)
        else:
            return
        # One that is to serve next, or may be gone back to, has not seen the call.
        self._shared.tell_workers(
            v1.Subscriptions(peer.subscriptions(), peer.tasks()), but=generation
        )
