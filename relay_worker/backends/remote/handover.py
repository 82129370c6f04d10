"""What a worker leaves to the next one of a session with a remote server, so that it goes on.

The supervisor keeps it in memory and does not look inside. It is never written to a file: whoever
knows the name of a session has it.
"""

import msgspec

from relay_supervisor.wire.errors import UNDECODABLE
from relay_worker.lists import RawLists


class Handover(msgspec.Struct, frozen=True):
    """A session: its name, what its server said at `initialize`, and to which client's params.

    New fields go to the end, with a default: an older or newer worker reads this too.
    """

    session: str
    client: bytes
    protocol: str
    capabilities: bytes = b"{}"
    server_info: bytes = b"{}"
    instructions: str | None = None

    def __repr__(self) -> str:
        return "Handover()"


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Handover)


def encode(handover: Handover) -> bytes:
    """Return the payload of `LearnedSession` and `KnownSession`."""
    return _encoder.encode(handover)


def decode(payload: bytes) -> Handover | None:
    """Return what is in *payload*, None where it cannot be used and a session is to be begun."""
    try:
        return _decoder.decode(payload)
    except UNDECODABLE:
        return None


def of(session: str, client: bytes, said: RawLists) -> Handover | None:
    """Return what to leave of a session; None where it has no name, or nobody has said anything."""
    if not session or not said.protocol:
        return None
    parts = (said.protocol, said.capabilities, said.server_info, said.instructions)
    return Handover(session, client, *parts)


def said(handover: Handover) -> RawLists:
    """Return what its server said at `initialize`."""
    return RawLists(
        protocol=handover.protocol,
        capabilities=handover.capabilities,
        server_info=handover.server_info,
        instructions=handover.instructions,
    )
