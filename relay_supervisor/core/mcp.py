"""JSON-RPC and MCP as far as the supervisor needs them: envelopes, versions, error texts.

It reads the envelope only (id, method, and by what a request is routed); params and results stay
the bytes they came as. Field names are those of the MCP schema, both eras.
"""

import enum
import re
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Raw

from relay_supervisor.wire.errors import UNDECODABLE

Id: TypeAlias = int | str
"""A JSON-RPC id as a key: `7` and `"7"` are different ids."""

LEGACY_VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN_VERSIONS: Final = ("2026-07-28",)
BATCH_VERSION: Final = "2025-03-26"
"""The one version with JSON-RPC batches."""

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
RELAY_ERROR: Final = -32010
"""Errors of the relay's own, in the range the specification leaves to implementations."""
UNSUPPORTED_VERSION: Final = -32022

META: Final = "io.modelcontextprotocol/"
"""Prefix of the envelope's keys in a modern request's `_meta`."""


class Kind(enum.Enum):
    """What a list lists; the value is the member of the result that holds it."""

    __hash__ = object.__hash__  # each is one of a kind; an enum's own hash is made in Python

    TOOLS = "tools"
    PROMPTS = "prompts"
    RESOURCES = "resources"
    TEMPLATES = "resourceTemplates"


LISTS: Final = {
    "tools/list": Kind.TOOLS,
    "prompts/list": Kind.PROMPTS,
    "resources/list": Kind.RESOURCES,
    "resources/templates/list": Kind.TEMPLATES,
}

ROUTED_BY: Final = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "resources/subscribe": "uri",
    "resources/unsubscribe": "uri",
    "completion/complete": "",
}
"""Requests carried out by a backend, with the param they are routed by (completion by its ref)."""

REPEATABLE: Final = frozenset(
    {
        "prompts/get",
        "resources/read",
        "completion/complete",
        "tasks/get",
        "tasks/result",
        "tasks/list",
    }
)
"""Requests that change nothing, by the specification."""

INPUT_REQUIRED: Final = frozenset({"tools/call", "prompts/get", "resources/read"})
"""Requests of the modern era that may be answered with `input_required`, and are then retried."""

LEGACY_ONLY: Final = frozenset(
    {"ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"}
)
"""Requests that the modern era has done away with."""

CLIENT_REQUEST_CAPABILITY: Final = {
    "roots/list": "roots",
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
}
"""Requests a backend may make of a client, with the capability the client must have declared."""

LEGACY_REQUEST_CAPABILITY: Final = {
    **CLIENT_REQUEST_CAPABILITY,
    **{f"tasks/{word}": "tasks" for word in ("get", "result", "list", "cancel")},
}
"""The same for one that has shaken hands, and may carry out tasks."""


class Request(msgspec.Struct, frozen=True, gc=False):
    """A request; `raw_id` as the client wrote it."""

    id: Id
    raw_id: bytes
    method: str
    params: Raw


class Notification(msgspec.Struct, frozen=True, gc=False):
    """A notification."""

    method: str
    params: Raw


class Response(msgspec.Struct, frozen=True, gc=False):
    """An answer to a request of ours; `members` is the object's text after the id."""

    id: Id
    members: bytes


class Invalid(msgspec.Struct, frozen=True, gc=False):
    """No JSON-RPC message; `raw_id` is `null` where no usable id could be read."""

    code: int
    message: str
    raw_id: bytes = b"null"


class Batch(msgspec.Struct, frozen=True, gc=False):
    """A JSON array of messages, each still to be parsed."""

    items: list[Raw]


Message: TypeAlias = Request | Notification | Response | Invalid | Batch

SMALL_BYTES: Final = 4 << 10
"""Up to here the members of an answer are copied: one buffer costs less than several."""

NO_PARAMS: Final = Raw()
ABSENT: Final = (NO_PARAMS, Raw(b"null"))
_INT_MAX: Final = 2**63 - 1
_JSONRPC: Final = Raw(b'"2.0"')


class _PlainRequest(msgspec.Struct, frozen=True, gc=False):
    """A request as nearly all are: read in one go. Whatever does not fit takes the long way."""

    jsonrpc: Literal["2.0"]
    id: Raw
    method: str
    params: Raw = NO_PARAMS


_plain_request = msgspec.json.Decoder(_PlainRequest).decode
_object = msgspec.json.Decoder(dict[str, Raw])
_array = msgspec.json.Decoder(list[Raw])
_scalar = msgspec.json.Decoder()
_string = msgspec.json.Decoder(str)


def parse(text: bytes) -> Message:
    """Classify one line of the client's, or one item of a batch."""
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError as error:
            return Invalid(PARSE_ERROR, f"the line is not valid UTF-8 (byte {error.start})")
    try:
        plain = _plain_request(text)
        if (key := id_of(plain.id)) is not None:
            return Request(key, bytes(plain.id), plain.method, plain.params)
    except UNDECODABLE:
        pass  # why, is found out below
    return _parse_thoroughly(text)


def _parse_thoroughly(text: bytes) -> Message:
    try:
        return _classify(_object.decode(text))
    except msgspec.ValidationError:
        return _array_or_scalar(text)
    except msgspec.DecodeError as error:
        mended = _LONE_SURROGATE.sub(_mend, text)
        if mended != text:
            return parse(mended)
        return Invalid(PARSE_ERROR, f"this is not JSON: {error}")
    except RecursionError:
        return Invalid(PARSE_ERROR, "the JSON is nested too deeply")


