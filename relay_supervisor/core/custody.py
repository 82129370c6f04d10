"""Which worker has which backend: at most one at any time, and none before the one before it has
let go or is dead beyond doubt.

A backend as started by one specification is a *charge*. A worker with an unchanged configuration
takes the charges over as they are, processes and calls under way included:

    HELD ──FREEZE──▶ FREEZING ──FROZEN──▶ FREE ──GIVEN──▶ ADOPTING ──TAKEN──▶ HELD
    HELD, FREEZING, ADOPTING ──LOST──▶ FREE         FREE ──GRANTED (no process)──▶ HELD

Cut-over, rollback and the recovery from a crash are all the same: the active generation is to have
what it wants, and `check` says what is missing for that.
"""

import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from relay_supervisor.core import effects
from relay_supervisor.core.asks import Asks
from relay_supervisor.core.calls import Calls
from relay_supervisor.core.errands import Errands
from relay_supervisor.core.generation import GONE, Generation
from relay_supervisor.core.processes import Pace, Process, Rung
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.state import Charge, Hold
from relay_supervisor.errors import LocalProtocolError, RemoteProtocolError
from relay_supervisor.wire import v1
from relay_supervisor.wire.mailbox import Record

FREEZE_SECONDS_MAX: Final = 10.0
"""To give a backend back may take as long as to end its process, if that has begun."""

ADOPT_SECONDS_MAX: Final = 5.0


class Move(enum.Enum):
    """What happens to a charge."""

    FREEZE = "to be given back"
    FROZEN = "given back"
    GIVEN = "given to a worker with its process"
    TAKEN = "at work under that worker"
    GRANTED = "given to a worker without a process"
    LOST = "its holder is dead"


_H, _M = Hold, Move
# An absent pair is a bug of ours or a lie of a worker's.
TRANSITIONS: Final[Mapping[Hold, Mapping[Move, Hold]]] = {
    _H.HELD: {_M.FREEZE: _H.FREEZING, _M.LOST: _H.FREE},
    _H.FREEZING: {_M.FROZEN: _H.FREE, _M.LOST: _H.FREE},
    _H.FREE: {_M.GIVEN: _H.ADOPTING, _M.GRANTED: _H.HELD},
    _H.ADOPTING: {_M.TAKEN: _H.HELD, _M.LOST: _H.FREE},
}


