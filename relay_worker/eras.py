"""Requests of a modern client (2026-07-28) towards a legacy backend, and their results back; and
results of a modern backend for a legacy client.

Whatever is not named here stays byte for byte as it was; only the space between the members of an
object that is changed may go.
Nothing here raises for what a peer wrote; what cannot be understood passes unchanged, and the
other side says what is wrong with it.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import msgspec

ENVELOPE_KEYS: Final = frozenset(
    f"io.modelcontextprotocol/{key}"
    for key in ("protocolVersion", "clientCapabilities", "clientInfo", "logLevel")
)
"""What a modern client puts into the `_meta` of each request; SDK servers of the legacy era
answer -32600 to it."""

ERROR_CODES: Final[Mapping[bytes, bytes]] = {b"-32002": b"-32602", b"-32042": b"-32603"}
"""Codes that must not be sent to a modern client: resource not found is invalid params there, and
a URL elicitation cannot be asked for by an error (the message still says what is wanted)."""

_COMPLETE: Final = b'"resultType":"complete"'
_IS_COMPLETE: Final = msgspec.Raw(b'"complete"')

_Object: TypeAlias = dict[str, msgspec.Raw]


class _ModernKeys(msgspec.Struct, gc=False):
    """The members of a result that the modern era demands."""

    resultType: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    ttlMs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    cacheScope: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _PlainParams(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """The params of nearly all calls, read and written in one go."""

    name: msgspec.Raw
    arguments: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    meta: _Object | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="_meta")


_MODERN_MEMBERS: Final = frozenset(_ModernKeys.__struct_fields__)
_decode_plain = msgspec.json.Decoder(_PlainParams).decode
_decode = msgspec.json.Decoder(_Object).decode
_decode_any: Callable[[bytes], dict[str, object]] = _decode  # type: ignore[assignment]
"""For objects in which other things than raw text are to be put."""
_decode_keys = msgspec.json.Decoder(_ModernKeys).decode
_encode = msgspec.json.Encoder().encode
_UNDECODABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_NEVER: Final[frozenset[str]] = frozenset()
_CLOSES: Final = re.compile(rb"\s*+\}")


def legacy_params(
    params: bytes, progress_token: int | None = None, name: str | None = None
) -> bytes:
    """Return the params for a legacy backend: the envelope keys taken out of `_meta` (and a
    `_meta` with nothing else dropped), a progress token the client sent replaced by
    *progress_token*, `name` by *name*.
    """
    return _request(params, ENVELOPE_KEYS, progress_token, name)


def same_era_params(
    params: bytes, progress_token: int | None = None, name: str | None = None
) -> bytes:
    """Return the params with a progress token the client sent replaced by *progress_token* and
    `name` by *name*, everything else as it was.
    """
    if name is not None:
        try:
            plain = _decode_plain(params)
        except _UNDECODABLE:
            pass  # more than a name and arguments, or broken
        else:
            plain.name = name  # type: ignore[assignment] # what is only encoded need not be raw
            meta = plain.meta
            if progress_token is not None and meta is not msgspec.UNSET and "progressToken" in meta:
                meta["progressToken"] = progress_token  # type: ignore[assignment]
            return _encode(plain)
    return _request(params, _NEVER, progress_token, name)


def modern_members(members: bytes, method: str) -> bytes:
    """Return the members (see `wire.v1`) of a legacy backend's response for a modern client:
    `resultType` (and for resources/read `ttlMs` and `cacheScope`) added where missing, error codes
    of the legacy era replaced (`ERROR_CODES`).
    """
    if members.startswith(b'"result":{'):  # as every answer is made here; no copy to look into it
        try:
            keys = _decode_keys(memoryview(members)[9:-1])
        except _UNDECODABLE:
            pass  # a member after the result, or broken
        else:
            return _with_keys(members, 10, keys, method)
    try:
        envelope = _decode(b"{" + members)
        if "error" in envelope:
            envelope["error"] = _modern_error(envelope["error"])
        elif "result" in envelope:
            result = bytes(envelope["result"])
            keys = _decode_keys(result)
            envelope["result"] = msgspec.Raw(_with_keys(result, 1, keys, method))
    except _UNDECODABLE:
        return members
    return _encode(envelope)[1:]


def legacy_result(result: msgspec.Raw) -> msgspec.Raw:
    """Return a modern backend's result for a legacy client, without the members of that era."""
    try:
        keys = _decode_keys(result)
        if all(key is msgspec.UNSET for key in (keys.resultType, keys.ttlMs, keys.cacheScope)):
            return result
        members = _decode(result)
    except _UNDECODABLE:
        return result
    kept = {name: raw for name, raw in members.items() if name not in _MODERN_MEMBERS}
    return msgspec.Raw(_encode(kept))


def _request(
    params: bytes, dropped: frozenset[str], progress_token: int | None, name: str | None
) -> bytes:
    try:
        members = _decode_any(params)
    except _UNDECODABLE:
        return params
    if name is not None:
        members["name"] = name
    if dropped:
        members.pop("inputResponses", None)  # what they are for is done: a page was opened
    meta = members.get("_meta")
    if isinstance(meta, msgspec.Raw) and (kept := _kept_meta(meta, dropped, progress_token)):
        members["_meta"] = kept
    elif dropped:
        members.pop("_meta", None)
    return _encode(members)


def _kept_meta(
    meta: msgspec.Raw, dropped: frozenset[str], progress_token: int | None
) -> msgspec.Raw | dict[str, object]:
    """Return what is left of *meta*; empty where nothing is."""
    try:
        members = _decode_any(meta)
    except _UNDECODABLE:
        return meta  # not an object: for the backend to refuse
    if dropped:
        members = {key: value for key, value in members.items() if key not in dropped}
    if progress_token is not None and "progressToken" in members:
        members["progressToken"] = progress_token
    return members


def _with_keys(text: bytes, at: int, keys: _ModernKeys, method: str) -> bytes:
    """Put what *keys* lacks into the object whose members begin at *at*."""
    added = []
    if keys.resultType is msgspec.UNSET:
        added.append(_COMPLETE)
    elif keys.resultType != _IS_COMPLETE:
        return text  # it asks for something, and holds nothing that could be kept
    if method == "resources/read":  # nobody said how long it holds, so it must not be reused
        if keys.ttlMs is msgspec.UNSET:
            added.append(b'"ttlMs":0')
        if keys.cacheScope is msgspec.UNSET:
            added.append(b'"cacheScope":"private"')
    if not added:
        return text
    if not _CLOSES.match(text, at):
        added.append(b"")  # for the comma
    return text[:at] + b",".join(added) + text[at:]


def _modern_error(error: msgspec.Raw) -> msgspec.Raw:
    members = _decode(error)
    code = bytes(members.get("code", b""))
    if code not in ERROR_CODES:
        return error
    members["code"] = msgspec.Raw(ERROR_CODES[code])
    return msgspec.Raw(_encode(members))
