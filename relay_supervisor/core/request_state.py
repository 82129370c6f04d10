"""The `requestState` a parked call is found by: numbers of ours with an authentication code.

It says nothing about the call, and lives no longer than the relay's memory. Whatever does not begin
as this relay's do is some server's own, and none of our business; a server may be a relay, too.
"""

from _blake2 import blake2s  # hashlib's start-up time and memory are too dear for the supervisor
from _operator import _compare_digest  # and hmac would load it
from typing import Final

SECRET_BYTES_MAX: Final = 32
CODE_BYTES: Final = 16
MARK_CHARS: Final = 8
_PERSON: Final = b"parked"


class Forged(Exception):
    """It begins as this relay's do, and is none of them."""


def write(secret: bytes, ticket: int, turn: int) -> str:
    """Return the state for one turn of a ticket."""
    return f"{_prefix(secret)}{ticket}.{turn}.{_code(secret, ticket, turn)}"


def read(secret: bytes, state: str) -> tuple[int, int] | None:
    """Return ticket and turn, or None where the state is no work of this relay's.

    Raises:
        Forged: this relay has never written it.
    """
    prefix = _prefix(secret)
    if not state.startswith(prefix):
        return None
    ticket, _, rest = state.removeprefix(prefix).partition(".")
    turn, _, code = rest.partition(".")
    if not (_is_number(ticket) and _is_number(turn)):
        raise Forged
    known = int(ticket), int(turn)
    if not _compare_digest(_code(secret, *known).encode(), code.encode(errors="replace")):
        raise Forged
    return known


def _prefix(secret: bytes) -> str:
    """Return what the states of one relay begin with, and those of no other; no ticket is 0."""
    return f"relay-{_code(secret, 0, 0)[:MARK_CHARS]}:"


def _code(secret: bytes, ticket: int, turn: int) -> str:
    data = b"%d.%d" % (ticket, turn)
    return blake2s(data, digest_size=CODE_BYTES, key=secret, person=_PERSON).hexdigest()


def _is_number(text: str) -> bool:
    return len(text) <= len(str(2**63)) and text.isascii() and text.isdigit()