class Custody:
    """All charges, and their moves."""

    def __init__(
        self,
        shared: Shared,
        calls: Calls,
        asks: Asks,
        errands: Errands,
        lose: Callable[[int, str, float], None],
    ) -> None:
        """*lose* ends a worker that cannot go on."""
        self._shared = shared
        self._charges = shared.state.charges
        self._calls = calls
        self._asks = asks
        self._errands = errands
        self._lose = lose
        self._of_pid = {charge.last_pid: charge for charge in self._charges.values()}
        self._stale = True

    # ---- what workers want --------------------------------------------------------------------

    def configured(self, generation: Generation) -> None:
        """A worker has read its configuration: what nobody has is its own, the rest will come."""
        awaited = []
        for key, info in _wanted(generation):
            if key in self._charges:
                awaited.append(info.name)
            else:
                self._charges[key] = Charge(info.name, info.spec_hash, holder=generation.number)
        if awaited:
            self._shared.out.worker(generation.number, v1.Await(awaited))
        self._stale = True

    def may_spawn(self, generation: Generation, backend: str) -> bool:
        """Tell whether a worker may start a process of *backend* now."""
        if not generation.offer.adopts:
            return True
        charge = self._held(generation.number, backend)
        if charge is not None and charge.hold is Hold.HELD and charge.exit_status is not None:
            self._buried(charge)  # who wants another process has taken in the end of the last one
        return charge is not None and not charge.pid

    def reported(self, generation: int, backend: str, pid: int | None) -> None:
        """A worker says which process of a backend it speaks with: of none that is dead any more,
        once it has taken in what that one has left behind.
        """
        charge = self._held(generation, backend)
        if charge is None or charge.hold is not Hold.HELD or charge.exit_status is None:
            return
        if pid != charge.pid:
            self._buried(charge)

    def spawned(self, generation: int, backend: str, pid: int) -> None:
        """A process of a charge runs."""
        if (charge := self._held(generation, backend)) is None:
            return
        self._of_pid.pop(charge.last_pid, None)
        charge.pid = charge.last_pid = pid
        charge.seen = -1
        charge.joined = charge.left = b""
        self._of_pid[pid] = charge

    def joined(self, generation: Generation, message: v1.Joined, payload: bytes) -> None:
        """A worker says with what to go on if it is killed."""
        charge = self._held(generation.number, message.backend)
        if charge is not None and charge.pid == message.pid:
            charge.joined = payload

    def serves(self, pid: int) -> bool:
        """Tell whether a process is, or is to be, the active generation's."""
        charge, active = self._of_pid.get(pid), self._shared.workers.active()
        return charge is not None and active is not None and _wants(active, charge)

    def is_news(self, pid: int, at: int) -> bool:
        """Tell whether a message of a process was not passed on before; from now on it was."""
        charge = self._of_pid.get(pid)
        if charge is None:
            return True
        if at <= charge.seen:
            return False
        charge.seen = at
        return True

    # ---- moving -------------------------------------------------------------------------------

    def changed(self) -> None:
        """Somebody else serves, or has gone."""
        self._stale = True

    @property
    def moving(self) -> bool:
        """Tell whether the active generation does not have yet what it wants."""
        active = self._shared.workers.active()
        return any(
            charge.hold in (Hold.FREEZING, Hold.ADOPTING)
            or (charge.hold is Hold.FREE and active is not None and _wants(active, charge))
            for charge in self._charges.values()
        )

    def leaving(self, generation: int) -> bool:
        """Tell whether a worker still has something to give back."""
        return any(c.holder == generation and c.hold is Hold.FREEZING for c in self._all())

    def check(self, now: float) -> None:
        """After each event: see to it that the active generation gets what it wants."""
        if not self._stale:
            return
        self._stale = False
        active = self._shared.workers.active()
        if active is None:
            return
        to_freeze: dict[int, list[str]] = {}
        for charge in list(self._all()):
            wanted = _wants(active, charge)
            if charge.hold is Hold.FREE and not charge.ending:
                if wanted:
                    self._give(charge, active, now)
                elif not self._wanted_later(charge):
                    self._drop(charge, now)
            elif charge.hold is Hold.HELD and wanted and self._elsewhere(charge, active):
                _move(charge, Move.FREEZE)
                to_freeze.setdefault(charge.holder, []).append(charge.backend)
        for holder, names in to_freeze.items():
            self._shared.out.worker(holder, v1.Freeze(names))
            self._shared.timers.set(f"freeze#{holder}", now + FREEZE_SECONDS_MAX)

    def frozen(self, generation: Generation, message: v1.Frozen, payload: bytes) -> None:
        """A worker has given a backend back."""
        charge = self._held(generation.number, message.backend)
        if charge is None:
            raise RemoteProtocolError(f"it gives back {message.backend!r}, which it does not have")
        told = charge.exit_status is not None
        if message.pid != charge.pid and (message.pid or not told):
            raise RemoteProtocolError(f"it gives back {message.backend!r} with another process")
        _move(charge, Move.FROZEN)
        charge.holder, charge.left, charge.crashed = 0, payload, False
        if not self.leaving(generation.number):
            self._shared.timers.clear(f"freeze#{generation.number}")
        if not message.pid:  # it was told of the end of its process, and has taken that in
            self._buried(charge)
        self._calls.frozen(charge, generation.number, message.unsent)
        self._errands.frozen(charge, generation.number, message.unsent)
        self._free(charge)

    def _give(self, charge: Charge, to: Generation, now: float) -> None:
        charge.holder = to.number
        if not charge.pid:
            _move(charge, Move.GRANTED)
            self._shared.out.worker(to.number, v1.Adopt(0, charge.backend, 0), charge.left)
            return
        _move(charge, Move.GIVEN)
        state = self._shared.state
        state.last_token += 1
        calls = self._calls.give(charge)
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
        charge = self._held(generation.number, message.backend)
        if charge is None or charge.hold is not Hold.ADOPTING or charge.pid != message.pid:
            raise RemoteProtocolError(f"it takes over {message.backend!r}, which it was not given")
        if message.refusal:
            text = f"it cannot take over backend {message.backend!r}: {message.refusal}"
            return self._lose(generation.number, text, now)
        _move(charge, Move.TAKEN)
        self._shared.timers.clear(f"adopt#{charge.pid}")
        self._stale = True
        return None

    def freeze_late(self, generation: int, now: float) -> None:
        """A worker does not give back what it has."""
        text = f"it did not give its backends back within {FREEZE_SECONDS_MAX:g} s"
        self._lose(generation, text, now)

    def adopt_late(self, pid: int, now: float) -> None:
        """A worker does not say that it has taken a backend over."""
        charge = self._of_pid[pid]
        text = f"it did not take over backend {charge.backend!r} within {ADOPT_SECONDS_MAX:g} s"
        self._lose(charge.holder, text, now)

    # ---- deaths -------------------------------------------------------------------------------

    def owns(self, pid: int) -> bool:
        """Tell whether a process is a charge's."""
        charge = self._of_pid.get(pid)
        return charge is not None and charge.pid == pid

    def exited(self, process: Process, status: int) -> bool:
        """A backend is dead and reaped. Return whether its holder is to be told now."""
        charge = self._of_pid.get(process.pid)
        if charge is None or charge.pid != process.pid:
            self._shared.out.put(effects.ReleasePipes(process.pid))
            return True
        self._stale = True
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
        for charge in [c for c in self._all() if c.holder == generation]:
            _move(charge, Move.LOST)
            self._shared.timers.clear(f"adopt#{charge.pid}")
            charge.holder, charge.left, charge.crashed = 0, b"", True
            self._stale = True
            if not charge.pid:
                continue
            process = self._shared.processes.by_pid.get(charge.pid)
            closed = process is not None and process.rung is not Rung.RUNNING
            if charge.joined and not closed:
                going_on[charge.backend] = charge
                charge.left = charge.joined
                self._free(charge)
        self._shared.timers.clear(f"freeze#{generation}")
        self._errands.settle(generation, going_on, stages or {}, records)
        return going_on

    def end_unusable(self, now: float) -> None:
        """End the processes that no worker can go on with: their handshake was not complete, or
        their end had begun.
        """
        for charge in self._all():
            if charge.hold is Hold.FREE and charge.pid and not charge.ending and not charge.left:
                self._end(charge, Pace.HURRIED, now)

    def _free(self, charge: Charge) -> None:
        self._stale = True
        self._asks.move(charge.pid, 0)
        if (process := self._shared.processes.by_pid.get(charge.pid)) is not None:
            process.generation = 0
            self._shared.out.put(effects.TendStderr(charge.pid))

    def _drop(self, charge: Charge, now: float) -> None:
        """Nobody wants it any more."""
        del self._charges[_key(charge.backend, charge.spec_hash)]
        self._of_pid.pop(charge.last_pid, None)
        if charge.pid:
            self._errands.drop(charge.pid)
            self._asks.lose(pid=charge.pid)
            self._calls.lose_process(charge.pid)
            self._end(charge, Pace.PATIENT, now)

    def _end(self, charge: Charge, pace: Pace, now: float) -> None:
        if charge.exit_status is None:
            charge.ending = True
            self._shared.processes.end(charge.pid, pace, now)
        else:
            self._buried(charge)

    def _buried(self, charge: Charge) -> None:
        """Nothing of its process is left to be taken in."""
        if charge.pid:
            self._shared.out.put(effects.ReleasePipes(charge.pid))
        charge.pid, charge.exit_status, charge.ending = 0, None, False
        charge.left = charge.joined = b""

    # ---- looking ------------------------------------------------------------------------------

    def _all(self) -> Iterable[Charge]:
        return self._charges.values()

    def _held(self, generation: int, backend: str) -> Charge | None:
        for charge in self._charges.values():
            if charge.holder == generation and charge.backend == backend:
                return charge
        return None

    def _elsewhere(self, charge: Charge, active: Generation) -> bool:
        """Tell whether another worker has it, one that can give it back."""
        holder = self._shared.workers.state.generations.get(charge.holder)
        return holder is not None and holder is not active and holder.state not in GONE

    def _wanted_later(self, charge: Charge) -> bool:
        """Tell whether somebody who may come to serve wants it."""
        generations = self._shared.workers.state.generations.values()
        return any(g.state not in GONE and _wants(g, charge) for g in generations)


def _key(backend: str, spec_hash: str) -> str:
    return f"{backend} {spec_hash}"


def _wanted(generation: Generation) -> Iterable[tuple[str, v1.BackendInfo]]:
    if generation.offer.adopts:
        for info in generation.offer.backends:
            if info.spec_hash:
                yield _key(info.name, info.spec_hash), info


def _wants(generation: Generation, charge: Charge) -> bool:
    key = _key(charge.backend, charge.spec_hash)
    return any(key == wanted for wanted, _ in _wanted(generation))


def _move(charge: Charge, move: Move) -> None:
    after = TRANSITIONS[charge.hold].get(move)
    if after is None:
        raise LocalProtocolError(
            f"backend {charge.backend} cannot be {move.value} while it is {charge.hold.value}"
        )
    charge.hold = after
