"""The server capabilities the relay declares: what its backends declare together.

Only what the relay passes on is ever declared, in one fixed order, so that equal backends give
equal bytes. What `experimental` and `extensions` hold is passed on as it was written.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import msgspec

SUPERSET: Final[Mapping[str, Mapping[str, bool]]] = {
    "completions": {},
    "logging": {},
    "prompts": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
    "tools": {"listChanged": True},
}
"""All that the relay can pass on. `listChanged` is its own doing, whatever the backends do."""

UNKNOWN: Final = {
    **SUPERSET,
    "tasks": {"cancel": {}, "list": {}, "requests": {"tools": {"call": {}}}},
}
"""Declared while a backend is unknown: `tasks` is asked for only of tools that say so."""

PASSED: Final = ("experimental", "extensions")
"""What servers declare key by key, and whose meaning is between them and the client."""

_Object: TypeAlias = dict[str, msgspec.Raw]

_decode = msgspec.json.Decoder(_Object).decode
_encode = msgspec.json.Encoder().encode


def members(text: bytes | msgspec.Raw) -> _Object:
    """Return the members of a JSON object; none where the text is something else."""
    try:
        return _decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}


def _union(objects: Iterable[_Object]) -> _Object:
    """Return the members of all of them, and of the objects in them; else the first one counts."""
    found: dict[str, list[msgspec.Raw]] = {}
    for one in objects:
        for key, raw in one.items():
            found.setdefault(key, []).append(raw)
    return {key: _joined(raws) for key, raws in found.items()}


def _joined(raws: list[msgspec.Raw]) -> msgspec.Raw:
    if len(raws) == 1 or not all(bytes(raw).startswith(b"{") for raw in raws):
        return raws[0]
    return msgspec.Raw(_encode(_union(members(raw) for raw in raws)))


def merge(declared: Iterable[bytes], *, complete: bool) -> bytes:
    """Return the JSON text of the capabilities to declare for backends that declared *declared*.

    Unless that is *complete* it is everything: a legacy client learns it only once.
    """
    if not complete:
        return _encode(UNKNOWN)
    merged: dict[str, dict[str, bool]] = {"tools": {"listChanged": True}}
    passed: dict[str, _Object] = {}
    tasks: list[_Object] = []
    subscribe = False
    for text in declared:
        found = members(text)
        for name in PASSED:
            for key, raw in members(found.get(name, b"{}")).items():
                passed.setdefault(name, {}).setdefault(key, raw)  # the first one configured
        if "tasks" in found:
            tasks.append(members(found["tasks"]))
        merged.update((name, dict(SUPERSET[name])) for name in found if name in SUPERSET)
        if "resources" in found:
            subscribe |= bytes(members(found["resources"]).get("subscribe", b"")) == b"true"
    if "resources" in merged and not subscribe:
        del merged["resources"]["subscribe"]
    known = {name: merged[name] for name in SUPERSET if name in merged}
    if tasks:
        passed["tasks"] = _union(tasks)
    return _encode(
        {**known, **{name: passed[name] for name in (*PASSED, "tasks") if name in passed}}
    )
