"""What the supervisor reads inside a request's params: the route, the token, the era."""

from typing import Final

import msgspec
from msgspec import Raw

from relay_supervisor.core import mcp
from relay_supervisor.wire.errors import UNDECODABLE

VERSION: Final = mcp.META + "protocolVersion"
CAPABILITIES: Final = mcp.META + "clientCapabilities"
CLIENT_INFO: Final = mcp.META + "clientInfo"
LOG_LEVEL: Final = mcp.META + "logLevel"
SUBSCRIPTION: Final = mcp.META + "subscriptionId"
UNKNOWN_CLIENT: Final = Raw(b'{"name":"unknown","version":"0"}')


class Meta(msgspec.Struct, frozen=True, gc=False):
    """What the supervisor knows of a request's `_meta`. With a version it is of the modern era."""

    token: Raw = msgspec.field(default=mcp.NO_PARAMS, name="progressToken")
    version: Raw = msgspec.field(default=mcp.NO_PARAMS, name=VERSION)
    capabilities: Raw = msgspec.field(default=mcp.NO_PARAMS, name=CAPABILITIES)
    log_level: Raw = msgspec.field(default=mcp.NO_PARAMS, name=LOG_LEVEL)
    client_info: Raw = msgspec.field(default=UNKNOWN_CLIENT, name=CLIENT_INFO)


NO_META: Final = Meta()


class Route(msgspec.Struct, frozen=True, gc=False):
    """What a request may be routed by, and its `_meta`."""

    name: Raw = mcp.NO_PARAMS
    uri: Raw = mcp.NO_PARAMS
    state: Raw = msgspec.field(default=mcp.NO_PARAMS, name="requestState")
    meta: Meta | None = msgspec.field(default=None, name="_meta")


class EnvelopeError(Exception):
    """The envelope of a request cannot be accepted; carries the error to answer with."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


def read(params: Raw) -> tuple[Route, Meta]:
    """Read the envelope of a request.

    Raises:
        EnvelopeError: params or `_meta` are no objects, or a modern envelope is incomplete.
    """
    try:
        route = _decode(params)
    except UNDECODABLE as error:
        if params in mcp.ABSENT:
            return _NO_ROUTE, NO_META
        raise EnvelopeError(mcp.INVALID_PARAMS, "params and _meta must be objects") from error
    if (meta := route.meta) is None:
        return route, NO_META
    token = bytes(meta.token)
    if token and not token.isdigit() and mcp.id_of(token) is None:
        raise EnvelopeError(mcp.INVALID_PARAMS, "progressToken must be a string or an integer")
    if meta.version:
        _check_modern(meta)
    return route, meta


def _check_modern(meta: Meta) -> None:
    version = mcp.string(meta.version)
    if version not in mcp.MODERN_VERSIONS:
        # Only versions that are spoken with an envelope can be offered here.
        raise EnvelopeError(
            mcp.UNSUPPORTED_VERSION,
            f"protocol version {version} is not supported",
            {"supported": list(mcp.MODERN_VERSIONS), "requested": version},
        )
    if not meta.capabilities:
        raise EnvelopeError(mcp.INVALID_PARAMS, f"_meta lacks {CAPABILITIES}")
    try:
        mcp.members_of(meta.capabilities)
    except UNDECODABLE as error:
        raise EnvelopeError(mcp.INVALID_PARAMS, f"{CAPABILITIES} must be an object") from error


def name_in(route: Route, method: str) -> str | None:
    """Return what a request of this *method* is routed by, None where that is no text."""
    member = mcp.ROUTED_BY.get(method)
    return mcp.string(route.name if member == "name" else route.uri) if member else ""


def initialize_params(meta: Meta) -> bytes:
    """Return what an `initialize` of this modern client would have had as params."""
    params = {
        "protocolVersion": meta.version,
        "capabilities": meta.capabilities,
        "clientInfo": meta.client_info,
    }
    return msgspec.json.encode(params)


_NO_ROUTE: Final = Route()
_decode = msgspec.json.Decoder(Route).decode
