"""What sessions may have in them, for each pair of client's and server's era.

A feature is listed where both a direct connection and the relay know it. Those of one pair alone
are what the other era has no words for.
"""

from dataclasses import dataclass

from tests.differential.script import LEGACY, MODERN

Pair = tuple[str, str]
"""The era of the client, and that of the server."""

LL, LM, ML, MM = ((c, s) for c in (LEGACY, MODERN) for s in (LEGACY, MODERN))

EVERYWHERE = frozenset({LL, LM, ML, MM})

FEATURES: dict[str, frozenset[Pair]] = {
    "tool": EVERYWHERE,
    "prompt": EVERYWHERE,
    "resource": EVERYWHERE,
    "completion": EVERYWHERE,
    "error": EVERYWHERE,
    "missing": EVERYWHERE,
    "progress": EVERYWHERE,
    "cancel": EVERYWHERE,
    "together": EVERYWHERE,
    "updated": EVERYWHERE,
    "log": EVERYWHERE,
    "question": EVERYWHERE,
    "level": frozenset({LL}),
    # The rest a modern client has no words for, or cannot be told of by a legacy server.
    "other": frozenset({LL}),
    "roots_changed": frozenset({LL}),
    "refusal": frozenset({LL}),
    "report": frozenset({LL}),
    "withdrawn": frozenset({LL}),
    # A legacy server has nothing to say by it, and a legacy client has said who it is once.
    "state": frozenset({LM, MM}),
    "introduced": frozenset({MM}),
    # Tasks are another thing in each era, and nobody bridges them.
    "task": frozenset({LL, MM}),
    "hosted": frozenset({LL}),
}

QUESTIONS_MAX = 3

NOT_BY_HTTP = {
    # It comes by another connection than answers do, so nobody can tell when it must have come.
    "updated",
}


@dataclass(frozen=True)
class By:
    """A pair, whether the server behind the relay is reached by HTTP, and whether the relay's
    worker is swapped meanwhile.
    """

    pair: Pair
    web: bool = False
    swaps: bool = False

    def __str__(self) -> str:
        return "".join(self.pair) + "-http" * self.web + "-swaps" * self.swaps

    @property
    def ordered(self) -> bool:
        """Whether what is told comes in the same order both ways. By HTTP every request has a
        connection of its own; where the relay asks a server again for a client that knows nothing
        of it, it takes its time; and notifications wait while a server has no worker.
        """
        return not self.web and not self.swaps and self.pair != LM

    @property
    def attributes(self) -> bool:
        """Whether it is known which request a question belongs to. On a pipe a legacy server does
        not say so: where several requests are under way, a modern client may be asked in another.
        """
        return self.pair != ML or self.web

    @property
    def questions_max(self) -> int:
        """So many may be asked at once. Of a legacy server's, which come one by one, the relay
        cannot know whether there will be more when it asks a modern client the first.
        """
        return 1 if self.pair == ML else QUESTIONS_MAX

    @property
    def features(self) -> tuple[str, ...]:
        """What may be in its sessions, in a fixed order."""
        known = {name for name, pairs in FEATURES.items() if self.pair in pairs}
        return tuple(sorted(known - NOT_BY_HTTP if self.web else known))


WAYS = tuple(By(pair, web=web) for web in (False, True) for pair in (LL, LM, ML, MM))
"""What is compared."""

SWAPPED = tuple(By(pair, swaps=True) for pair in (LL, LM, ML, MM))
"""What is compared while the worker is swapped."""
