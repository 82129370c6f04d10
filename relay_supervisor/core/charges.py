"""The backends as charges: who has which, what of it runs, and what that process has said so far.

A charge is a backend as started by one specification. `TRANSITIONS` is all that can happen to one:

    HELD ──FREEZE──▶ FREEZING ──FROZEN──▶ FREE ──GIVEN──▶ ADOPTING ──TAKEN──▶ HELD
    HELD, FREEZING, ADOPTING ──LOST──▶ FREE         FREE ──GRANTED (no process)──▶ HELD
                    ADOPTING ──REFUSED──▶ FREE

Nothing is decided here, and nobody is told: that is `custody`.
"""

import enum
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from relay_supervisor.core.generation import Generation
from relay_supervisor.core.state import Charge, Hold
from relay_supervisor.errors import LocalProtocolError
from relay_supervisor.wire import v1


class Move(enum.Enum):
    """What happens to a charge."""

    FREEZE = "to be given back"
    FROZEN = "given back"
    GIVEN = "given to a worker with its process"
    TAKEN = "at work under that worker"
    REFUSED = "refused by a worker"
    GRANTED = "given to a worker without a process"
    LOST = "its holder is dead"


_H, _M = Hold, Move
# An absent pair is a bug of ours or a lie of a worker's.
TRANSITIONS: Final[Mapping[Hold, Mapping[Move, Hold]]] = {
    _H.HELD: {_M.FREEZE: _H.FREEZING, _M.LOST: _H.FREE},
    _H.FREEZING: {_M.FROZEN: _H.FREE, _M.LOST: _H.FREE},
    _H.FREE: {_M.GIVEN: _H.ADOPTING, _M.GRANTED: _H.HELD},
    _H.ADOPTING: {_M.TAKEN: _H.HELD, _M.REFUSED: _H.FREE, _M.LOST: _H.FREE},
}


def advance(charge: Charge, move: Move) -> None:
    """Take a charge to its next state.

    Raises:
        LocalProtocolError: the table knows no such move from here.
    """
    after = TRANSITIONS[charge.hold].get(move)
    if after is None:
        raise LocalProtocolError(
            f"backend {charge.backend} cannot be {move.value} while it is {charge.hold.value}"
        )
    charge.hold = after


def wanted(generation: Generation) -> Iterator[tuple[str, v1.BackendInfo]]:
    """Yield the backends that a worker can take over, and the keys of their charges."""
    if generation.offer.adopts:
        for info in generation.offer.backends:
            if info.spec_hash:
                yield f"{info.name} {info.spec_hash}", info


def wants(generation: Generation, charge: Charge) -> bool:
    """Tell whether a worker has this very backend in its configuration."""
    return any(key == charge.key for key, _ in wanted(generation))


class Charges:
    """All charges by key, holder and process."""

    def __init__(self, by_key: dict[str, Charge]) -> None:
        self._by_key = by_key
        self._of_pid = {charge.last_pid: charge for charge in by_key.values()}

    def __iter__(self) -> Iterator[Charge]:
        """Go over those there are now; they may be changed meanwhile."""
        return iter(list(self._by_key.values()))

    def __contains__(self, key: str) -> bool:
        return key in self._by_key

    def add(self, charge: Charge) -> None:
        """A backend that nobody had so far."""
        self._by_key[charge.key] = charge

    def remove(self, charge: Charge) -> None:
        """Nobody wants it any more."""
        del self._by_key[charge.key]
        self._forget_pid(charge)

    def held(self, generation: int, backend: str) -> Charge | None:
        """Return the charge of this name that a worker has."""
        return next((c for c in self.of(generation) if c.backend == backend), None)

    def of(self, generation: int) -> Iterable[Charge]:
        """Return what a worker has, also if it is about to give it back or to take it over."""
        return [c for c in self._by_key.values() if c.holder == generation]

    # ---- processes --------------------------------------------------------------------------

    def of_pid(self, pid: int) -> Charge | None:
        """Return whose process this is, or was last."""
        return self._of_pid.get(pid)

    def owner(self, pid: int) -> Charge | None:
        """Return whose process this is, be it that there is still something of it to be read."""
        charge = self._of_pid.get(pid)
        return charge if charge is not None and charge.pid == pid else None

    def started(self, charge: Charge, pid: int) -> None:
        """A process of a charge runs."""
        self._forget_pid(charge)
        charge.pid = charge.last_pid = pid
        charge.seen = -1
        charge.joined = charge.left = b""
        self._of_pid[pid] = charge

    def is_news(self, pid: int, at: int) -> bool:
        """Tell whether a message of a process was not passed on before; from now on it was."""
        charge = self._of_pid.get(pid)
        if charge is None:
            return True
        if at <= charge.seen:
            return False
        charge.seen = at
        return True

    def is_dead(self, pid: int) -> bool:
        """Tell whether a process is dead, though what it said may still be coming."""
        charge = self._of_pid.get(pid)
        return charge is not None and (charge.pid != pid or charge.exit_status is not None)

    def _forget_pid(self, charge: Charge) -> None:
        if self._of_pid.get(charge.last_pid) is charge:  # another one's by now, it may be
            del self._of_pid[charge.last_pid]
