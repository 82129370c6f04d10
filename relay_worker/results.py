"""What of a backend's result is not as the client can take it. All else stays as it is.

The official TypeScript SDK, and the Python one in the modern era, drop a completion of more than
100 values wholly; so whoever types too little would be offered nothing instead of the first ones.
"""

from typing import Final

import msgspec

from relay_supervisor.wire import v1
from relay_worker.backends import frames
from relay_worker.eras import legacy_result

COMPLETION_VALUES_MAX: Final = 100
"""The specification's limit, in all its versions."""

_Values = list[msgspec.Raw]
_decode_values = msgspec.json.Decoder(_Values).decode
_TRUE: Final = msgspec.Raw(b"true")


def for_client(result: msgspec.Raw, message: v1.Call, *, modern: bool) -> msgspec.Raw:
    """Return the result of *message* that the client gets; *modern*: its backend is."""
    if message.method == "completion/complete":
        result = _completion(result)
    return legacy_result(result) if modern and message.era == v1.LEGACY else result


def _completion(result: msgspec.Raw) -> msgspec.Raw:
    """Cut off the values that are too many, as SDK servers do, and say that there are more."""
    members = frames.decode_object(result) or {}
    completion = frames.decode_object(members.get("completion")) or {}
    try:
        values = _decode_values(completion.get("values", b"[]"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return result
    if len(values) <= COMPLETION_VALUES_MAX:
        return result
    completion.setdefault("total", msgspec.Raw(b"%d" % len(values)))
    completion["values"] = msgspec.Raw(frames.encode(values[:COMPLETION_VALUES_MAX]))
    completion["hasMore"] = _TRUE
    members["completion"] = msgspec.Raw(frames.encode(completion))
    return msgspec.Raw(frames.encode(members))
