"""relayctl's messages on the control socket, version 1. Add-only; either side may be newer.

One request per connection, one JSON object per line in both directions, so that a person with
`socat` can use it too. The relay answers with any number of `Reply` lines; the last has
`done` true. Unknown fields are skipped, an unknown `op` is refused by name.
"""

from datetime import UTC, datetime
from typing import Final

import msgspec

from relay_supervisor.wire.errors import UNDECODABLE

REQUEST_BYTES_MAX: Final = 64 << 10
"""A longer request is refused and the connection closed."""

VERSION: Final = 1

NO_RESULT: Final = msgspec.Raw(b"null")
"""A default of its own, as msgspec decodes no `Raw | None`; not sent, being the default."""


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    """What relayctl asks. `op` is one of the relay's operations, such as `status`."""

    op: str
    v: int = VERSION
    args: dict[str, str | int | float | bool | None] = {}


class Failure(msgspec.Struct, frozen=True):
    """Why it was refused or went wrong. `code` is a word for programs, `message` for people."""

    code: str
    message: str


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the answer. `result` depends on the operation; `status`: one instance of
    `relayctl status --json`, memory figures left to relayctl.
    """

    done: bool
    result: msgspec.Raw = NO_RESULT
    error: Failure | None = None


def timestamp(epoch_seconds: float) -> str:
    """Return a time of the wall clock as relayctl shows it: RFC 3339, UTC, whole seconds."""
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_request = msgspec.json.Decoder(Request)
_reply = msgspec.json.Decoder(Reply)


def decode_request(line: bytes) -> Request | Failure:
    """Return the request of *line*, or the failure to answer it with."""
    try:
        request = _request.decode(line)
    except UNDECODABLE as error:
        return Failure("bad_request", f"this is no control request of relayctl's: {error}")
    if request.v != VERSION:
        return Failure("version", f"this relay speaks control version {VERSION}, not {request.v}")
    return request


def decode_reply(line: bytes) -> Reply:
    """Return the reply of *line*.

    Raises:
        Exception: one of `UNDECODABLE`, it is none.
    """
    return _reply.decode(line)


def encode(message: Request | Reply) -> bytes:
    """Return *message* as one line, with its newline."""
    return msgspec.json.encode(message) + b"\n"
