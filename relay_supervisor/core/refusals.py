"""Pairs of code and configuration that failed: they are not taken again without force."""

from typing import Final

import msgspec

from relay_supervisor.core.generation import Generation

REFUSED_MAX: Final = 64
"""So many are remembered, the oldest are forgotten first."""


class Refused(msgspec.Struct):
    """One as relayctl read it from the disk."""

    build: str
    config_digest: str
    reason: str = ""


class Refusals:
    """What failed in this relay, and in others as far as relayctl told."""

    def __init__(self) -> None:
        self._reasons: dict[tuple[str, str], str] = {}

    def add(self, build: str, config_digest: str, reason: str) -> None:
        """A pair has failed."""
        if len(self._reasons) >= REFUSED_MAX:
            self._reasons.pop(next(iter(self._reasons)))
        self._reasons[build, config_digest] = reason

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
        return self._reasons.get((generation.build, generation.offer.config_digest))
