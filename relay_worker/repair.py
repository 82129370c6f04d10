"""What a backend wrote on its stdout, turned into JSON texts that every reader can decode.

Handles what real servers do: prints glued to a frame, invalid UTF-8, half a surrogate pair,
NaN. Numbers and everything healthy stay as written. Never raises, and takes linear time whatever
the input: a backend is not trusted.
"""

from typing import Final

import msgspec

Envelope = dict[str, msgspec.Raw]

DEPTH_MAX: Final = 512
"""Deeper nested JSON is skipped: clients and the decoder give up near their recursion limit."""


class Cleaned(msgspec.Struct, frozen=True):
    """The JSON objects found on a line, each as its text and its decoded envelope, and the number
    of pieces of other text that were skipped.
    """

    frames: list[tuple[bytes, Envelope]]
    skipped: int = 0


def clean_line(line: bytes) -> Cleaned:
    """Return the JSON-RPC objects on one line of a backend's output. Never raises; linear."""
    raise NotImplementedError
