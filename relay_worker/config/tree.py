"""A configuration file as a tree that knows where each piece stands. No YAML, no JSON, no types.

Scalars keep the text as written, so that `PORT: 8080` can become the text "8080" and `1.10` stays
`1.10`; what a text means is decided where its type is known (`decode`). Building a tree is
bounded: aliases are expanded, but only up to `NODES_MAX` pieces and `DEPTH_MAX` levels.
"""

from typing import Final, TypeAlias

import msgspec

from relay_worker.config.problems import Mark

NODES_MAX: Final = 100_000
"""Pieces in a file after expansion of its aliases; a "billion laughs" ends here."""
DEPTH_MAX: Final = 64
"""Levels of nesting; also what ends an alias that contains itself."""


class Scalar(msgspec.Struct, frozen=True):
    """A single value. `plain`: written without quotes, so it may stand for a number or a null."""

    text: str
    plain: bool
    mark: Mark


class Sequence(msgspec.Struct, frozen=True):
    """A list."""

    items: "tuple[Node, ...]"
    mark: Mark


class Entry(msgspec.Struct, frozen=True):
    """A key and its value; `mark` is the key's place."""

    key: str
    value: "Node"
    mark: Mark


class Mapping(msgspec.Struct, frozen=True):
    """A mapping in file order; a key may occur twice, which `decode` reports."""

    entries: tuple[Entry, ...]
    mark: Mark

    def get(self, key: str) -> Entry | None:
        """Return the first entry with *key*."""
        return next((entry for entry in self.entries if entry.key == key), None)


Node: TypeAlias = Scalar | Sequence | Mapping

_NULLS: Final = frozenset(("", "~", "null", "Null", "NULL"))


def is_null(node: Node) -> bool:
    """Return whether *node* says that there is nothing."""
    return isinstance(node, Scalar) and node.plain and node.text in _NULLS


class ParseError(Exception):
    """The text is no YAML or JSON, or more than the limits allow; nothing of it can be used."""

    def __init__(self, mark: Mark, found: str, advice: str = "", expected: str = "") -> None:
        super().__init__(found)
        self.mark = mark
        self.found = found
        self.advice = advice
        self.expected = expected


class Budget:
    """Counts the pieces of a tree while it is built."""

    def __init__(self) -> None:
        self._left = NODES_MAX

    def spend(self, mark: Mark, depth: int) -> None:
        """Pay for one piece at *depth* levels.

        Raises:
            ParseError: the file is larger or deeper than allowed.
        """
        self._left -= 1
        if self._left < 0:
            raise ParseError(
                mark,
                f"more than {NODES_MAX} values (aliases count as often as they are used)",
                "Use fewer aliases, or split the file.",
            )
        if depth > DEPTH_MAX:
            raise ParseError(
                mark,
                f"nesting deeper than {DEPTH_MAX} levels",
                "Look for a bracket that is not closed, or an alias that contains itself.",
            )


def find(node: Node, path: tuple[str | int, ...]) -> Mark:
    """Return the place of the value at *path* below *node*, or of the last piece that exists."""
    for piece in path:
        if isinstance(node, Mapping) and (entry := node.get(str(piece))):
            node = entry.value
        elif isinstance(node, Sequence) and isinstance(piece, int) and piece < len(node.items):
            node = node.items[piece]
        else:
            break
    return node.mark
