"""Which worker has which backend: at most one at any time, and none before the one before it has
let go or is dead beyond doubt.

A backend as started by one specification is a *charge* (`charges` has the table of what happens to
one). A worker with an unchanged configuration takes the charges over as they are, processes and
calls under way included.

Cut-over, rollback and the recovery from a crash are all the same: the active generation is to have
what it wants, and `check` says what is missing for that.
"""

from collections.abc import Callable, Mapping
from typing import Final

from relay_supervisor.core import effects
from relay_supervisor.core.asks import Asks
from relay_supervisor.core.charges import Charges, Move, advance, wanted, wants
from relay_supervisor.core.errands import Errands
from relay_supervisor.core.estate import Estate
from relay_supervisor.core.generation import GONE, Generation
from relay_supervisor.core.heirs import Heirs
from relay_supervisor.core.processes import Pace, Process, Rung
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.state import Charge, Hold
from relay_supervisor.errors import RemoteProtocolError
from relay_supervisor.wire import v1
from relay_supervisor.wire.mailbox import Record

FREEZE_SECONDS_MAX: Final = 10.0
"""To give a backend back may take as long as to end its process, if that has begun."""

ADOPT_SECONDS_MAX: Final = 5.0

ADOPT_DEATHS_MAX: Final = 3
"""So many workers may die one after another while they take a backend over: it may be what they
die of, and is started anew. Fewer than make a crash loop.
"""


