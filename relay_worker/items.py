"""What a list item must be like for every client to read the list it is in.

One broken item makes Claude Code, and SDK clients, discard a backend's whole list; behind a relay
that would be the list of all backends. The tables below say what they check, seen with Claude Code
2.1.330 and in the official SDKs' schemas. An item is judged here, never altered.
"""

import re
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

NAME_CHARS_MAX: Final = 1024
URI_CHARS_MAX: Final = 16_384
ITEM_DEPTH_MAX: Final = 128
"""Nesting of one item; Python clients read no JSON nested more than 200 deep, lists included."""

# Absent is well, null is not: hence defaults of the type itself, and no `| None`.
_Object: TypeAlias = dict[str, msgspec.Raw]
_Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)]
_Uri: TypeAlias = Annotated[str, Meta(min_length=1, max_length=URI_CHARS_MAX)]
_Date: TypeAlias = Annotated[
    str,
    Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}(:?\d{2})?)$"),
]


class _Icon(msgspec.Struct, frozen=True):
    src: str
    mimeType: str = ""
    sizes: list[str] = []
    theme: Literal["light", "dark"] = "light"


class _Annotations(msgspec.Struct, frozen=True):
    audience: list[Literal["user", "assistant"]] = []
    priority: Annotated[float, Meta(ge=0, le=1)] = 0.0
    lastModified: _Date = ""


class _ToolAnnotations(msgspec.Struct, frozen=True):
    title: str = ""
    readOnlyHint: bool = False
    destructiveHint: bool = False
    idempotentHint: bool = False
    openWorldHint: bool = False


class _InputSchema(msgspec.Struct, frozen=True, rename={"schema": "$schema"}):
    type: Literal["object"]
    schema: str = ""
    properties: dict[str, _Object | bool] = {}
    required: list[str] = []


class _Execution(msgspec.Struct, frozen=True):
    taskSupport: Literal["forbidden", "optional", "required"] = "forbidden"


class _Argument(msgspec.Struct, frozen=True):
    name: str
    title: str = ""
    description: str = ""
    required: bool = False


class _Item(msgspec.Struct, frozen=True, kw_only=True, rename={"meta": "_meta"}):
    """What all kinds have. A name is a key for tools and prompts only."""

    name: str
    title: str = ""
    description: str = ""
    icons: list[_Icon] = []
    meta: _Object = {}


class _Tool(_Item, frozen=True, kw_only=True):
    name: _Name
    inputSchema: _InputSchema
    # 2026-07-28 allows any root type here, and Claude Code takes it from older servers as well.
    outputSchema: _Object = {}
    annotations: _ToolAnnotations = _ToolAnnotations()
    execution: _Execution = _Execution()


class _Prompt(_Item, frozen=True, kw_only=True):
    name: _Name
    arguments: list[_Argument] = []


class _Resource(_Item, frozen=True, kw_only=True):
    uri: _Uri
    mimeType: str = ""
    size: int | float = 0
    annotations: _Annotations = _Annotations()


class _Template(_Item, frozen=True, kw_only=True):
    uriTemplate: _Uri
    mimeType: str = ""
    annotations: _Annotations = _Annotations()


Kind: TypeAlias = Literal["tools", "prompts", "resources", "templates"]

_TABLE: Final[dict[Kind, tuple[msgspec.json.Decoder[_Item], str]]] = {
    "tools": (msgspec.json.Decoder(_Tool), "name"),
    "prompts": (msgspec.json.Decoder(_Prompt), "name"),
    "resources": (msgspec.json.Decoder(_Resource), "uri"),
    "templates": (msgspec.json.Decoder(_Template), "uriTemplate"),
}
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[{]|[\]}]', re.DOTALL)
_BRACKETS: Final[dict[int, int]] = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


class Unfit(Exception):
    """An item cannot be shown. `name` is what it calls itself, as far as that can be read."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name
        self.reason = reason


def key_of(kind: Kind, item: bytes) -> str:
    """Return the name, URI or URI template of a list item.

    Raises:
        Unfit: a client could trip over it.
    """
    decoder, key = _TABLE[kind]
    try:
        item.decode()
        found: str = getattr(decoder.decode(item), key)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unfit(_any_name(item), str(error)) from None
    if _depth(item) > ITEM_DEPTH_MAX:
        raise Unfit(found, f"nested more than {ITEM_DEPTH_MAX} deep")
    return found


class _Hinted(msgspec.Struct, frozen=True):
    annotations: _ToolAnnotations = _ToolAnnotations()


_hinted = msgspec.json.Decoder(_Hinted)


def is_repeatable(tool: bytes) -> bool:
    """Return whether a tool, by its own hints, may be called again without doing more than once:
    it changes nothing, or the same again. *tool* has passed `key_of`.
    """
    hints = _hinted.decode(tool).annotations
    return hints.readOnlyHint or hints.idempotentHint


class _Loose(msgspec.Struct, frozen=True):
    """Whatever an item may be known by."""

    name: msgspec.Raw = msgspec.Raw(b"")
    uri: msgspec.Raw = msgspec.Raw(b"")
    uriTemplate: msgspec.Raw = msgspec.Raw(b"")


_loose = msgspec.json.Decoder(_Loose)


def _any_name(item: bytes) -> str:
    try:
        found = _loose.decode(item)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    text = bytes(found.name or found.uri or found.uriTemplate).decode("utf-8", "replace")
    return text.strip('"')[:NAME_CHARS_MAX]


def _depth(item: bytes) -> int:
    """Return how deep *item*, which is valid JSON, is nested; only counted where it may be deep."""
    if item.count(b"[") + item.count(b"{") <= ITEM_DEPTH_MAX:
        return 0
    depth = deepest = 0
    for token in _TOKEN.finditer(item):
        depth += _BRACKETS.get(item[token.start()], 0)
        deepest = max(deepest, depth)
    return deepest
