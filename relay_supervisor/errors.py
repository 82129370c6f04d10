"""The exceptions of the supervisor, as a tree.

    RelayError
    ├── ConfigurationError      the user's: settings of the environment or the command line
    ├── ProtocolError
    │   ├── LocalProtocolError  ours: a bug in the relay
    │   └── RemoteProtocolError the peer's: client, worker or relayctl broke the contract
    │       └── FrameTooLarge   the peer's: a frame over its named limit
    └── SpawnFailed             the machine's: a process could not be started

Every message says whose fault it is and what to do about it.
"""


class RelayError(Exception):
    """Base of all errors the relay raises on purpose."""


class ConfigurationError(RelayError):
    """A setting from the environment or the command line cannot be used."""


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


class SpawnFailed(RelayError):
    """A process could not be started."""
