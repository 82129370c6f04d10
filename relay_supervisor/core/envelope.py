"""What the supervisor reads inside a request's params: the route, the token, the era."""

from typing import Final

import msgspec
from msgspec import Raw

from relay_supervisor.core import mcp
from relay_supervisor.wire import v1
from relay_supervisor.wire.errors import UNDECODABLE

VERSION: Final = mcp.META + "protocolVersion"
CAPABILITIES: Final = mcp.META + "clientCapabilities"
CLIENT_INFO: Final = mcp.META + "clientInfo"
SUBSCRIPTION: Final = mcp.META + "subscriptionId"


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """Params and `_meta` of a request, one level deep."""

    params: dict[str, Raw]
    meta: dict[str, Raw]
    era: int
    token: bytes


class EnvelopeError(Exception):
    """The envelope of a request cannot be accepted; carries the error to answer with."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


def read(params: Raw) -> Envelope:
    """Read the envelope of a request.

    Raises:
        EnvelopeError: params or `_meta` are no objects, or a modern envelope is incomplete.
    """
    try:
        members = mcp.members_of(params)
        raw_meta = members.get("_meta")
        meta = mcp.members_of(raw_meta) if raw_meta is not None else {}
    except UNDECODABLE as error:
        raise EnvelopeError(mcp.INVALID_PARAMS, "params and _meta must be objects") from error
    token = meta.get("progressToken")
    if token is not None and mcp.id_of(token) is None:
        raise EnvelopeError(mcp.INVALID_PARAMS, "progressToken must be a string or an integer")
    era = v1.LEGACY
    if VERSION in meta:
        _check_modern(meta)
        era = v1.MODERN
    return Envelope(members, meta, era, bytes(token) if token is not None else b"")


def _check_modern(meta: dict[str, Raw]) -> None:
    version = mcp.string(meta[VERSION])
    if version not in mcp.MODERN_VERSIONS:
        # Only versions that are spoken with an envelope can be offered here.
        raise EnvelopeError(
            mcp.UNSUPPORTED_VERSION,
            f"protocol version {version} is not supported",
            {"supported": list(mcp.MODERN_VERSIONS), "requested": version},
        )
    capabilities = meta.get(CAPABILITIES)
    try:
        if capabilities is None:
            raise EnvelopeError(mcp.INVALID_PARAMS, f"_meta lacks {CAPABILITIES}")
        mcp.members_of(capabilities)
    except UNDECODABLE as error:
        raise EnvelopeError(mcp.INVALID_PARAMS, f"{CAPABILITIES} must be an object") from error


def initialize_params(envelope: Envelope) -> bytes:
    """Return what an `initialize` of this modern client would have had as params."""
    params: dict[str, object] = {
        "protocolVersion": envelope.meta[VERSION],
        "capabilities": envelope.meta[CAPABILITIES],
        "clientInfo": envelope.meta.get(CLIENT_INFO, Raw(b'{"name":"unknown","version":"0"}')),
    }
    return msgspec.json.encode(params)
