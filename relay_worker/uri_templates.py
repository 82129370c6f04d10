"""Which URIs a resource template (RFC 6570) can stand for: enough to route by.

Values are not taken out of a URI, and what they may be is the backend's business; it refuses what
does not suit it. Templates are a backend's and URIs are the client's, so neither may cost more
than a bounded time: a match is one pass over the URI for each expression, never a search.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

EXPRESSIONS_MAX: Final = 32
"""Expressions in one template; one with more is not shown."""

URI_CHARS_MAX: Final = 4096
"""Longer URIs match no template; they can still be those of a resource that is listed."""

_EXPRESSION: Final = re.compile(r"\{([^{}]*)\}")


class Expression(msgspec.Struct, frozen=True):
    """What the expansion of an expression looks like: nothing, or `opens` and then any characters
    but those of `stops`.
    """

    opens: str
    stops: str

    def ends(self, uri: str, starts: Iterator[int]) -> Iterator[tuple[int, int]]:
        """Yield where it can end, as ranges (both ends included), for the places where it can
        start. *starts* ascend, and so do the ranges, which do not overlap.
        """
        done = -1
        for start in starts:
            if start > done:  # else it ends where the one before did
                done = self._end(uri, start) if uri.startswith(self.opens, start) else start
                yield start, done

    def _end(self, uri: str, start: int) -> int:
        found = (uri.find(stop, start) for stop in self.stops)
        return min((at for at in found if at >= 0), default=len(uri))


_OPERATORS: Final = {
    "+": Expression("", ""),
    "#": Expression("#", ""),
    ".": Expression(".", "/?#"),
    "/": Expression("/", "?#"),
    ";": Expression(";", "/?#"),
    "?": Expression("?", "#"),
    "&": Expression("&", "#"),
}
_SIMPLE: Final = Expression("", "/?#")


class Template(msgspec.Struct, frozen=True):
    """A template taken apart. `literals` surround the expressions, one more than there are."""

    literals: tuple[str, ...]
    expressions: tuple[Expression, ...]

    @property
    def literal_chars(self) -> int:
        """Return how much of a matching URI is given by the template itself."""
        return sum(len(literal) for literal in self.literals)

    @property
    def generality(self) -> tuple[int, int]:
        """Return the key that sorts the most specific template first: most literal characters,
        then fewest expressions.
        """
        return -self.literal_chars, len(self.expressions)

    def matches(self, uri: str) -> bool:
        """Return whether *uri* can be an expansion of this template."""
        first, last = self.literals[0], self.literals[-1]
        if not self.expressions:
            return uri == first
        end = len(uri) - len(last)
        if not len(first) <= end or len(uri) > URI_CHARS_MAX:
            return False
        if not uri.startswith(first) or not uri.endswith(last):
            return False
        starts = iter((len(first),))
        for expression, literal in zip(self.expressions, self.literals[1:-1], strict=False):
            starts = _after(uri, literal, expression.ends(uri, starts))
        return any(low <= end <= high for low, high in self.expressions[-1].ends(uri, starts))


def parse(text: str) -> Template | None:
    """Return the template written as *text*, or None where its braces do not pair, or there are
    more than `EXPRESSIONS_MAX`.
    """
    literals: list[str] = []
    expressions: list[Expression] = []
    at = 0
    for found in _EXPRESSION.finditer(text):
        literals.append(text[at : found.start()])
        expressions.append(_OPERATORS.get(found[1][:1], _SIMPLE))
        at = found.end()
    literals.append(text[at:])
    paired = not any("{" in literal or "}" in literal for literal in literals)
    if not paired or len(expressions) > EXPRESSIONS_MAX:
        return None
    return Template(tuple(literals), tuple(expressions))


def _after(uri: str, literal: str, ranges: Iterator[tuple[int, int]]) -> Iterator[int]:
    """Yield the places behind each *literal* that begins within the *ranges*, ascending."""
    for low, high in ranges:
        at = uri.find(literal, low, high + len(literal))
        while at >= 0:
            yield at + len(literal)
            at = uri.find(literal, at + 1, high + len(literal))
