"""JSON texts as they come from no encoder: everything the grammar allows and relays get wrong."""

import json
from random import Random

NUMBERS = [
    "0",
    "-0",
    "-0.0",
    "1",
    "7",
    "1.0",
    "0.10",
    "1e2",
    "1E+2",
    "1e-2",
    "1e-400",
    "2.50e00",
    "9007199254740993",
    "-9223372036854775809",
    "18446744073709551616",
    "123456789012345678901234567890",
    "0.1000000000000000055511151231257827",
    "3.141592653589793238462643383279",
]
BEYOND = ("1e400", "-1e400")
"""Numbers that JSON has and JavaScript has not: they may be where nobody has to understand them."""

PIECES = (
    "plain",
    " ",
    "é",
    "\\u00e9",
    "\\u00E9",
    "\\/",
    "/",
    "\\\\u0041",
    "\\\\",
    '\\"',
    "\\n",
    "\\u000a",
    "\\u0000",
    "\u2028",
    "\\u2029",
    "😀",
    "\\ud83d\\ude00",
    "\x7f",
    "<script>",
    "{",
    "]",
    "NaN",
    "ß\u0301",
)
LONE = ("\\ud83d", "\\uDE00", "x\\ud800y")
KEYS = [
    "a",
    "b",
    "id",
    "jsonrpc",
    "method",
    "params",
    "result",
    "error",
    "name",
    "uri",
    "code",
    "data",
    "type",
    "text",
    "progress",
    "total",
    "cursor",
    "nextCursor",
    "resultType",
    "ttlMs",
    "cacheScope",
    "requestState",
    "__proto__",
    "constructor",
    "0",
    "x-odd",
]
DEPTH_MAX = 4


class Odd:
    """A source of odd JSON, replayable by its random numbers."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def maybe(self) -> bool:
        """A coin."""
        return self._random.random() < 0.5

    def some(self, count: int) -> list[int]:
        """Some of so many things, in any order."""
        return self._random.sample(range(count), self._random.randrange(count))

    def number(self) -> str:
        """A number in some spelling, which every client can hold."""
        return self._random.choice(NUMBERS)

    def string(self, *, lone: bool = False) -> str:
        """A string in some spelling, with quotes; *lone*: it may have half a surrogate pair."""
        pieces = self._random.choices(PIECES, k=self._random.randrange(4))
        if lone and self._random.random() < 0.1:
            # Apart from what it could pair up with.
            pieces = [*pieces, "-", self._random.choice(LONE), "-"]
        return '"' + "".join(pieces) + '"'

    def value(self, depth: int = 0) -> str:
        """Anything."""
        kinds = 7 if depth < DEPTH_MAX else 5
        match self._random.randrange(kinds):
            case 0 | 1:
                return self._random.choice((*NUMBERS, *BEYOND))
            case 2 | 3:
                return self.string(lone=True)
            case 4:
                return self._random.choice(("true", "false", "null"))
            case 5:
                return self.object(depth + 1)
            case _:
                items = (self.value(depth + 1) for _ in range(self._random.randrange(4)))
                return "[" + ", ".join(items) + "]"

    def object(self, depth: int = 1) -> str:
        """An object."""
        return "{" + ", ".join(self._members(depth, self._random.randrange(4))) + "}"

    def extras(self) -> str:
        """Members to put after others, each with a comma before it; the protocol knows none."""
        found = self._members(1, self._random.randrange(3), prefix="x/")
        return "".join(f",{member}" for member in found)

    def _members(self, depth: int, count: int, prefix: str = "") -> list[str]:
        names: dict[str, str] = {}
        for _ in range(count):
            spelled = json.dumps(prefix + self._random.choice(KEYS))
            if self._random.random() < 0.2:
                spelled = f'"{prefix}{self.string()[1:-1]}"'
            names.setdefault(json.loads(spelled), spelled)
        return [f"{spelled}:{self.value(depth)}" for spelled in names.values()]