class Custody:
    """Moves the charges from worker to worker."""

    def __init__(
        self,
        shared: Shared,
        estate: Estate,
        asks: Asks,
        errands: Errands,
        charges: Charges,
        lose: Callable[[int, str, float], None],
    ) -> None:
        """*lose* ends a worker that cannot go on."""
        self._shared = shared
        self.charges = charges
        self._heirs = Heirs(shared.workers)
        self._estate = estate
        self._asks = asks
        self._errands = errands
        self._lose = lose
        self._state = shared.state.custody

    # ---- what workers want --------------------------------------------------------------------

    def configured(self, generation: Generation) -> None:
        """A worker has read its configuration: what nobody has is its own, the rest will come."""
        awaited = []
        for key, info in wanted(generation):
            if key in self.charges:
                awaited.append(info.name)
            else:
                charge = Charge(info.name, info.spec_hash, holder=generation.number)
                self.charges.add(charge)
        if awaited:
            self._shared.out.worker(generation.number, v1.Await(awaited))
        self._state.stale = True

    def may_spawn(self, generation: Generation, backend: str) -> bool:
        """Tell whether a worker may start a process of *backend* now."""
        if not generation.offer.adopts:
            return True
        charge = self.charges.held(generation.number, backend)
        if charge is not None and charge.hold is Hold.HELD and charge.exit_status is not None:
            self._buried(charge)  # who wants another process has taken in the end of the last one
        return charge is not None and not charge.pid

    def reported(self, generation: int, backend: str, pid: int | None) -> None:
        """A worker says which process of a backend it speaks with: of none that is dead any more,
        once it has taken in what that one has left behind.
        """
        charge = self.charges.held(generation, backend)
        if charge is None or charge.hold is not Hold.HELD or charge.exit_status is None:
            return
        if pid != charge.pid:
            self._buried(charge)

    def spawned(self, generation: int, backend: str, pid: int) -> None:
        """A process of a charge runs."""
        if (charge := self.charges.held(generation, backend)) is not None:
            self.charges.started(charge, pid)

    def joined(self, generation: Generation, message: v1.Joined, payload: bytes) -> None:
        """A worker says with what to go on if it is killed."""
        charge = self.charges.held(generation.number, message.backend)
        if charge is not None and charge.pid == message.pid:
            charge.joined = payload

    def serves(self, pid: int) -> bool:
        """Tell whether a process is, or is to be, that of whoever serves."""
        charge, active = self.charges.of_pid(pid), self._shared.workers.active()
        return charge is not None and (active is None or wants(active, charge))

    # ---- moving -------------------------------------------------------------------------------

    def changed(self) -> None:
        """Somebody else serves, or has gone."""
        self._state.stale = True

    @property
    def moving(self) -> bool:
        """Tell whether the active generation does not have yet what it wants."""
        active = self._shared.workers.active()
        return active is not None and any(
            wants(active, charge) and (charge.hold, charge.holder) != (Hold.HELD, active.number)
            for charge in self.charges
        )

    @property
    def _adopting(self) -> bool:
        """Tell whether somebody is taking something over. What a worker may have died of is given
        when nobody is, by itself, so that nothing else is blamed for it.
        """
        return any(charge.hold is Hold.ADOPTING for charge in self.charges)

    def leaving(self, generation: int) -> bool:
        """Tell whether a worker has yet to give something back, or to take it over."""
        return any(c.hold is not Hold.HELD for c in self.charges.of(generation))

    def check(self, now: float) -> None:
        """After each event: see to it that the active generation gets what it wants."""
        if not self._state.stale:
            return
        self._state.stale = False
        active = self._shared.workers.active()
        if active is None:
            return
        to_freeze = self._no_longer_serving(active)
        for charge in sorted(self.charges, key=lambda charge: charge.deaths):
            if charge.hold is Hold.FREE and not charge.ending:
                if (heir := self._heirs.of(charge, active)) is not None:
                    if not (charge.deaths and self._adopting):
                        self._give(charge, heir, now)
                elif not self._heirs.has_later(charge):
                    self._drop(charge, now)
            elif charge.hold is Hold.HELD and self._heirs.is_due(charge, active):
                advance(charge, Move.FREEZE)
                charge.moved_at = self._shared.state.last_call
                to_freeze.setdefault(charge.holder, []).append(charge.backend)
        for holder, names in to_freeze.items():
            self._shared.out.worker(holder, v1.Freeze(names))
            if names:
                self._shared.timers.set(f"freeze#{holder}", now + FREEZE_SECONDS_MAX)

    def _no_longer_serving(self, active: Generation) -> dict[int, list[str]]:
        """Return who served until now: what waits there is for the one that serves, even where it
        has no backend to give back.
        """
        before = self._shared.workers.state.generations.get(self._state.served or 0)
        self._state.served = active.number
        if before is None or before is active or before.state in GONE or not before.offer.adopts:
            return {}
        return {before.number: []}

    def frozen(self, generation: Generation, message: v1.Frozen, payload: bytes) -> None:
        """A worker has given a backend back."""
        charge = self.charges.held(generation.number, message.backend)
        if charge is None or charge.hold is not Hold.FREEZING:
            raise RemoteProtocolError(f"it gives back {message.backend!r}, and was not asked to")
        told = charge.exit_status is not None
        if message.pid != charge.pid and (message.pid or not told):
            raise RemoteProtocolError(f"it gives back {message.backend!r} with another process")
        advance(charge, Move.FROZEN)
        charge.holder, charge.crashed = 0, False
        held = self.charges.of(generation.number)
        if not any(other.hold is Hold.FREEZING for other in held):
            self._shared.timers.clear(f"freeze#{generation.number}")
        if not message.pid:  # it was told of the end of its process, and has taken that in
            self._buried(charge)
        charge.left = payload
        self._estate.frozen(charge, generation.number, message.unsent)
        self._errands.frozen(charge, generation.number, message.unsent)
        self._free(charge)

    def _give(self, charge: Charge, to: Generation, now: float) -> None:
        charge.holder = to.number
        if not charge.pid:
            advance(charge, Move.GRANTED)
            self._shared.out.worker(to.number, v1.Adopt(0, charge.backend, 0), charge.left)
            charge.left = b""
            return
        advance(charge, Move.GIVEN)
        state = self._shared.state
        state.last_token += 1
        charge.moved_at = state.last_call
        calls = self._estate.give(charge)
        adopt = v1.Adopt(state.last_token, charge.backend, charge.pid, calls, charge.crashed)
        self._shared.out.put(effects.GiveBackend(to.number, adopt, charge.left))
        self._shared.timers.set(f"adopt#{charge.pid}", now + ADOPT_SECONDS_MAX)
        if (process := self._shared.processes.by_pid.get(charge.pid)) is not None:
            process.generation = to.number
        self._asks.move(charge.pid, to.number)
        self._errands.give(charge)
        if charge.exit_status is not None:
            gone = v1.Exited(charge.backend, charge.pid, charge.exit_status)
            self._shared.out.worker(to.number, gone)

    def adopted(self, generation: Generation, message: v1.Adopted, now: float) -> None:
        """A worker has taken a backend over, or cannot."""
        charge = self.charges.held(generation.number, message.backend)
        if charge is None or charge.hold is not Hold.ADOPTING or charge.pid != message.pid:
            raise RemoteProtocolError(f"it takes over {message.backend!r}, which it was not given")
        if message.refusal:
            text = f"it cannot take over backend {message.backend!r}: {message.refusal}"
            if self._heirs.has_another(charge):
                return self._lose(generation.number, text, now)
            return self._refused(charge, message.refusal, now)
        advance(charge, Move.TAKEN)
        self._shared.timers.clear(f"adopt#{charge.pid}")
        charge.left, charge.deaths = b"", 0
        self._state.stale = True
        return None

    def _refused(self, charge: Charge, why: str, now: float) -> None:
        """Nobody can go on with its process: its holder gets another one, when this one is gone."""
        text = f"backend {charge.backend!r} cannot be taken over and is started anew: {why}"
        self._shared.out.log("error", text)
        advance(charge, Move.REFUSED)
        self._shared.timers.clear(f"adopt#{charge.pid}")
        self._leave_calls(charge, "its backend could not be taken over and was started anew", now)
        charge.holder, charge.left = 0, b""
        self._free(charge)
        self._end(charge, Pace.HURRIED, now)

    def freeze_late(self, generation: int, now: float) -> None:
        """A worker does not give back what it has."""
        text = f"it did not give its backends back within {FREEZE_SECONDS_MAX:g} s"
        self._lose(generation, text, now)

    def adopt_late(self, pid: int, now: float) -> None:
        """A worker does not say that it has taken a backend over."""
        charge = self.charges.of_pid(pid)
        assert charge is not None
        text = f"it did not take over backend {charge.backend!r} within {ADOPT_SECONDS_MAX:g} s"
        self._lose(charge.holder, text, now)

    # ---- deaths -------------------------------------------------------------------------------

    def exited(self, process: Process, status: int) -> bool:
        """A backend is dead and reaped. Return whether its holder is to be told now."""
        charge = self.charges.owner(process.pid)
        if charge is None:
            self._shared.out.put(effects.ReleasePipes(process.pid))
            return process.generation != 0
        self._state.stale = True
        if charge.ending:
            self._buried(charge)
        else:
            charge.exit_status = status  # what it said last is still to be taken in
        return charge.hold is not Hold.FREE

    def holder_dead(
        self, generation: int, stages: Mapping[int, int] | None, records: Mapping[int, Record]
    ) -> dict[str, Charge]:
        """A worker is dead beyond doubt: all it had is free. Return the charges whose processes
        go on with what they were given, by backend.
        """
        going_on: dict[str, Charge] = {}
        self._state.stale = True
        for charge in self.charges.of(generation):
            adopting = charge.hold is Hold.ADOPTING
            advance(charge, Move.LOST)
            self._shared.timers.clear(f"adopt#{charge.pid}")
            charge.deaths += adopting
            charge.holder, charge.left, charge.crashed = 0, b"", True
            if not charge.pid:
                continue
            process = self._shared.processes.by_pid.get(charge.pid)
            closed = process is not None and process.rung is not Rung.RUNNING
            if charge.joined and not closed and charge.deaths < ADOPT_DEATHS_MAX:
                going_on[charge.backend] = charge
                charge.left = charge.joined
                self._free(charge)
        self._shared.timers.clear(f"freeze#{generation}")
        self._errands.settle(generation, going_on, stages, records)
        return going_on

    def end_unusable(self, now: float) -> None:
        """End the processes that no worker can go on with: their handshake was not complete, or
        their end had begun.
        """
        for charge in self.charges:
            if charge.hold is Hold.FREE and charge.pid and not charge.ending and not charge.left:
                self._end(charge, Pace.HURRIED, now)

    def _free(self, charge: Charge) -> None:
        self._state.stale = True
        if not charge.pid:
            return
        self._asks.move(charge.pid, 0)
        if (process := self._shared.processes.by_pid.get(charge.pid)) is not None:
            process.generation = 0
            self._shared.out.put(effects.TendStderr(charge.pid))

    def _drop(self, charge: Charge, now: float) -> None:
        """Nobody wants it any more: it is forgotten, if need be when its process is gone."""
        if charge.pid:
            self._leave_calls(charge, "its backend was removed while this was under way", now)
            self._end(charge, Pace.PATIENT, now)
        if not charge.pid:
            self.charges.remove(charge)

    def _leave_calls(self, charge: Charge, why: str, now: float) -> None:
        """No worker will ever speak with its process again."""
        self._errands.drop(charge.pid)
        self._asks.lose(pid=charge.pid)
        self._estate.drop(charge, why, now)

    def _end(self, charge: Charge, pace: Pace, now: float) -> None:
        process = self._shared.processes.by_pid.get(charge.pid)
        if process is None:
            return self._buried(charge)
        charge.ending = True
        if process.rung is Rung.RUNNING:  # one whose end has begun keeps the time it was given
            self._shared.processes.end(charge.pid, pace, now)
        return None

    def _buried(self, charge: Charge) -> None:
        """Nothing of its process is left to be taken in."""
        if charge.pid:
            self._shared.out.put(effects.ReleasePipes(charge.pid))
        charge.pid, charge.exit_status, charge.ending = 0, None, False
        charge.left = charge.joined = b""
        charge.deaths = 0
