"""Who is to have a backend, of the workers there are. Questions only: `custody` acts on them."""

from typing import Final

from relay_supervisor.core.charges import wants
from relay_supervisor.core.generation import GONE, Generation, Life
from relay_supervisor.core.state import Charge
from relay_supervisor.core.workers import Workers

LEAVING: Final = (Life.STANDBY, Life.DRAINING)
"""Who does not serve any more and may still have calls under way, the likelier to stay first."""

ABLE: Final = (Life.ACTIVE, Life.STANDBY)
"""Who may take over what somebody else cannot."""


class Heirs:
    """The workers, by what they want of the charges."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    @property
    def _all(self) -> list[Generation]:
        return list(self._workers.state.generations.values())

    def of(self, charge: Charge, active: Generation) -> Generation | None:
        """Return who is to have what nobody has: whoever serves; or for a process that is no longer
        wanted, and may have calls under way, one that knows it and has not ended yet.
        """
        leaving = [g for life in LEAVING for g in self._all if g.state is life]
        heirs = [active, *leaving] if charge.pid else [active]
        return next((g for g in heirs if wants(g, charge)), None)

    def has_another(self, charge: Charge) -> bool:
        """Tell whether somebody else can have it, if its holder cannot."""
        return any(
            g.number != charge.holder and g.state in ABLE and wants(g, charge) for g in self._all
        )

    def has_later(self, charge: Charge) -> bool:
        """Tell whether somebody who may come to serve wants it."""
        return any(g.state not in GONE and wants(g, charge) for g in self._all)

    def is_due(self, charge: Charge, active: Generation) -> bool:
        """Tell whether it is wanted, and another worker has it, one that can give it back."""
        holder = self._workers.state.generations.get(charge.holder)
        elsewhere = holder is not None and holder is not active and holder.state not in GONE
        return elsewhere and wants(active, charge)
