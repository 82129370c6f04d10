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

    def __init__(self, known: list[Refused]) -> None:
        """*known* is the list to keep them in, the newest last."""
        self._known = known

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
        pair = (generation.build, generation.offer.config_digest)
        return next((entry.reason for entry in self._known if _pair(entry) == pair), None)


def _pair(entry: Refused) -> tuple[str, str]:
    return entry.build, entry.config_digest
