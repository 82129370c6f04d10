"""A configuration's bytes to a tree: the encoding, and whether it is YAML or JSON. No files."""

import re
from typing import Final

from relay_worker.config.json_tree import parse_json
from relay_worker.config.problems import Mark
from relay_worker.config.tree import Mapping, Node, ParseError, Sequence, is_null
from relay_worker.config.yaml_tree import parse_yaml

CONFIG_BYTES_MAX: Final = 1 << 20
"""A larger file is refused; real ones have a few kilobytes."""

_JSON_START: Final = re.compile(r"\s*\{\s*[\"/]")
"""Begins as only JSON, or JSON with comments, is written by people."""


def parse(raw: bytes) -> Mapping | None:
    """Return the tree of a configuration in YAML or JSON, None where it holds nothing.

    Raises:
        ParseError: nothing of it can be used.
    """
    node = _tree(_text(raw))
    if node is None or is_null(node):
        return None
    if not isinstance(node, Mapping):
        found = "a list" if isinstance(node, Sequence) else "a text"
        raise ParseError(node.mark, found, "Begin with backends: and indent the rest.", "a mapping")
    return node


def _text(raw: bytes) -> str:
    if len(raw) > CONFIG_BYTES_MAX:
        raise ParseError(
            Mark(), f"more than {CONFIG_BYTES_MAX} bytes", "Is this a configuration? Split it."
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        raise ParseError(
            Mark(line, column), f"the byte 0x{raw[error.start]:02x}", "Save it as UTF-8.", "UTF-8"
        ) from None


def _tree(text: str) -> Node | None:
    if not text.lstrip().startswith("{"):
        return parse_yaml(text)
    try:
        return parse_json(text)
    except ParseError as json_error:
        try:
            return parse_yaml(text)  # a YAML flow mapping, or JSON with comments in YAML's style
        except ParseError as yaml_error:
            raise (json_error if _JSON_START.match(text) else yaml_error) from None
