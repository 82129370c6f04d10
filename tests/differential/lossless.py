"""JSON read and written without losing anything: numbers and strings stay as they were spelled.

Only what no reader can tell apart is lost: space between tokens, and how a key is spelled. It reads
what any JSON reader reads, lone surrogates included, and nothing else.
"""

import json
import re
from typing import TypeAlias, Union

Tree: TypeAlias = Union[dict[str, "Tree"], list["Tree"], str]  # noqa: UP007
"""An object by its decoded keys, an array, or the text of a string, number or literal."""

_TOKEN = re.compile(
    r"[ \t\r\n]*+(?:([{}\[\],:])|(\"(?:[^\"\\]|\\.)*+\")"
    r"|(-?(?:0|[1-9]\d*+)(?:\.\d++)?(?:[eE][+-]?\d++)?|true|false|null))"
)


def loads(text: str | bytes) -> Tree:
    """Read one JSON text; ValueError for anything else."""
    if isinstance(text, bytes):
        text = text.decode()
    tree, at = _value(text, 0)
    if text[at:].strip(" \t\r\n"):
        raise ValueError(f"more than one JSON text: {text[at : at + 80]!r}")
    return tree


def dumps(tree: Tree) -> str:
    """Write it with no space between tokens."""
    if isinstance(tree, dict):
        members = (f"{json.dumps(key)}:{dumps(value)}" for key, value in tree.items())
        return "{" + ",".join(members) + "}"
    if isinstance(tree, list):
        return "[" + ",".join(map(dumps, tree)) + "]"
    return tree


def members(text: str) -> dict[str, Tree]:
    """Read an object."""
    tree = loads(text)
    assert isinstance(tree, dict), f"no object: {text[:80]!r}"
    return tree


def member(tree: Tree | None, *keys: str) -> Tree | None:
    """What is found under these keys, one in the other; None where there is nothing."""
    for key in keys:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(key)
    return tree


def _next(text: str, at: int) -> tuple[str, int]:
    found = _TOKEN.match(text, at)
    if found is None:
        raise ValueError(f"no JSON at {at}: {text[at : at + 80]!r}")
    return found[1] or found[2] or found[3], found.end()


def _value(text: str, at: int) -> tuple[Tree, int]:
    token, at = _next(text, at)
    if token == "{":
        return _object(text, at)
    if token == "[":
        return _array(text, at)
    if token in "}],:":
        raise ValueError(f"a value is missing before {at}")
    return token, at


def _object(text: str, at: int) -> tuple[Tree, int]:
    found: dict[str, Tree] = {}
    token, at = _next(text, at)
    while token != "}":
        key = json.loads(token)
        if not isinstance(key, str) or key in found:
            raise ValueError(f"no key, or one that is there already: {token}")
        token, at = _next(text, at)
        if token != ":":
            raise ValueError(f"no colon before {at}")
        found[key], at = _value(text, at)
        token, at = _next(text, at)
        if token == ",":
            token, at = _next(text, at)
            if token == "}":
                raise ValueError(f"a comma too many before {at}")
        elif token != "}":
            raise ValueError(f"no comma before {at}")
    return found, at


def _array(text: str, at: int) -> tuple[Tree, int]:
    found: list[Tree] = []
    if _next(text, at)[0] == "]":
        return found, _next(text, at)[1]
    while True:
        value, at = _value(text, at)
        found.append(value)
        token, at = _next(text, at)
        if token == "]":
            return found, at
        if token != ",":
            raise ValueError(f"no comma before {at}")
