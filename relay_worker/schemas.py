"""What a tool's inputSchema must be like for the APIs of models to take it.

Clients give all tools to the model in each request. Where the API refuses one schema it refuses the
request, so a single tool of a single backend ends the session: Claude Code before it took care of
that (2.1.330 does), and other clients of the same API to this day. Protocol and clients are free to
have such schemas, so it is the operator who decides what follows. A schema is never altered here.

The shapes are those of JSON Schema 2020-12; what Claude Code 2.1.330 leaves out was seen to be just
what does not have them. What a `$ref` leads to nobody looks at, the API included.
"""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

PROPERTY_PATTERN: Final = r"^[a-zA-Z0-9_.-]{1,64}\Z"
"""What the properties of the arguments may be called; those inside of them, anything."""

_Type: TypeAlias = Literal["array", "boolean", "integer", "null", "number", "object", "string"]
_Count: TypeAlias = Annotated[float, Meta(ge=0, multiple_of=1)]
_Types: TypeAlias = Annotated[list[_Type], Meta(min_length=1)]
_Some: TypeAlias = Annotated[list["_Shape | bool"], Meta(min_length=1)]
_Property: TypeAlias = Annotated[str, Meta(pattern=PROPERTY_PATTERN)]

_KEYWORDS: Final = {
    "ref": "$ref",
    "comment": "$comment",
    "defs": "$defs",
    "otherwise": "else",
    "negated": "not",
    "condition": "if",
}


# Absent is well, null is not: hence defaults of the type itself, and no `| None`.
class _Shape(msgspec.Struct, frozen=True, rename=_KEYWORDS):
    type: _Type | _Types = []
    properties: "dict[str, _Shape | bool]" = {}
    patternProperties: "dict[str, _Shape | bool]" = {}
    additionalProperties: "_Shape | bool" = True
    propertyNames: "_Shape | bool" = True
    required: list[str] = []
    items: "_Shape | bool" = True
    prefixItems: _Some = []
    contains: "_Shape | bool" = True
    anyOf: _Some = []
    oneOf: _Some = []
    allOf: _Some = []
    negated: "_Shape | bool" = True
    condition: "_Shape | bool" = True
    then: "_Shape | bool" = True
    otherwise: "_Shape | bool" = True
    defs: "dict[str, _Shape | bool]" = {}
    definitions: "dict[str, _Shape | bool]" = {}
    dependentSchemas: "dict[str, _Shape | bool]" = {}
    dependentRequired: dict[str, list[str]] = {}
    unevaluatedItems: "_Shape | bool" = True
    unevaluatedProperties: "_Shape | bool" = True
    ref: str = ""
    enum: list[msgspec.Raw] = []
    pattern: str = ""
    format: str = ""
    title: str = ""
    description: str = ""
    comment: str = ""
    deprecated: bool = False
    readOnly: bool = False
    writeOnly: bool = False
    minimum: float = 0.0
    maximum: float = 0.0
    exclusiveMinimum: float = 0.0
    exclusiveMaximum: float = 0.0
    multipleOf: Annotated[float, Meta(gt=0)] = 1.0
    minLength: _Count = 0.0
    maxLength: _Count = 0.0
    minItems: _Count = 0.0
    maxItems: _Count = 0.0
    minProperties: _Count = 0.0
    maxProperties: _Count = 0.0
    uniqueItems: bool = False


class _Root(_Shape, frozen=True, rename=_KEYWORDS):
    properties: dict[_Property, _Shape | bool] = {}


class _Tool(msgspec.Struct, frozen=True):
    inputSchema: _Root


_decode: Final = msgspec.json.Decoder(_Tool).decode
_AT_THE_TOP: Final = ("anyOf", "oneOf", "allOf")


def objection(tool: bytes) -> str | None:
    """Return what such an API would say against a tool that has passed `items.key_of`, None where
    it takes it.
    """
    try:
        root = _decode(tool).inputSchema
    except (msgspec.MsgspecError, RecursionError) as error:
        return str(error)
    for keyword in _AT_THE_TOP:
        if getattr(root, keyword):
            return f"inputSchema has {keyword} at its top"
    return None
