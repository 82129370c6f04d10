"""JSON text to a tree. YAML would do for most JSON, but not for tabs, long keys and surrogates.

Strict as the standard library's `json`, which reads the texts, and bounded as `tree` says.
"""

import json
import re
from typing import Final

from relay_worker.config.problems import Mark
from relay_worker.config.tree import Budget, Entry, Mapping, Node, ParseError, Scalar, Sequence

_BLANK: Final = re.compile(r"[ \t\n\r]*")
_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\.)*+"')
_PLAIN: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null")


def parse_json(text: str) -> Node:
    """Return the tree of a JSON text.

    Raises:
        ParseError: it is no JSON, or beyond the limits of `tree`.
    """
    return _Parser(text).document()


class _Parser:
    """Recursive descent; `Budget` bounds its depth. `at` is the next character's index."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._budget = Budget()
        self._line = 1
        self._line_start = 0
        self._counted = 0

    def document(self) -> Node:
        node = self._node(0)
        if self._peek():
            raise self._error("the end of the file", "Remove what follows.")
        return node

    def _node(self, depth: int) -> Node:
        sign = self._peek()
        mark = self._mark()
        self._budget.spend(mark, depth)
        if sign == "{":
            return Mapping(self._entries(depth), mark)
        if sign == "[":
            return Sequence(self._items(depth), mark)
        if sign == '"':
            return Scalar(self._string(), plain=False, mark=mark)
        if found := _PLAIN.match(self._text, self._at):
            self._at = found.end()
            return Scalar(found.group(), plain=True, mark=mark)
        raise self._error("a JSON value", "Put texts in double quotes; leave no comma at the end.")

    def _entries(self, depth: int) -> tuple[Entry, ...]:
        entries: list[Entry] = []
        while self._more("}", first=not entries):
            if self._peek() != '"':
                raise self._error("a key in double quotes", "Leave no comma at the end.")
            mark = self._mark()
            key = self._string()
            self._take(":")
            entries.append(Entry(key, self._node(depth + 1), mark))
        return tuple(entries)

    def _items(self, depth: int) -> tuple[Node, ...]:
        items: list[Node] = []
        while self._more("]", first=not items):
            items.append(self._node(depth + 1))
        return tuple(items)

    def _more(self, end: str, *, first: bool) -> bool:
        """Step over the opening sign or a comma, or over *end*; return whether a member follows."""
        if first:
            self._at += 1
        if self._peek() == end:
            self._at += 1
            return False
        if not first:
            self._take(",")
        return True

    def _string(self) -> str:
        token = _STRING.match(self._text, self._at)
        try:
            text = json.loads(token.group()) if token else None
        except json.JSONDecodeError:
            text = None
        if token is None or not isinstance(text, str):
            raise self._error(
                "a text in double quotes",
                "Close the quotes; write \\ as \\\\, a line break as \\n.",
            )
        self._at = token.end()
        return text

    def _take(self, sign: str) -> None:
        if self._peek() != sign:
            raise self._error(f"`{sign}`")
        self._at += 1

    def _peek(self) -> str:
        """Return the next sign that is not blank, empty at the end."""
        blank = _BLANK.match(self._text, self._at)
        self._at = blank.end() if blank else self._at
        return self._text[self._at : self._at + 1]

    def _mark(self) -> Mark:
        # Counted on from the last mark, so that all marks together cost one pass.
        lines = self._text.count("\n", self._counted, self._at)
        if lines:
            self._line += lines
            self._line_start = self._text.rfind("\n", self._counted, self._at) + 1
        self._counted = self._at
        return Mark(self._line, self._at - self._line_start + 1)

    def _error(self, expected: str, advice: str = "") -> ParseError:
        found = "something else"
        if self._at >= len(self._text):
            found, advice = "the end of the file", "Close what is open: quotes, brackets, braces."
        return ParseError(self._mark(), f"{found} (read as JSON)", advice, expected)
