"""YAML text to a tree, from the parser's events: nothing is constructed, so nothing can be run.

The events come one by one and the budget is checked at each, so hostile input ends early. Error
messages never quote the text, which may hold secrets.
"""

import re
from typing import Any, Final

import yaml
from yaml import events

from relay_worker.config.problems import Mark
from relay_worker.config.tree import Budget, Entry, Mapping, Node, ParseError, Scalar, Sequence

# libyaml's parser where it is built in: twenty times as fast. Both are tested.
LOADERS: Final[tuple[Any, ...]] = tuple(
    loader for loader in (getattr(yaml, "CSafeLoader", None), yaml.SafeLoader) if loader is not None
)

_TAGS: Final = ("!", "tag:yaml.org,2002:str")
_MERGE: Final = "<<"

# What YAML allows in a stream; libyaml and PyYAML's own reader report the rest differently.
_FORBIDDEN: Final = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)

# Part of the parser's message -> what it means, what to do. The first that fits counts; the two
# parsers word some of them differently.
_FAULTS: Final = (
    ("a tab character", "a tab in the indentation", "Indent with spaces, not tabs."),
    (
        "cannot start any token",
        "a character that cannot stand here",
        "Indent with spaces, not tabs; quote a value starting with @, ` or %.",
    ),
    (
        "mapping values are not allowed",
        "a `: ` that cannot stand here",
        "Check the indentation; quote a value that contains `: `.",
    ),
    (
        "could not find expected ':'",
        "no `: ` after what looks like a key",
        "Write `key: value`, with a blank after the colon.",
    ),
    (
        "unknown escape character",
        "an unknown escape",
        "Use single quotes where a text contains a backslash.",
    ),
    ("unexpected end of stream", "quotes that are not closed", "Close the quotes."),
    (
        "expected ',' or",
        "a bracket or brace that is not closed",
        "Close it, or put a comma before this.",
    ),
    ("tag", "a broken tag", "Quote a value that starts with !."),
    ("anchor", "a broken anchor", "Quote a value that starts with &."),
    ("alias", "a broken alias", "Quote a value that starts with *."),
    ("directive", "a broken directive", "Quote a value that starts with %."),
)
_ADVICE_ELSE: Final = "Check indentation, brackets and quotes here and in the line above."


def parse_yaml(text: str, loader: Any = LOADERS[0]) -> Node | None:
    """Return the tree of a YAML text, None where it holds no value.

    Raises:
        ParseError: it is no YAML, has several documents, or is beyond the limits of `tree`.
    """
    if bad := _FORBIDDEN.search(text):
        before = text[: bad.start()]
        mark = Mark(before.count("\n") + 1, bad.start() - before.rfind("\n"))
        raise ParseError(
            mark,
            f"the character U+{ord(bad.group()):04X}",
            "Remove it, or write it as an escape in double quotes.",
        )
    try:
        parser = loader(text)
        try:
            return _Builder(parser).document()
        finally:
            parser.dispose()
    except yaml.YAMLError as error:
        raise _parse_error(error) from None


