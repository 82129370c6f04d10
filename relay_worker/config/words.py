"""Types and values of a configuration in words, for messages.

A value is shown only where it should have been a number, a truth value or one of a few words:
any other text may be a secret.
"""

import re
from collections.abc import Iterable
from typing import Final

from msgspec import inspect

from relay_worker.config.problems import shown_key
from relay_worker.config.tree import Mapping, Node, Scalar, Sequence, is_null

TEXT: Final = "a text"
BROKEN_TEXT: Final = "one with a NUL or half a surrogate pair"

_NUMBER_OR_WORD: Final = re.compile(r"[A-Za-z0-9_.+-]{1,40}")
_SHOWN: Final = (inspect.IntType, inspect.FloatType, inspect.BoolType, inspect.LiteralType)


def some(kind: inspect.UnionType) -> inspect.Type:
    """Return the type beside None."""
    (other,) = (inner for inner in kind.types if not isinstance(inner, inspect.NoneType))
    return other


def listing(names: Iterable[str], last: str) -> str:
    """Return the names as `a, b <last> c`."""
    *most, final = names
    return f"{', '.join(most)} {last} {final}" if most else final


def expected(kind: inspect.Type) -> str:
    """Return what *kind* is."""
    match kind:
        case inspect.IntType():
            return f"a whole number from {kind.ge} to {kind.le}"
        case inspect.FloatType():
            return f"a number from {kind.ge} to {kind.le}"
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType():
            return listing(map(str, kind.values), "or")
        case inspect.VarTupleType():
            return "a list that is not empty" if kind.min_length else "a list"
        case inspect.StrType():
            if kind.pattern:
                return f"a text matching {kind.pattern}"
            return "a text that is not empty" if kind.min_length else TEXT
    return "a mapping"


def found(node: Node, kind: inspect.Type) -> str:
    """Return what *node* is where *kind* is wanted."""
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list" if node.items else "an empty list"
    if is_null(node):
        return "nothing"
    if not node.text:
        return "an empty text"
    if isinstance(kind, _SHOWN) or (isinstance(kind, inspect.StrType) and kind.pattern):
        if node.plain and _NUMBER_OR_WORD.fullmatch(node.text):
            return node.text
        return f"the text {shown_key(node.text)}"
    return TEXT


def advice(node: Node, kind: inspect.Type) -> str:
    """Return what to do about *node* where *kind* is wanted."""
    match kind:
        case inspect.VarTupleType():
            return "Write [one, two], or one line with a dash for each."
        case inspect.DictType() | inspect.StructType():
            return "Write key: value, one a line and indented."
        case inspect.StrType() if is_null(node):
            return 'Write "" for an empty text.'
        case inspect.IntType() | inspect.FloatType() | inspect.BoolType() if (
            isinstance(node, Scalar) and not node.plain
        ):
            return "Write it without quotes."
    return ""
