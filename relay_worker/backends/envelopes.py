"""What of a message of a backend's every client can read, beyond its being JSON.

A client that cannot read the envelope of an answer drops it and waits for hours: the official
TypeScript SDK, which Claude Code is built on, knows no member of a response but `jsonrpc`, `id` and
`result` or `error`, wants an object for the result and its `_meta`, and an integer and a text in an
error. Of a notification it has to do with, it wants the params as they are specified; versions of
Claude Code end the connection over one that is not. All else is between backend and client, and
never looked at here.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, Literal

import msgspec

from relay_worker.backends import frames

META_BYTES: Final = 64 << 10
"""A `_meta` is looked for in so many bytes at either end of an object: servers write it first or
last, and a search of all of a large answer would cost more than carrying it.
"""

RAW_CHARS_SHOWN: Final = 300
"""Characters shown of an error that cannot be read."""

CODE_MAX: Final = 2**53 - 1
"""What JavaScript takes for an integer."""

PLAIN_BYTES_MAX: Final = 4 << 10
"""To copy and search a longer line costs more than to look closer at its ends."""

_RESULT: Final = b'"result"'
_META: Final = b'"_meta"'
_RESULT_OBJECT: Final = b'"result":{'
_AROUND_RESULT: Final = len(b'"result":}')
_ODD_META: Final = re.compile(rb'"_meta"[ \t]*+:[ \t]*+(?!\{)')
_OBJECT: Final = ord("{")


class _Error(msgspec.Struct):
    code: int
    message: str


class _Progress(msgspec.Struct):
    progress: float
    total: float = 0.0
    message: str = ""


class _Message(msgspec.Struct):
    level: Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]
    logger: str = ""


class _Complete(msgspec.Struct):
    elicitationId: str


_KNOWN: Final[Mapping[str, Callable[[bytes | msgspec.Raw], object]]] = {
    "notifications/progress": msgspec.json.Decoder(_Progress).decode,
    "notifications/message": msgspec.json.Decoder(_Message).decode,
    "notifications/elicitation/complete": msgspec.json.Decoder(_Complete).decode,
}
_UNDECODABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_decode_error: Final = msgspec.json.Decoder(_Error).decode


def readable_object(raw: msgspec.Raw) -> msgspec.Raw | None:
    """Return a result, or params, as every client can read it: without a `_meta` that is no object.
    None where it is no object itself.
    """
    view = memoryview(raw)
    if not view or view[0] != _OBJECT:
        return None
    if not _ODD_META.search(view, 0, META_BYTES):
        beyond = len(view) - META_BYTES
        if beyond <= 0 or not _ODD_META.search(view, beyond):
            return raw
    members = frames.decode_object(raw) or {}
    meta = members.get("_meta")
    if meta is None or frames.decode_object(meta) is not None:
        return raw
    del members["_meta"]
    return msgspec.Raw(frames.encode(members))


def plain_members(line: bytes, result: msgspec.Raw) -> bytes | None:
    """Return the members of a healthy response on a *line*, whose envelope has *result* and neither
    error nor more, as they stand there; None where every client's reading them takes another look:
    where they are large, not written as nearly all servers do, or with a `_meta`.
    """
    size = len(line)
    if size > PLAIN_BYTES_MAX:
        return None
    # What stands before it is a version and a number, so the first such text is the member's name;
    # and where the line ends with the value, it is the last member, too.
    begin = line.find(_RESULT)
    if (
        size - begin - _AROUND_RESULT != len(result)
        or not line.startswith(_RESULT_OBJECT, begin)
        or line.find(_META) >= 0
    ):
        return None
    return line[begin:]


def readable_params(method: str, raw: msgspec.Raw | None) -> msgspec.Raw | None:
    """Return the params of a notification as every client can read them, empty where there are
    none: without a `_meta` that is no object, and where that helps without members that are null.
    None where nothing helps.
    """
    params = msgspec.Raw() if raw is None else readable_object(raw)
    check = _KNOWN.get(method)
    if params is None or check is None or _passes(check, params):
        return params
    members = frames.decode_object(params) or {}
    there = {key: value for key, value in members.items() if bytes(value) != b"null"}
    shorter = msgspec.Raw(frames.encode(there))
    return shorter if _passes(check, shorter) else None


def readable_error(raw: msgspec.Raw, backend: str) -> bytes:
    """Return the members of an error response: the error as it is, or what it says in one that can
    be read.
    """
    try:
        error = _decode_error(raw)
    except _UNDECODABLE:
        error = None
    if error is not None and abs(error.code) <= CODE_MAX:
        return b'"error":%b}' % bytes(raw)
    shown = bytes(raw).decode(errors="replace")[:RAW_CHARS_SHOWN]
    text = f"Backend '{backend}' answered with an error of no valid form: {shown}"
    return frames.error_members(frames.INTERNAL_ERROR, text)


def _passes(check: Callable[[bytes | msgspec.Raw], object], params: msgspec.Raw) -> bool:
    try:
        check(params)
    except _UNDECODABLE:
        return False
    return True
