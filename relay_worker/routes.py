"""Which backend a client request goes to, by method and name. Pure; one look-up per call."""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import msgspec

from relay_supervisor.wire import v1
from relay_worker.backends import frames
from relay_worker.catalogue import Catalogue


class Target(msgspec.Struct, frozen=True):
    """A backend, its own name for what is called (None: as the client has it), and the params
    where more than the name has to change.
    """

    backend: str
    name: str | None = None
    params: bytes | None = None


class Refused(msgspec.Struct, frozen=True):
    """The JSON-RPC error the request is due."""

    code: int
    text: str


class Undecided(msgspec.Struct, frozen=True):
    """Nobody has the name now. Whether somebody may yet, and `owner` is who by its prefix, the
    caller knows; else `refusal` is due.
    """

    owner: str | None
    refusal: Refused


class Everybody(msgspec.Struct, frozen=True):
    """Each of these backends has a part of the answer."""

    backends: tuple[str, ...]


Found: TypeAlias = Target | Refused | Undecided | Everybody
_OwnerOf: TypeAlias = Callable[[str], str | None]


def handles(method: str) -> bool:
    """Return whether the protocol itself has such a request."""
    return method in _FINDERS


def find(catalogue: Catalogue, message: v1.Call, params: bytes, owner_of: _OwnerOf) -> Found:
    """Return where a request goes; *owner_of* tells whose a resource is, by its URI."""
    finder = _FINDERS.get(message.method)
    if finder is None:
        return Refused(frames.METHOD_NOT_FOUND, f"Method not found: {message.method}")
    return finder(catalogue, message, params, owner_of)


def _tool(catalogue: Catalogue, message: v1.Call, _params: bytes, _owner_of: _OwnerOf) -> Found:
    name = message.name
    route = catalogue.tools.get(name)
    if route is None:
        refusal = Refused(frames.INVALID_PARAMS, f"Unknown tool: {name}")
        return Undecided(catalogue.owner_hint(name), refusal)
    return Target(route.backend, None if route.name == name else route.name)


def _prompt(catalogue: Catalogue, message: v1.Call, _params: bytes, _owner_of: _OwnerOf) -> Found:
    name = message.name
    route = catalogue.prompts.get(name)
    if route is None:
        refusal = Refused(frames.INVALID_PARAMS, f"Unknown prompt: {name}")
        return Undecided(catalogue.owner_hint(name), refusal)
    return Target(route.backend, None if route.name == name else route.name)


def _resource(_catalogue: Catalogue, message: v1.Call, _params: bytes, owner_of: _OwnerOf) -> Found:
    owner = owner_of(message.name)
    if owner is None:
        modern = message.era == v1.MODERN
        code = frames.INVALID_PARAMS if modern else frames.RESOURCE_NOT_FOUND
        return Undecided(None, Refused(code, f"Resource not found: {message.name}"))
    return Target(owner)


def _completion(
    catalogue: Catalogue, _message: v1.Call, params: bytes, owner_of: _OwnerOf
) -> Found:
    members = frames.decode_object(params) or {}
    ref = frames.decode_object(members.get("ref"))
    if ref is None:
        return Refused(frames.INVALID_PARAMS, "completion/complete needs a ref")
    kind = frames.text_of(ref.get("type"))
    if kind == "ref/prompt":
        name = frames.text_of(ref.get("name")) or ""
        route = catalogue.prompts.get(name)
        if route is None:
            refusal = Refused(frames.INVALID_PARAMS, f"Unknown prompt: {name}")
            return Undecided(catalogue.owner_hint(name), refusal)
        ref["name"] = msgspec.Raw(frames.encode(route.name))
        members["ref"] = msgspec.Raw(frames.encode(ref))
        return Target(route.backend, params=frames.encode(members))
    if kind == "ref/resource":
        uri = frames.text_of(ref.get("uri")) or ""
        owner = owner_of(uri)
        if owner is None:
            return Undecided(None, Refused(frames.INVALID_PARAMS, f"Unknown resource: {uri}"))
        return Target(owner)
    return Refused(frames.INVALID_PARAMS, f"Unknown completion ref: {kind}")


_Finder: TypeAlias = Callable[[Catalogue, v1.Call, bytes, _OwnerOf], Found]

_FINDERS: Final[Mapping[str, _Finder]] = {
    "tools/call": _tool,
    "prompts/get": _prompt,
    "resources/read": _resource,
    "resources/subscribe": _resource,
    "resources/unsubscribe": _resource,
    "completion/complete": _completion,
}