def members_of(raw: Raw) -> dict[str, Raw]:
    """Return the members of a JSON object; none for absent or null params.

    Raises:
        Exception: one of `UNDECODABLE`, it is no object.
    """
    if raw in ABSENT:
        return {}
    return _object.decode(raw)


def members_or_none(raw: Raw | None) -> dict[str, Raw] | None:
    """Return the members of a JSON object, None for anything else."""
    try:
        return None if raw is None else _object.decode(raw)
    except UNDECODABLE:
        return None


def without(text: Raw, name: str) -> Raw:
    """Return a JSON object without the member *name*, as it is where it has none."""
    members = members_or_none(text) or {}
    return text if members.pop(name, None) is None else Raw(msgspec.json.encode(members))


def string(raw: Raw | None) -> str | None:
    """Return the text of a JSON string, None for anything else."""
    if raw is None:
        return None
    try:
        return _string.decode(raw)
    except UNDECODABLE:
        return None


def id_of(raw: Raw | bytes) -> Id | None:
    """Return the id that *raw* holds, None where it is neither a string nor an integer."""
    try:
        value = _scalar.decode(raw)
    except UNDECODABLE:
        return None
    kind = type(value)
    if kind is int:
        # As text where it could not be written down. One NUL begins what is no string of the
        # client's, as keys of our own are; its own have two if they have one.
        return value if -_INT_MAX <= value <= _INT_MAX else f"\x00{value}"
    if kind is not str:
        return None
    return f"\x00{value}" if value[:1] == "\x00" else value


def _classify(members: dict[str, Raw]) -> Message:
    raw_id = members.get("id")
    key = None
    if raw_id is not None and (key := id_of(raw_id)) is None:
        return Invalid(INVALID_REQUEST, "an id must be a string or an integer")
    if members.get("jsonrpc") != _JSONRPC:
        return Invalid(INVALID_REQUEST, 'jsonrpc must be "2.0"', _echo(raw_id))
    if (raw_method := members.get("method")) is not None:
        method = string(raw_method)
        if method is None:
            return Invalid(INVALID_REQUEST, "method must be a string", _echo(raw_id))
        params = members.get("params", NO_PARAMS)
        if key is None or raw_id is None:
            return Notification(method, params)
        return Request(key, bytes(raw_id), method, params)
    if key is not None and ("result" in members or "error" in members):
        rest = {name: raw for name, raw in members.items() if name not in ("jsonrpc", "id")}
        return Response(key, msgspec.json.encode(rest)[1:])
    return Invalid(
        INVALID_REQUEST, "this is neither a request, a notification nor a response", _echo(raw_id)
    )


def _array_or_scalar(text: bytes) -> Message:
    try:
        return Batch(_array.decode(text))
    except msgspec.ValidationError:
        return Invalid(INVALID_REQUEST, "a message must be a JSON object")
    except (msgspec.DecodeError, RecursionError) as error:
        return Invalid(PARSE_ERROR, f"this is not JSON: {error}")


def _echo(raw_id: Raw | None) -> bytes:
    return b"null" if raw_id is None else bytes(raw_id)


# A pair of surrogates, an escaped backslash (so that the u after it starts no escape), or a half.
# msgspec refuses halves, JavaScript clients send them when they cut a string in an emoji.
_LONE_SURROGATE: Final = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def _mend(match: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if match[1] else match[0]


# ---- writing --------------------------------------------------------------------------------


def response(raw_id: bytes, members: bytes) -> tuple[bytes, ...]:
    """Return the buffers of a response line: *members* after the id, as the wire defines it."""
    if len(members) <= SMALL_BYTES:
        return (b"".join((b'{"jsonrpc":"2.0","id":', raw_id, b",", members, b"\n")),)
    return (b'{"jsonrpc":"2.0","id":' + raw_id + b",", members, b"\n")


def result(value: object) -> bytes:
    """Return the members of a successful response; *value* may hold `Raw` parts."""
    return b'"result":' + msgspec.json.encode(value) + b"}"


def error(code: int, message: str, data: object = None) -> bytes:
    """Return the members of an error response."""
    body: dict[str, object] = {"code": code, "message": message}
    if data is not None:
        body["data"] = data
    return b'"error":' + msgspec.json.encode(body) + b"}"


def tool_error(text: str, *, modern: bool) -> bytes:
    """Return the members of a tool result that tells the model of a failure of the relay's."""
    body: dict[str, object] = {"content": [{"type": "text", "text": text}], "isError": True}
    if modern:
        body["resultType"] = "complete"
    return result(body)


def request(number: int, method: str, params: bytes) -> tuple[bytes, ...]:
    """Return the buffers of a request line of the relay's own towards the client."""
    head = b'{"jsonrpc":"2.0","id":%d,"method":%s' % (number, msgspec.json.encode(method))
    return (head, b',"params":' if params else b"", params, b"}\n")


def notification(method: str, params: bytes = b"") -> tuple[bytes, ...]:
    """Return the buffers of a notification line."""
    head = b'{"jsonrpc":"2.0","method":' + msgspec.json.encode(method)
    return (head, b',"params":' if params else b"", params, b"}\n")


def with_member(name: bytes, value: bytes, params: bytes) -> bytes:
    """Return the JSON object *params* with a member put in front of its others."""
    rest = params[1:] if params else b"}"
    return b'{"' + name + b'":' + value + (b"" if rest == b"}" else b",") + rest
