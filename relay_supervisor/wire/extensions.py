"""Which part of a server's capabilities a method belongs to, where the protocol itself has none of
that name. Pure; supervisor and worker have to agree on it.

    tasks/get           capabilities.tasks (2025-11-25), extensions."io.modelcontextprotocol/tasks"
    NAME/anything       extensions."VENDOR/NAME", experimental."NAME"
    VENDOR/NAME/any     extensions."VENDOR/NAME"
"""

from typing import Final

import msgspec

from relay_supervisor.wire.errors import UNDECODABLE

TASKS: Final = "tasks"

_Object = dict[str, msgspec.Raw]


class _Declared(msgspec.Struct):
    tasks: msgspec.Raw = msgspec.Raw()
    extensions: _Object = {}
    experimental: _Object = {}


_decode: Final = msgspec.json.Decoder(_Declared).decode


def has(capabilities: bytes | msgspec.Raw, method: str) -> bool:
    """Return whether who declares this has requests of this method."""
    try:
        declared = _decode(capabilities)
    except UNDECODABLE:
        return False
    first = method.partition("/")[0]
    if not first or first == method:
        return False
    if first == TASKS and declared.tasks:
        return True
    return any(
        first == key.rpartition("/")[2] or method.startswith(f"{key}/")
        for key in (*declared.extensions, *declared.experimental)
    )
