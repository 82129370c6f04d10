"""What the backends are told of the client: once, at their initialize."""

from collections.abc import Iterable
from typing import Final, Self

import msgspec

from relay_supervisor.wire import v1
from relay_worker.backends.frames import decode_object, encode, text_of
from relay_worker.repair import Envelope

PROTOCOLS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""Versions of the handshake era, oldest first."""

MODERN_PROTOCOL: Final = "2026-07-28"

ENVELOPE_KEYS: Final = tuple(
    f"io.modelcontextprotocol/{key}"
    for key in ("protocolVersion", "clientCapabilities", "clientInfo")
)

_NONE: Final = msgspec.Raw(b"{}")

_MODES: Final = frozenset({"form", "url"})

TASKS: Final = "tasks"
"""The capability of 2025-11-25, of clients as of servers."""

TASKS_EXTENSION: Final = "io.modelcontextprotocol/tasks"
"""What has taken its place in 2026-07-28. Nothing bridges the two."""


class Client(msgspec.Struct, frozen=True, eq=False):
    """The client as the backends see it: `params` is the JSON text for their `initialize`, and
    `envelope` what each request to a modern one says of it, a JSON object.

    Two are equal where a backend that was greeted for the one serves for the other.
    """

    params: bytes
    capabilities: frozenset[str]
    modern: bool = False
    envelope: bytes = b"{}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Client):
            return NotImplemented
        return (self.params, self.capabilities) == (other.params, other.capabilities)

    def __hash__(self) -> int:
        return hash(self.params)

    @classmethod
    def left(cls, params: bytes, capabilities: Iterable[str]) -> Self:
        """Return the client that another worker has greeted a backend for."""
        given = decode_object(params) or {}
        wanted = given.get("capabilities", _NONE)
        info = given.get("clientInfo", _NONE)
        shown = across(decode_object(wanted) or {})
        envelope = dict(zip(ENVELOPE_KEYS, (MODERN_PROTOCOL, shown, info), strict=True))
        return cls(params, frozenset(capabilities), envelope=encode(envelope))

    def can(self, capability: str) -> bool:
        """Return whether the client declared *capability*."""
        return capability in self.capabilities

    @property
    def elicits(self) -> frozenset[str]:
        """Return how the client can be asked by `elicitation/create`."""
        return elicits((decode_object(self.params) or {}).get("capabilities"))


def elicits(capabilities: bytes | None) -> frozenset[str]:
    """Return how whoever declares this can be asked by `elicitation/create`: by form, unless it
    says otherwise.
    """
    declared = decode_object((decode_object(capabilities) or {}).get("elicitation"))
    if declared is None:
        return frozenset()
    return frozenset(_MODES & declared.keys()) or frozenset({"form"})


def across(capabilities: Envelope) -> Envelope:
    """Return what one side declares as the other one, of the other era, is to have it."""
    kept = {name: raw for name, raw in capabilities.items() if name != TASKS}
    extensions = decode_object(kept.get("extensions")) or {}
    if extensions.pop(TASKS_EXTENSION, None) is not None:
        kept["extensions"] = msgspec.Raw(encode(extensions))
    return kept


def is_modern(params: bytes) -> bool:
    """Return whether a request with these params is one of a modern client's."""
    return ENVELOPE_KEYS[0].encode() in params and ENVELOPE_KEYS[0] in _meta(params)


def elicited_in(params: bytes) -> frozenset[str]:
    """Return how a modern client can be asked in its request with these params; see `elicits`."""
    return elicits(_meta(params).get(ENVELOPE_KEYS[1]))


def _meta(params: bytes) -> dict[str, msgspec.Raw]:
    return decode_object((decode_object(params) or {}).get("_meta")) or {}


def client_of(session: v1.Session, payload: bytes) -> Client:
    """Return the client that *session* with its *payload* describes; never raises."""
    given = decode_object(payload) or {}
    capabilities = decode_object(given.get("capabilities")) or {}
    legacy, modern = session.era == v1.LEGACY, session.era == v1.MODERN
    shown = capabilities if legacy else across(capabilities)
    version = text_of(given.get("protocolVersion")) or session.protocol
    if session.era == v1.MODERN or version not in PROTOCOLS:
        version = PROTOCOLS[-1]
    info = given.get("clientInfo") or msgspec.Raw(b'{"name":"mcp-relay","version":"0"}')
    known = {"protocolVersion": version, "capabilities": shown, "clientInfo": info}
    # What else it says of itself is passed on; its _meta is its request's, which ends here.
    more = {name: raw for name, raw in given.items() if name != "_meta"}
    wanted = given.get("capabilities", _NONE) if modern else across(capabilities)
    envelope = dict(zip(ENVELOPE_KEYS, (MODERN_PROTOCOL, wanted, info), strict=True))
    return Client(encode({**more, **known}), frozenset(shown), modern, encode(envelope))
