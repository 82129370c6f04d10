"""The registry cache: what the client sees, and the raw lists behind it, in one file.

The worker writes the file, the supervisor reads it once at its start. A file that is damaged,
of another format or for another configuration counts as absent; it is never an error.
"""

import zlib
from typing import Final

import msgspec

from relay_supervisor.wire.errors import UNDECODABLE

MAGIC: Final = b"mcp-relay cache 1\n"
FILE_BYTES_MAX: Final = 256 << 20
"""A larger cache file is not read."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One tool, prompt, resource or template. `key` is its name, URI or template as the client
    sees it, `item` its JSON text as the client gets it.
    """

    key: str
    backend: str
    item: bytes
    repeatable: bool = False
    """It may be called again after an unknown outcome: its hints say so, and they are trusted."""


class Quarantined(msgspec.Struct, frozen=True, array_like=True):
    """A list item that was left out, because a client could trip over it."""

    backend: str
    kind: str
    name: str
    reason: str


class Body(msgspec.Struct, frozen=True):
    """Everything the client sees. The lists are sorted; `capabilities` is the JSON text of the
    server capabilities to declare.
    """

    tools: list[Entry] = []
    prompts: list[Entry] = []
    resources: list[Entry] = []
    templates: list[Entry] = []
    capabilities: bytes = b"{}"
    quarantined: list[Quarantined] = []


class Lists(msgspec.Struct, frozen=True, array_like=True):
    """The raw lists of one backend in the worker's own format."""

    backend: str
    spec_hash: str
    payload: bytes


class Snapshot(msgspec.Struct, frozen=True):
    """The content of a cache file."""

    digest: str
    instructions: str
    body: Body
    lists: list[Lists] = []


_body = msgspec.msgpack.Decoder(Body)
_snapshot = msgspec.msgpack.Decoder(Snapshot)


def encode_body(body: Body) -> bytes:
    """Return the payload of a `Catalogue` message."""
    return msgspec.msgpack.encode(body)


def decode_body(payload: bytes) -> Body:
    """Decode the payload of a `Catalogue` message.

    Raises:
        Exception: one of `UNDECODABLE`, the payload is broken.
    """
    return _body.decode(payload)


def dump(snapshot: Snapshot) -> bytes:
    """Return the bytes of a cache file."""
    content = msgspec.msgpack.encode(snapshot)
    return MAGIC + zlib.crc32(content).to_bytes(4, "big") + content


def load(data: bytes) -> Snapshot | None:
    """Return what a cache file holds, or None where it cannot be used."""
    start = len(MAGIC) + 4
    if not data.startswith(MAGIC) or len(data) < start:
        return None
    content = data[start:]
    if zlib.crc32(content) != int.from_bytes(data[len(MAGIC) : start], "big"):
        return None
    try:
        return _snapshot.decode(content)
    except UNDECODABLE:
        return None


def key(*parts: bytes) -> str:
    """Return a file name for what depends on *parts*: no proof against malice, none is needed.

    Two checksums and the length, as hashlib's start-up time and memory are too dear for the
    supervisor; a collision would show a stale list until the backends have answered.
    """
    text = b"\0".join(parts)
    return f"{len(text):x}-{zlib.crc32(text):08x}{zlib.adler32(text):08x}"
