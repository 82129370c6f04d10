"""What backends have to be told besides calls: that a call is cancelled, what the client answered.

Each errand has a number of the calls' row and is ledgered like one. It is kept until the worker
says that it is done, and given to the next worker if this one is killed before.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from relay_supervisor.core.charges import Charges
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.state import Ask, BackendCall, Charge, Errand, Hold
from relay_supervisor.wire import v1
from relay_supervisor.wire.ledger import Stage
from relay_supervisor.wire.mailbox import Fate, Record

ERRANDS_MAX: Final = 10_000
"""With so many under way no cancellation is added: its backend works in vain, which it may do
anyway. What the client answers always is, as there is a limit to open questions.
"""


class Errands:
    """All that is on its way to backends and is no call."""

    def __init__(self, shared: Shared, charges: Charges) -> None:
        self._shared = shared
        self._charges = charges
        self._state = shared.state
        self._out = shared.out

    def cancel(self, call: BackendCall, params: bytes) -> None:
        """Have the backend told that nobody waits for *call* any more."""
        if len(self._state.errands) >= ERRANDS_MAX:
            text = f"{ERRANDS_MAX} errands wait for their backends (ERRANDS_MAX); "
            return self._out.log("warning", f"{text}call {call.number} is not cancelled there")
        message = v1.Cancel(call.number, backend="" if call.generation else call.backend)
        told = self._begin(message, params, call.backend, call.generation, call.pid)
        if told is not None:
            told.reached = call.written or call.begun
        return None

    def answer(self, ask: Ask, members: bytes) -> None:
        """Have the backend told what the client answered."""
        message = v1.ClientAnswer(ask.backend, ask.backend_id, ask.pid, method=ask.method)
        self._begin(message, members, ask.backend, ask.generation, ask.pid)

    def _begin(
        self,
        message: v1.Cancel | v1.ClientAnswer,
        payload: bytes,
        backend: str,
        generation: int,
        pid: int,
    ) -> Errand | None:
        if generation:
            holder = self._shared.workers.state.generations.get(generation)
            if holder is None or not holder.offer.adopts:
                self._out.worker(generation, message, payload)
                return None
        errand = Errand(0, backend, generation, message, payload, pid)
        self._number(errand)
        if generation:
            self._out.worker(generation, errand.message, payload)
        return errand

    def _number(self, errand: Errand) -> None:
        self._state.errands.pop(errand.number, None)
        self._state.last_call += 1
        errand.number = self._state.last_call
        errand.message = msgspec.structs.replace(errand.message, errand=errand.number)
        self._state.errands[errand.number] = errand

    def routed(self, message: v1.Routed) -> None:
        """It is known whose a call is only after it was cancelled."""
        for errand in self._state.errands.values():
            cancel = errand.message
            if isinstance(cancel, v1.Cancel) and cancel.call == message.call:
                errand.backend = errand.backend or message.backend

    def done(self, generation: int, message: v1.Done) -> None:
        """A worker has done one; of any other than its own it cannot know."""
        errand = self._state.errands.get(message.errand)
        if errand is None or errand.generation != generation:
            return
        charge = self._charges.held(generation, errand.backend)
        if charge is None or charge.hold is not Hold.ADOPTING or errand.number <= charge.moved_at:
            del self._state.errands[message.errand]
        # Else it came with a backend that was not taken over: the next one is told again.

    def frozen(self, charge: Charge, generation: int, unsent: list[int]) -> None:
        """A backend was given back; what was not sent to it is in its custody."""
        for errand in self._of(generation):
            if errand.backend != charge.backend:
                continue
            if not charge.pid:
                del self._state.errands[errand.number]
            else:
                self._leave(errand, charge, carried=errand.number in unsent)

    def settle(
        self,
        generation: int,
        going_on: Mapping[str, Charge],
        stages: Mapping[int, int] | None,
        records: Mapping[int, Record],
    ) -> None:
        """A worker is dead beyond doubt. Its errands to the backends *going_on*, by name, are for
        the next worker, unless they are done. One in doubt is told again: a backend ignores an
        answer to what it no longer asks, but would wait for ever for one that never comes.
        """
        for errand in self._of(generation):
            charge = going_on.get(errand.backend)
            record = records.get(charge.pid) if charge is not None else None
            done = (stages or {}).get(errand.number, 0) >= Stage.WRITTEN
            if record is not None and record.number == errand.number:
                done = record.fate is Fate.WHOLE
            if charge is None or done or _is_void(errand, stages, record):
                del self._state.errands[errand.number]
                continue
            self._leave(errand, charge, carried=False)

    def _leave(self, errand: Errand, charge: Charge, *, carried: bool) -> None:
        """It is for whoever has the backend next."""
        errand.generation, errand.pid, errand.carried = 0, charge.pid, carried
        errand.reached = True  # for all that can be known later
        if isinstance(errand.message, v1.Cancel):
            # That one does not know the call, but the backend does.
            errand.message = msgspec.structs.replace(errand.message, backend=errand.backend)

    def give(self, charge: Charge) -> None:
        """A backend has a worker again: tell what is still to be told. Under another number, as
        it may be the worker that was told before, and has not come to it yet.
        """
        for errand in list(self._state.errands.values()):
            if errand.generation or errand.pid != charge.pid:
                continue
            errand.generation = charge.holder
            if not errand.carried:
                self._number(errand)
                self._out.worker(charge.holder, errand.message, errand.payload)

    def drop(self, pid: int) -> None:
        """A process ends, and no worker will ever speak with it again."""
        for errand in list(self._state.errands.values()):
            if errand.pid == pid:
                del self._state.errands[errand.number]

    def _of(self, generation: int) -> list[Errand]:
        return [e for e in self._state.errands.values() if e.generation == generation]


def _is_void(errand: Errand, stages: Mapping[int, int] | None, record: Record | None) -> bool:
    """Tell whether it would cancel a call that its backend has certainly not got, by what a dead
    worker has left in mailbox and ledger.
    """
    if errand.reached or not isinstance(errand.message, v1.Cancel):
        return False
    call = errand.message.call
    if record is not None and record.number == call:
        return record.fate is Fate.CUT
    # One that the worker has looked at has taken its call out of the ledger.
    known = stages is not None and errand.number not in stages
    return known and (stages or {}).get(call, 0) <= Stage.RECEIVED
