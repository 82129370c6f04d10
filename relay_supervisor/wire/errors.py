"""The errors both sides of the pipe know. `relay_supervisor.errors` shows the whole tree."""

from typing import Final

import msgspec

UNDECODABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for input that is no message, is of another shape, or nests too deeply."""


class RelayError(Exception):
    """Base of all errors the relay raises on purpose."""


class ProtocolError(RelayError):
    """Somebody broke the contract between the parts."""


class LocalProtocolError(ProtocolError):
    """The relay itself broke its contract: a bug, to be reported with the log."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the contract."""


class FrameTooLarge(RemoteProtocolError):
    """A frame is over its named limit."""

    def __init__(self, what: str, size: int, limit: int) -> None:
        super().__init__(f"{what} of {size} bytes is over the limit of {limit} bytes")
        self.size = size
        self.limit = limit
