"""JSON-RPC frames towards backends, and the few looks into what they send. Pure and linear.

A frame is one line with its newline. `members`, `params` and `call` are the words of `wire.v1`.
"""

import re
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from relay_supervisor.wire import v1
from relay_worker.repair import Envelope

INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
BACKEND_UNAVAILABLE: Final = -32000
RESOURCE_NOT_FOUND: Final = -32002

CALL_DIGITS_MAX: Final = len(str(v1.CALL_MAX))

CALL: Final = b'{"jsonrpc":"2.0","id":%d,"method":"%b","params":%b}\n'
"""What `call_frame` makes of a client's call, as nearly all are: number, method, params."""

OWN_ID: Final = b"relay-call-"
"""The id of a call of the relay's own is this and a number: see `call_id`."""

ROUND_ID: Final = b"relay-round-"
"""The id by which a call is made once more is this, its number, a dash and the round's number."""

RELAY_TOKEN: Final = "relay:"
"""Progress tokens of backends start so towards the client: see `token_towards_client`."""

encode: Final = msgspec.json.Encoder().encode
_decode_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text: Final = msgspec.json.Decoder(str).decode
_decode_any: Final = msgspec.json.Decoder().decode


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""


_OWN_ID: Final = re.compile(rb'"%b([1-9]\d{0,17})"' % OWN_ID)
_ROUND_ID: Final = re.compile(rb'"%b([1-9]\d{0,15})-([1-9]\d{0,3})"' % ROUND_ID)
_decode_error: Final = msgspec.json.Decoder(_Error).decode


def decode_object(text: bytes | msgspec.Raw | None) -> Envelope | None:
    """Return the members of a JSON object, or None where *text* is no object."""
    if text is None:
        return None
    try:
        return _decode_object(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def text_of(raw: msgspec.Raw | None) -> str | None:
    """Return a JSON string's text, or None where it is no string."""
    if raw is None:
        return None
    try:
        return _decode_text(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def call_id(call: int) -> bytes:
    """Return the JSON text of the id of a call. Those of the relay's own have negative numbers and,
    towards a backend, strings for ids: the numbers belong to the client's calls.
    """
    return b"%d" % call if call > 0 else b'"%b%d"' % (OWN_ID, -call)


def round_id(call: int, number: int) -> bytes:
    """Return the JSON text of the id by which a call is made for the *number*th time."""
    return call_id(call) if number == 1 else b'"%b%d-%d"' % (ROUND_ID, call, number)


def round_number(raw: msgspec.Raw) -> int:
    """Return which time of its call an id is of."""
    again = _ROUND_ID.fullmatch(bytes(raw))
    return int(again[2]) if again else 1


def call_number(raw: msgspec.Raw) -> int | None:
    """Return the call that an id or progress token of a backend's names, or None.

    Some servers give a number back as a string or with a fraction of zero; as the worker's own
    ids are no such strings, that is no ambiguity.
    """
    text = bytes(raw)
    if text.isdigit() and len(text) <= CALL_DIGITS_MAX:
        number = int(text)
    elif own := _OWN_ID.fullmatch(text):
        return -int(own[1])
    elif again := _ROUND_ID.fullmatch(text):
        number = int(again[1])
    else:
        try:
            value = _decode_any(text)
            number = int(value)
        except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError):
            return None
        if isinstance(value, bool) or (isinstance(value, float) and value != number):
            return None
    return number if 0 < number <= v1.CALL_MAX else None


def request(number: str, method: str, params: bytes) -> bytes:
    """Return the frame of a request of the relay's own."""
    return b'{"jsonrpc":"2.0","id":%b,"method":%b,"params":%b}\n' % (
        encode(number),
        encode(method),
        params,
    )


def call_frame(call: int, method: str, params: bytes, number: int = 1) -> bytes:
    """Return the frame of a call that is made for the *number*th time; *params* may be empty."""
    rest = b',"params":%b}\n' % params if params else b"}\n"
    return b'{"jsonrpc":"2.0","id":%b,"method":"%b"%b' % (
        round_id(call, number),
        method.encode(),
        rest,
    )


def call_pieces(call: int, method: str, params: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the frame of a call as the buffers it consists of."""
    head = b'{"jsonrpc":"2.0","id":%b,"method":"%b","params":' % (call_id(call), method.encode())
    return head, params, b"}\n"


def notification(method: str, params: bytes = b"") -> bytes:
    """Return the frame of a notification."""
    rest = b',"params":%b}\n' % params if params else b"}\n"
    return b'{"jsonrpc":"2.0","method":%b%b' % (encode(method), rest)


def response(raw_id: bytes, members: bytes) -> bytes:
    """Return the frame of a response to a backend's own request."""
    return b'{"jsonrpc":"2.0","id":%b,%b\n' % (raw_id, members)


def error_members(code: int, message: str, data: object = None) -> bytes:
    """Return the members of an error response."""
    more = b"" if data is None else b',"data":%b' % encode(data)
    return b'"error":{"code":%d,"message":%b%b}}' % (code, encode(message), more)


def result_members(result: object) -> bytes:
    """Return the members of a result that is made here."""
    return b'"result":%b}' % encode(result)


def error_of(envelope: Envelope) -> tuple[int, str] | None:
    """Return code and message of an error response, or None where it is a result."""
    raw = envelope.get("error")
    if raw is None or bytes(raw) == b"null":
        return None
    try:
        error = _decode_error(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 0, "an error that cannot be read"
    return error.code, error.message


def token_towards_client(backend: str, params: Envelope) -> bytes:
    """Return the params of a backend's request with its progress token made unique.

    The token says which backend chose it and how it was spelled, so that the client's progress
    finds its way back without any table (`token_towards_backend`). A colon ends the name: one in it
    is quoted.
    """
    meta = decode_object(params.get("_meta"))
    if meta and (token := meta.get("progressToken")) is not None:
        shown = f"{RELAY_TOKEN}{quote(backend)}:{bytes(token).decode(errors='replace')}"
        meta["progressToken"] = msgspec.Raw(encode(shown))
        params = {**params, "_meta": msgspec.Raw(encode(meta))}
    return encode(params)


def token_towards_backend(params: bytes) -> tuple[str, bytes] | None:
    """Return the backend and its own params for a client's progress notification, or None where
    its token is none that `token_towards_client` made.
    """
    members = decode_object(params)
    token = text_of(members.get("progressToken")) if members else None
    if not members or not token or not token.startswith(RELAY_TOKEN):
        return None
    name, _, raw = token.removeprefix(RELAY_TOKEN).partition(":")
    members["progressToken"] = msgspec.Raw(raw.encode())
    return (unquote(name), encode(members)) if raw else None
