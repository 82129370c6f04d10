"""Which URIs a resource template (RFC 6570, up to level 3) can stand for: enough to route by.

Only the literal parts are compared, so a match takes one pass over the URI. What the values of a
template's expressions may be is the backend's business; it refuses what does not suit it.
"""

import re
from typing import Final

import msgspec

_EXPRESSION: Final = re.compile(r"\{([^{}]*)\}")
_CROSSING: Final = tuple("+#./;?&")
"""Operators whose expansion may contain a slash, or is an optional tail of the URI."""


class Template(msgspec.Struct, frozen=True):
    """A template taken apart. `literals` surround the expressions, one more than there are;
    `crosses` says of each expression whether a slash may be in it.
    """

    literals: tuple[str, ...]
    crosses: tuple[bool, ...]

    @property
    def literal_chars(self) -> int:
        """Return how much of a matching URI is given by the template itself."""
        return sum(len(literal) for literal in self.literals)

    def matches(self, uri: str) -> bool:
        """Return whether *uri* can be an expansion of this template."""
        first, last = self.literals[0], self.literals[-1]
        if not self.crosses:
            return uri == first
        at, end = len(first), len(uri) - len(last)
        if end < at or not uri.startswith(first) or not uri.endswith(last):
            return False
        for literal, crosses in zip(self.literals[1:-1], self.crosses, strict=False):
            found = uri.find(literal, at, end)
            if found < 0 or ("/" in uri[at:found] and not crosses):
                return False
            at = found + len(literal)
        return self.crosses[-1] or "/" not in uri[at:end]


def parse(text: str) -> Template | None:
    """Return the template written as *text*, or None where its braces do not pair."""
    literals: list[str] = []
    crosses: list[bool] = []
    at = 0
    for expression in _EXPRESSION.finditer(text):
        literals.append(text[at : expression.start()])
        crosses.append(expression[1].startswith(_CROSSING))
        at = expression.end()
    literals.append(text[at:])
    if any("{" in literal or "}" in literal for literal in literals):
        return None
    return Template(tuple(literals), tuple(crosses))
