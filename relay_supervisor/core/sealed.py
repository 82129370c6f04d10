"""Bytes that one process image leaves for the next: whole and understood, or refused.

The number of the schema goes up with whatever is added to what is written. A newer release reads
an older one's, as every addition has a default; an older one refuses a newer one's, as it would
lose what it does not know.
"""

import struct
import zlib
from typing import Final

from relay_supervisor.errors import StateRefused

SCHEMA: Final = 1

MAGIC: Final = b"mcp-relay state\n"
_REST: Final = struct.Struct("!IQI")
"""Schema, length and checksum of the content."""

_START: Final = len(MAGIC) + _REST.size


def seal(content: bytes) -> bytes:
    """Return *content* with what `unseal` checks in front."""
    return MAGIC + _REST.pack(SCHEMA, len(content), zlib.crc32(content)) + content


def unseal(data: bytes) -> bytes:
    """Return the content of what `seal` made.

    Raises:
        StateRefused: it is not that, not whole, or of a newer release.
    """
    if not data.startswith(MAGIC) or len(data) < _START:
        raise StateRefused(f"{len(data)} bytes, and not the state of a relay")
    schema, length, checksum = _REST.unpack_from(data, len(MAGIC))
    if schema > SCHEMA:
        raise StateRefused(
            f"it has schema {schema}, and this release reads up to {SCHEMA}: it is too old"
        )
    content = data[_START:]
    if len(content) != length or zlib.crc32(content) != checksum:
        raise StateRefused(f"it is damaged: {len(content)} of {length} bytes, or other ones")
    return content
