"""What the peer of a released version relies on in each message, and what may be otherwise.

A message of today stands for a recorded one if it has the same in every place that the peer knows
and goes by. It may have more fields behind them. Numbers that each side chooses for itself (calls,
pids, tokens) need not be the same, but have to mean the same throughout a conversation.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from tests.versions.transcript import Entry

SAME: Final = "same"
ANY: Final = "any"
ENTRIES: Final = "entries"
"""A catalogue: everything in it but what is the relay's own."""
ANSWER: Final = "answer"
"""A reply: what a backend said. The relay's own words may become better ones."""

OWN: Final = "relay"
REPLY: Final = 68
CALL: Final = 4
FROM_BACKEND: Final = (0, 1)
"""Outcomes of a reply that a backend is the author of."""

Rule = str | tuple[str, ...]
"""Of a field: SAME, ANY, the name of a kind of number, or of each field in a list of structures."""


class Shape(NamedTuple):
    """The fields of a message after its tag, and its payload."""

    fields: tuple[Rule, ...] = ()
    payload: str = SAME


_INFO: Final = (SAME, SAME, SAME, ANY)
_CHECK: Final = (SAME, SAME, ANY, ANY)

SHAPES: Final = {
    "hello": Shape((ANY, ANY, SAME, "nonce")),
    "welcome": Shape((SAME, ANY, SAME, "nonce", ANY)),
    1: Shape((SAME,) * 8),  # Configure
    2: Shape((SAME, SAME)),  # KnownLists
    3: Shape((SAME, SAME, ANY, SAME)),  # Session: where a cache is, is ours to say
    CALL: Shape(("call", SAME, SAME, SAME, SAME, ANY)),
    5: Shape(("call",)),  # Cancel
    6: Shape((SAME, SAME, "pid")),  # ClientAnswer
    7: Shape((SAME,)),  # ClientNotification
    8: Shape((SAME,)),  # SetLevel
    9: Shape((SAME,)),  # Subscriptions
    10: Shape(("spawn", SAME, "pid")),  # Spawned
    12: Shape((SAME, "pid", SAME)),  # Exited
    13: Shape(("status",), ANY),  # StatusReply
    14: Shape((SAME,)),  # Ping
    15: Shape((ANY,), ANY),  # Log
    16: Shape(),  # Retire
    17: Shape((), ANY),  # Journal
    19: Shape((SAME,)),  # RunChecks
    65: Shape((_INFO, SAME, SAME, SAME, ANY), ANY),  # Configured
    66: Shape((ANY, SAME), ENTRIES),  # Catalogue
    67: Shape((SAME, ANY), ANY),  # LearnedLists
    REPLY: Shape(("call", SAME), ANSWER),
    69: Shape(("call",)),  # Progress
    70: Shape((SAME, SAME)),  # Notification
    71: Shape((SAME, SAME, "pid", SAME)),  # BackendRequest
    72: Shape((SAME, SAME, "pid")),  # BackendCancel
    73: Shape(("spawn", SAME, ANY, ANY, SAME)),  # Spawn: argv has a path of the machine
    74: Shape((SAME, "pid")),  # StopBackend
    75: Shape((SAME, SAME, ANY, ANY, ANY, ANY, ANY)),  # BackendState
    76: Shape(("status",)),  # StatusRequest
    77: Shape((SAME, "nonce")),  # Ready
    78: Shape((SAME,)),  # Pong
    79: Shape(),  # ConfigRead
    80: Shape((SAME, _CHECK)),  # Checked
    81: Shape(("call", SAME)),  # Routed
}


class Names:
    """Which of today's numbers stands for which recorded one. `own` are the recorded calls of the
    relay's own tools.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        calls = [one.said for one in entries if isinstance(one.said, list) and one.said[0] == CALL]
        self.own = {said[1] for said in calls if said[3].startswith(f"{OWN}__")}
        self._today: dict[tuple[str, Any], Any] = {}

    def today(self, kind: str, recorded: Any) -> Any:
        """What a recorded number is today."""
        return self._today[kind, recorded]

    def bind(self, kind: str, recorded: Any, today: Any) -> None:
        """Let both be the same from now on."""
        self._today[kind, recorded] = today

    def translated(self, said: list[Any], kinds: Iterable[str]) -> list[Any]:
        """A recorded message with today's numbers of these kinds."""
        fields = zip(SHAPES[said[0]].fields, said[1:], strict=True)
        named = [self.today(rule, one) if rule in kinds else one for rule, one in fields]
        return [said[0], *named]

    def fits(self, recorded: Entry, said: list[Any], payload: Any) -> bool:
        """Whether what was *said* today stands for what was recorded; its numbers then do, too."""
        if said[0] != recorded.said[0] or len(said) < len(recorded.said):
            return False
        shape = SHAPES[said[0]]
        bound: dict[tuple[str, Any], Any] = {}
        for rule, old, new in zip(shape.fields, recorded.said[1:], said[1:], strict=False):
            if isinstance(rule, tuple):
                if not _each_fits(rule, old, new):
                    return False
            elif rule == SAME:
                if not goes_on_from(new, old):
                    return False
            elif rule != ANY:
                if self._today.get((rule, old), new) != new:
                    return False
                bound[rule, old] = new
        if not self._says_the_same(shape.payload, recorded, payload):
            return False
        self._today |= bound
        return True

    def _says_the_same(self, rule: str, recorded: Entry, payload: Any) -> bool:
        said = recorded.said
        if rule == ANSWER:
            rule = SAME if said[2] in FROM_BACKEND and said[1] not in self.own else ANY
        if rule == ENTRIES:
            return goes_on_from(_entries(payload), _entries(recorded.payload))
        return rule == ANY or bool(payload == recorded.payload)


def goes_on_from(today: Any, released: Any) -> bool:
    """Whether *today* is what was released, of the same types, with nothing but more at the end of
    its arrays and more keys in its maps.
    """
    if isinstance(released, list) and isinstance(today, list):
        pairs = zip(today, released, strict=False)
        return len(today) >= len(released) and all(goes_on_from(*pair) for pair in pairs)
    if isinstance(released, dict) and isinstance(today, dict):
        return all(key in today and goes_on_from(today[key], released[key]) for key in released)
    return type(today) is type(released) and bool(today == released)


def _each_fits(rules: tuple[str, ...], old: list[Any], new: list[Any]) -> bool:
    pairs = [
        (after, before)
        for was, now in zip(old, new, strict=False)
        for rule, before, after in zip(rules, was, now, strict=False)
        if rule == SAME
    ]
    return len(old) == len(new) and all(goes_on_from(*pair) for pair in pairs)


def _entries(payload: Any) -> dict[str, list[Any]]:
    body = payload["msgpack"]
    kinds = ("tools", "prompts", "resources", "templates")
    return {kind: [one for one in body[kind] if one[1] != OWN] for kind in kinds}
