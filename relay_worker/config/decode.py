"""A tree to the Structs of `model`, by their declared types, with every problem reported.

Generic: it knows no key of the configuration. Texts are taken as written, whatever YAML thinks of
them; numbers and truth values are read only where a field wants them.
"""

import difflib
import functools
import math
import re
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from msgspec import inspect

from relay_worker.config import words
from relay_worker.config.problems import KeyPath, Report
from relay_worker.config.tree import Entry, Mapping, Node, Scalar, Sequence, is_null

INVALID: Final = object()
"""In place of a value that was reported and cannot be used."""

TRUTH: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_INT: Final = re.compile(r"[-+]?[0-9]{1,4000}")
_FLOAT: Final = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_BROKEN_TEXT: Final = re.compile("[\0\ud800-\udfff]")
_SIMILARITY_MIN: Final = 0.75
"""From here on, as difflib counts, one key is taken for a slip of the pen for another."""

_ANY_TEXT: Final = inspect.StrType()
_ANY_DICT: Final = inspect.DictType(inspect.StrType(), inspect.AnyType())

_KNOWN_SHOWN_MAX: Final = 8
"""More known keys than this are not listed in a message."""

type_info = functools.cache(inspect.type_info)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the one of *known* that *word* is probably meant to be."""
    folded = {_folded(name): name for name in known}
    close = difflib.get_close_matches(_folded(word)[:100], folded, 1, _SIMILARITY_MIN)
    return folded[close[0]] if close else None


def _folded(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())


class Decoder:
    """Decodes nodes and reports what does not fit. Every `_…` method gets node, type and path."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._readers: dict[type[inspect.Type], Callable[[Node, Any, KeyPath], object]] = {
            inspect.Metadata: lambda node, kind, path: self.decode(node, kind.type, path),
            inspect.UnionType: lambda node, kind, path: self.decode(node, words.some(kind), path),
            inspect.StructType: self._struct,
            inspect.DictType: self._dict,
            inspect.VarTupleType: self._tuple,
            inspect.StrType: self._text,
            inspect.IntType: self._number,
            inspect.FloatType: self._number,
            inspect.BoolType: self._truth,
            inspect.LiteralType: self._choice,
            inspect.AnyType: lambda node, _kind, path: self._any(node, path),
        }

    def decode(self, node: Node, kind: inspect.Type, path: KeyPath) -> Any:
        """Return the value of *node* as *kind* wants it, or `INVALID`."""
        return self._readers[type(kind)](node, kind, path)

    def fields(self, node: Node, cls: type, path: KeyPath) -> dict[str, Any] | None:
        """Return the fields of *cls* that *node* sets, the invalid ones as `INVALID`; unknown keys
        are reported and kept as `INVALID` too. None where *node* is no mapping.
        """
        kind = type_info(cls)
        assert isinstance(kind, inspect.StructType)
        entries = self.entries(node, path, kind)
        if entries is None:
            return None
        known = {field.encode_name: field for field in kind.fields}
        values: dict[str, Any] = {}
        for key, entry in entries.items():
            field = known.get(key)
            if entry is None:
                values[key] = INVALID
            elif field is None:
                self.unknown(entry, path, known)
                values[key] = INVALID
            elif field.required or not is_null(entry.value):
                values[key] = self.decode(entry.value, field.type, (*path, key))
        for name, field in known.items():
            if field.required and name not in entries:
                self._report.error(
                    node.mark, path, expected=f"the key {name}", advice=f"Add {name}."
                )
                values[name] = INVALID
        return values

    def entries(
        self, node: Node, path: KeyPath, kind: inspect.Type
    ) -> dict[str, Entry | None] | None:
        """Return a mapping's entries, None for a key that occurs twice (which is reported); None
        altogether where *node* is no mapping (reported as not being *kind*).
        """
        if not isinstance(node, Mapping):
            self._unfit(node, kind, path)
            return None
        unique: dict[str, Entry | None] = {}
        first: dict[str, int] = {}
        for entry in node.entries:
            if entry.key in first:
                self._report.error(
                    entry.mark,
                    (*path, entry.key),
                    found=f"the key again (first in line {first[entry.key]})",
                    advice="Remove one of the two.",
                )
                unique[entry.key] = None
            else:
                first[entry.key] = entry.mark.line
                unique[entry.key] = entry
        return unique

    def unknown(self, entry: Entry, path: KeyPath, known: Collection[str]) -> None:
        """Report a key as unknown below *path*, with what it may be meant to be."""
        if guess := nearest(entry.key, known):
            advice = f"Did you mean {guess}?"
        elif len(known) <= _KNOWN_SHOWN_MAX:
            advice = f"Known are {words.listing(known, 'and')}."
        else:
            advice = "docs/configuration.md has the known ones."
        self._report.error(entry.mark, (*path, entry.key), found="an unknown key", advice=advice)

    def _struct(self, node: Node, kind: inspect.StructType, path: KeyPath) -> object:
        values = self.fields(node, kind.cls, path)
        if values is None or INVALID in values.values():
            return INVALID
        return kind.cls(**values)

    def _dict(self, node: Node, kind: inspect.DictType, path: KeyPath) -> object:
        entries = self.entries(node, path, kind)
        if entries is None:
            return INVALID
        values: dict[str, object] = {}
        for key, entry in entries.items():
            if _BROKEN_TEXT.search(key):
                self._report.error(
                    node.mark, (*path, key), expected=words.TEXT, found=words.BROKEN_TEXT
                )
                values[key] = INVALID
            elif entry is None:
                values[key] = INVALID
            else:
                values[key] = self.decode(entry.value, kind.value_type, (*path, key))
        return INVALID if INVALID in values.values() else values

    def _tuple(self, node: Node, kind: inspect.VarTupleType, path: KeyPath) -> object:
        if not isinstance(node, Sequence) or len(node.items) < (kind.min_length or 0):
            return self._unfit(node, kind, path)
        values = [
            self.decode(item, kind.item_type, (*path, index))
            for index, item in enumerate(node.items)
        ]
        return INVALID if INVALID in values else tuple(values)

    def _text(self, node: Node, kind: inspect.StrType, path: KeyPath) -> object:
        if not isinstance(node, Scalar) or is_null(node):
            return self._unfit(node, kind, path)
        if _BROKEN_TEXT.search(node.text):
            self._report.error(node.mark, path, expected=words.TEXT, found=words.BROKEN_TEXT)
            return INVALID
        if len(node.text) < (kind.min_length or 0):
            return self._unfit(node, kind, path)
        if kind.pattern is not None and not re.fullmatch(kind.pattern, node.text):
            return self._unfit(node, kind, path)
        return node.text

    def _number(
        self, node: Node, kind: inspect.IntType | inspect.FloatType, path: KeyPath
    ) -> object:
        value: float | None = None
        if isinstance(node, Scalar) and node.plain:
            if _INT.fullmatch(node.text):
                value = int(node.text)
            elif isinstance(kind, inspect.FloatType) and _FLOAT.fullmatch(node.text):
                value = float(node.text)
        if value is None or (kind.ge is not None and value < kind.ge):
            return self._unfit(node, kind, path)
        if kind.le is not None and value > kind.le:
            return self._unfit(node, kind, path)
        return float(value) if isinstance(kind, inspect.FloatType) else value

    def _truth(self, node: Node, kind: inspect.BoolType, path: KeyPath) -> object:
        if isinstance(node, Scalar) and node.plain and node.text.lower() in TRUTH:
            return TRUTH[node.text.lower()]
        return self._unfit(node, kind, path)

    def _choice(self, node: Node, kind: inspect.LiteralType, path: KeyPath) -> object:
        if isinstance(node, Scalar) and node.text in kind.values:
            return node.text
        return self._unfit(node, kind, path)

    def _any(self, node: Node, path: KeyPath) -> object:
        """Return what JSON would make of *node* (YAML 1.2: `no` and `12:30` are texts)."""
        if isinstance(node, Sequence):
            return self._tuple_of_any(node, path)
        if isinstance(node, Mapping):
            return self._dict(node, _ANY_DICT, path)
        if not node.plain:
            return self._text(node, _ANY_TEXT, path)
        if is_null(node):
            return None
        if node.text in ("true", "false"):
            return node.text == "true"
        if _INT.fullmatch(node.text):
            return int(node.text)
        if _FLOAT.fullmatch(node.text) and math.isfinite(float(node.text)):
            return float(node.text)
        return self._text(node, _ANY_TEXT, path)

    def _tuple_of_any(self, node: Sequence, path: KeyPath) -> object:
        values = [self._any(item, (*path, index)) for index, item in enumerate(node.items)]
        return INVALID if INVALID in values else values

    def _unfit(self, node: Node, kind: inspect.Type, path: KeyPath) -> object:
        """Report that *node* is not what *kind* wants."""
        self._report.error(
            node.mark,
            path,
            expected=words.expected(kind),
            found=words.found(node, kind),
            advice=words.advice(node, kind),
        )
        return INVALID
