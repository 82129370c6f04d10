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
UNKNOWN_CLIENT: Final = Raw(b'{"name":"unknown","version":"0"}')


class Meta(msgspec.Struct, frozen=True, gc=False):
    """What the supervisor knows of a request's `_meta`."""

    token: Raw = msgspec.field(default=mcp.NO_PARAMS, name="progressToken")
    version: Raw = msgspec.field(default=mcp.NO_PARAMS, name=VERSION)
    capabilities: Raw = msgspec.field(default=mcp.NO_PARAMS, name=CAPABILITIES)
    client_info: Raw = msgspec.field(default=UNKNOWN_CLIENT, name=CLIENT_INFO)


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What every request may have in its params: the route, and `_meta`."""

    name: Raw = mcp.NO_PARAMS
    uri: Raw = mcp.NO_PARAMS
    meta: Meta | None = msgspec.field(default=None, name="_meta")

    @property
    def era(self) -> int:
        """The protocol era of the request."""
        return v1.MODERN if self.meta is not None and self.meta.version else v1.LEGACY

    @property
    def token(self) -> bytes:
        """The progress token as the client wrote it, empty where it sent none."""
        return bytes(self.meta.token) if self.meta is not None else b""


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
    if params in mcp.ABSENT:
        return _NOTHING
    try:
        envelope = _decode(params)
    except UNDECODABLE as error:
        raise EnvelopeError(mcp.INVALID_PARAMS, "params and _meta must be objects") from error
    if (meta := envelope.meta) is not None:
        if meta.token and mcp.id_of(meta.token) is None:
            text = "progressToken must be a string or an integer"
            raise EnvelopeError(mcp.INVALID_PARAMS, text)
        if meta.version:
            _check_modern(meta)
    return envelope


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


def initialize_params(meta: Meta) -> bytes:
    """Return what an `initialize` of this modern client would have had as params."""
    params = {
        "protocolVersion": meta.version,
        "capabilities": meta.capabilities,
        "clientInfo": meta.client_info,
    }
    return msgspec.json.encode(params)


_NOTHING: Final = Envelope()
_decode = msgspec.json.Decoder(Envelope).decode
