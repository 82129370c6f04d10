"""What becomes of the calls of a worker that gives them back, or dies.

A call that no backend has seen is for the next worker. One that a living backend works on goes on
there, and is nobody's (generation 0) until another worker has that backend. Of what is left nobody
can tell: it is sent again where that does no harm, once, and else answered as unknown.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from relay_supervisor.core import mcp
from relay_supervisor.core.calls import Calls
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.state import BackendCall, Charge, ClientRequest
from relay_supervisor.wire import v1
from relay_supervisor.wire.ledger import Stage
from relay_supervisor.wire.mailbox import Fate, Record

ATTEMPTS_MAX: Final = 10
"""So many workers may die under a call that no backend has seen; it may be what they die of."""


DIED: Final = "its worker died while this was under way"


class Losses(msgspec.Struct):
    """What became of the calls of a dead worker."""

    going_on: int = 0
    """Their backends live and have them: the next worker delivers the answers."""
    resent: int = 0
    unknown: int = 0
    given_up: int = 0


class Estate:
    """Hands calls from one worker on to the next."""

    def __init__(self, shared: Shared, calls: Calls) -> None:
        self._shared = shared
        self._state = shared.state
        self._calls = calls

    def begun(self, generation: int, message: v1.Begun) -> None:
        """A backend has begun with a call, and is to be given it again: what was written so far is
        answered.
        """
        call = self._state.calls.get(message.call)
        if call is not None and call.generation == generation:
            call.begun, call.written = True, False

    # ---- given back -------------------------------------------------------------------------

    def returned(self, generation: int, message: v1.Returned, now: float) -> None:
        """A worker gives calls back that no backend has seen: they are for the one that serves."""
        for number in message.calls:
            call = self._state.calls.get(number)
            if call is not None and call.generation == generation:
                request = self._give_up(call)
                request.attempts -= 1
                self._calls.hold(request, now)
        self._release(now)

    def frozen(self, charge: Charge, generation: int, unsent: list[int]) -> None:
        """A backend was given back, with the calls it works on. One that was sent after that was
        asked for is not among them: it waits in that worker.
        """
        for call in self._of(generation):
            if charge.pid and call.backend == charge.backend and call.number <= charge.moved_at:
                call.generation, call.pid = 0, charge.pid
                call.written = call.number not in unsent
                self._state.counts.handed_over += 1

    def give(self, charge: Charge) -> list[v1.Call]:
        """A backend has a worker again; return the calls it works on."""
        given = []
        for call in self._of(0):
            if call.pid == charge.pid:
                call.generation = charge.holder
                request = self._state.requests[call.request]
                given.append(
                    v1.Call(call.number, request.method, request.name, request.era, call.attempt)
                )
        return given

    def drop(self, charge: Charge, why: str, now: float) -> None:
        """A process ends before it has answered, and no worker will ever hear of it."""
        for call in [c for c in self._of(charge.holder) if c.pid == charge.pid]:
            fate = Fate.UNSURE if call.written or call.begun else Fate.CUT
            self._settle(self._give_up(call), fate, Losses(), why, now)
        self._release(now)

    # ---- left behind ------------------------------------------------------------------------

    def settle(
        self,
        generation: int,
        stages: Mapping[int, int] | None,
        records: Mapping[int, Record],
        going_on: Mapping[str, Charge],
        now: float,
    ) -> Losses:
        """A worker is dead beyond doubt: decide for each of its calls, by what its ledger and the
        mailboxes' *records* say. What a backend of *going_on* has, goes on.

        Nothing else that a backend may have seen is sent again, but for what may be repeated, once.
        """
        losses = Losses()
        fates = {record.number: record.fate for record in records.values()}
        for call in self._of(generation):
            charge = going_on.get(call.backend)
            fate = fates.get(call.number) or _fate(call, stages)
            if fate is Fate.WHOLE and charge is not None:
                losses.going_on += 1
                call.generation, call.pid, call.written = 0, charge.pid, True
                continue
            if call.begun and fate is Fate.CUT:
                fate = Fate.UNSURE  # not this time, but before
            self._settle(self._give_up(call), fate, losses, DIED, now)
        self._release(now)
        return losses

    def _settle(
        self, request: ClientRequest, fate: Fate, losses: Losses, why: str, now: float
    ) -> None:
        untouched = fate is Fate.CUT
        if untouched and request.attempts >= ATTEMPTS_MAX:
            losses.given_up += 1
            self._calls.fail(
                request,
                f"Relay: {ATTEMPTS_MAX} workers died one after another before they had given "
                "this to its backend. It was not carried out.",
            )
        elif untouched or (self._repeatable(request) and request.attempts == 1):
            losses.resent += 1
            self._state.counts.retried += not untouched
            self._calls.hold(request, now)
        else:
            losses.unknown += 1
            self._fail_unknown(request, why)

    # ---- both -------------------------------------------------------------------------------

    def _give_up(self, call: BackendCall) -> ClientRequest:
        """Forget an attempt; return the request it was made for."""
        request = self._state.requests[call.request]
        del self._state.calls[call.number]
        request.call = 0
        return request

    def _release(self, now: float) -> None:
        if self._shared.workers.state.active is not None:
            self._calls.release(now)

    def _fail_unknown(self, request: ClientRequest, why: str) -> None:
        self._state.counts.unknown_outcome += 1
        text = "The outcome is unknown: it may have run. Check before you repeat it."
        self._calls.fail(request, f"Relay: {why}. {text}")

    def _of(self, generation: int) -> list[BackendCall]:
        return [c for c in self._state.calls.values() if c.generation == generation]

    def _repeatable(self, request: ClientRequest) -> bool:
        if request.method == "tools/call":
            return request.name in self._shared.registry.repeatable
        return request.method in mcp.REPEATABLE


def _fate(call: BackendCall, stages: Mapping[int, int] | None) -> Fate:
    """Return what a dead worker has done with a call it was not writing at its end: none of it can
    be with its backend, all of it is, or nobody knows.
    """
    if call.written and (stages or {}).get(call.number) != Stage.WRITING:
        return Fate.WHOLE
    if stages is None:
        return Fate.UNSURE
    stage = stages.get(call.number, 0)
    if stage <= Stage.RECEIVED:
        return Fate.CUT
    return Fate.WHOLE if stage == Stage.WRITTEN else Fate.UNSURE