class _Builder:
    """Recursive descent over the events; `Budget` bounds its depth."""

    def __init__(self, parser: Any) -> None:
        self._parser = parser
        self._budget = Budget()
        self._anchors: dict[str, Node | None] = {}

    def document(self) -> Node | None:
        """Return the one document's value."""
        node = None
        seen = 0
        while not isinstance(event := self._parser.get_event(), events.StreamEndEvent):
            if isinstance(event, events.DocumentStartEvent):
                seen += 1
                if seen > 1:
                    raise ParseError(
                        _mark(event), "a second document", "Remove the line `---`; one is allowed."
                    )
                node = self._node(self._parser.get_event(), 0)
        return node

    def _node(self, event: Any, depth: int) -> Node:
        mark = _mark(event)
        self._budget.spend(mark, depth)
        if isinstance(event, events.AliasEvent):
            return self._alias(str(event.anchor), mark, depth)
        if event.tag is not None and event.tag not in _TAGS:
            raise ParseError(
                mark, "a tag", "Tags are not supported. Quote a value starting with !."
            )
        if event.anchor is not None:
            self._anchors[event.anchor] = None  # until it is complete
        node = self._untagged(event, mark, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _untagged(self, event: Any, mark: Mark, depth: int) -> Node:
        if isinstance(event, events.ScalarEvent):
            # A tag (`!!str`, `!`) makes text of a plain scalar, as quotes do.
            # Plain is the style None in PyYAML's parser, "" in libyaml's.
            return Scalar(event.value, not event.style and event.tag is None, mark)
        if isinstance(event, events.SequenceStartEvent):
            items = []
            while not isinstance(event := self._parser.get_event(), events.SequenceEndEvent):
                items.append(self._node(event, depth + 1))
            return Sequence(tuple(items), mark)
        entries: list[Entry] = []
        merged: list[Entry] = []
        while not isinstance(event := self._parser.get_event(), events.MappingEndEvent):
            key = self._node(event, depth + 1)
            value = self._node(self._parser.get_event(), depth + 1)
            if not isinstance(key, Scalar):
                raise ParseError(
                    key.mark, "a list or mapping as a key", "Quote a key starting with [ or {."
                )
            if key.plain and key.text == _MERGE:
                merged += self._merge(value)
            else:
                entries.append(Entry(key.text, value, key.mark))
        own = {entry.key for entry in entries}
        inherited = (entry for entry in merged if entry.key not in own)
        return Mapping((*entries, *inherited), mark)

    def _merge(self, value: Node) -> list[Entry]:
        """Return the entries that `<<: value` brings; earlier ones win, as YAML has it."""
        found: dict[str, Entry] = {}
        for source in value.items if isinstance(value, Sequence) else (value,):
            if not isinstance(source, Mapping):
                raise ParseError(
                    source.mark, "`<<` with something other than a mapping", "Use `<<: *anchor`."
                )
            for entry in source.entries:
                found.setdefault(entry.key, entry)
        return list(found.values())

    def _alias(self, anchor: str, mark: Mark, depth: int) -> Node:
        # The name is not shown: a password that starts with * looks just like an alias.
        if anchor not in self._anchors:
            raise ParseError(
                mark, "an alias without an anchor before it", "Quote a value that starts with *."
            )
        node = self._anchors[anchor]
        if node is None:
            raise ParseError(mark, "an alias inside its own anchor", "Remove it.")
        self._spend_again(node, mark, depth)
        return node

    def _spend_again(self, node: Node, mark: Mark, depth: int) -> None:
        """Pay for all of an aliased node once more, at the depth where it now stands."""
        waiting = [(node, depth)]
        while waiting:
            current, depth = waiting.pop()
            self._budget.spend(mark, depth)
            if isinstance(current, Sequence):
                waiting += [(item, depth + 1) for item in current.items]
            elif isinstance(current, Mapping):
                waiting += [(entry.value, depth + 1) for entry in current.entries]


def _mark(event: Any) -> Mark:
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)


def _parse_error(error: yaml.YAMLError) -> ParseError:
    if not isinstance(error, yaml.MarkedYAMLError):
        return ParseError(Mark(1, 1), "something that is no YAML", _ADVICE_ELSE)
    problem, context = error.problem or "", error.context or ""
    said = _unquoted(": ".join(part for part in (context, problem) if part))
    found, advice = f"a YAML syntax error ({said})", _ADVICE_ELSE
    for part, meaning, remedy in _FAULTS:
        if part in problem or part in context:
            found, advice = meaning, remedy
            break
    where = error.problem_mark or error.context_mark
    if where is None:
        return ParseError(Mark(1, 1), found, advice)
    if error.context_mark and error.context_mark.line != where.line:
        found += f", begun in line {error.context_mark.line + 1}"
    return ParseError(Mark(where.line + 1, where.column + 1), found, advice)


def _unquoted(message: str) -> str:
    """Return the parser's *message* without what it quotes from the text, but for single signs."""
    return re.sub(
        r"(['\"])((?:(?!\1).)*)\1",
        lambda quoted: quoted.group() if len(quoted.group(2)) == 1 else "…",
        message,
    )
