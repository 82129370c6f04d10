"""The raw lists of one backend: what it said of itself, byte for byte, before any rule is applied.

They are what a worker leaves to the next one (`LearnedLists`, `KnownLists`, the cache file), so
that a catalogue can be built with no backend running. Nothing here interprets an item, and
nothing here may ever re-encode one.
"""

from typing import Final

import msgspec

PAYLOAD_BYTES_MAX: Final = 128 << 20
"""Larger lists of one backend are not taken over from an earlier worker."""


class RawLists(msgspec.Struct, frozen=True):
    """What one backend said: JSON texts throughout, `b"{}"` where it left an object out.

    `tools`, `prompts`, `resources` and `templates` hold one JSON text per list item, without line
    breaks, in the backend's own order, all pages joined. New fields go to the end, with a default:
    an older or newer worker reads this too.
    """

    protocol: str = ""
    capabilities: bytes = b"{}"
    server_info: bytes = b"{}"
    instructions: str | None = None
    tools: list[bytes] = []
    prompts: list[bytes] = []
    resources: list[bytes] = []
    templates: list[bytes] = []
    withheld: list[str] = []
    """Tools among what it listed that are of no use to a client of this era."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(RawLists)


def encode(lists: RawLists) -> bytes:
    """Return the payload of a `LearnedLists` message; equal lists give equal bytes."""
    return _encoder.encode(lists)


def decode(payload: bytes) -> RawLists | None:
    """Return the lists in *payload*; None where they cannot be used and are to be learned anew."""
    if len(payload) > PAYLOAD_BYTES_MAX:
        return None
    try:
        return _decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
