"""Pairs of code and configuration that failed: they are not taken again without force."""

from typing import TYPE_CHECKING, Final

import msgspec

from relay_supervisor.core.generation import Generation
from relay_supervisor.wire import v1

if TYPE_CHECKING:  # the state of this room is part of what it shares
    from relay_supervisor.core.shared import Shared

REFUSED_MAX: Final = 64
"""So many are remembered, the oldest are forgotten first."""


class Refused(msgspec.Struct):
    """One as relayctl read it from the disk."""

    build: str
    config_digest: str
    reason: str = ""


class Refusals:
    """What failed in this relay, and in others as far as relayctl told."""

    def __init__(self, shared: "Shared") -> None:
        self._shared = shared
        self._known = shared.memory.swaps.refused
        self._unsaved = shared.memory.swaps.unsaved

    def blame(self, generation: Generation, reason: str) -> None:
        """Remember that this pair failed, for the other relays too."""
        self.add(*generation.pair, reason)
        self._unsaved[:] = [*self._unsaved, v1.Refuse(*generation.pair, reason)][-REFUSED_MAX:]

    def save(self) -> None:
        """Let the worker that serves write down what is not written yet, if there is one."""
        active = self._shared.workers.state.active
        while self._unsaved and active is not None:
            self._shared.out.worker(active, self._unsaved.pop(0))

    def add(self, build: str, config_digest: str, reason: str) -> None:
        """A pair has failed."""
        pair = (build, config_digest)
        others = [entry for entry in self._known if _pair(entry) != pair]
        self._known[:] = [*others, Refused(*pair, reason)][-REFUSED_MAX:]

    def learn(self, text: object) -> None:
        """Take over the JSON list relayctl knows of; one that cannot be read says nothing."""
        try:
            known = msgspec.json.decode(str(text or "[]"), type=list[Refused])
        except msgspec.MsgspecError:
            return
        for entry in known:
            self.add(entry.build, entry.config_digest, entry.reason)

    def reason(self, generation: Generation) -> str | None:
        """Return why this one failed before; None: it did not."""
        return next((e.reason for e in self._known if _pair(e) == generation.pair), None)


def _pair(entry: Refused) -> tuple[str, str]:
    return entry.build, entry.config_digest
