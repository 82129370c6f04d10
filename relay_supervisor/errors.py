"""The exceptions of the supervisor, as a tree; those under ProtocolError live in `wire.errors`.

    RelayError
    ├── ConfigurationError      the user's: settings of the environment or the command line
    ├── ProtocolError
    │   ├── LocalProtocolError  ours: a bug in the relay
    │   └── RemoteProtocolError the peer's: client, worker or relayctl broke the contract
    │       └── FrameTooLarge   the peer's: a frame over its named limit
    ├── SpawnFailed             the machine's: a process could not be started
    └── StateRefused            nobody's, or the disk's: what a process image left cannot be read

Every message says whose fault it is and what to do about it.
"""

from relay_supervisor.wire.errors import (
    FrameTooLarge,
    LocalProtocolError,
    ProtocolError,
    RelayError,
    RemoteProtocolError,
)

__all__ = [
    "ConfigurationError",
    "FrameTooLarge",
    "LocalProtocolError",
    "ProtocolError",
    "RelayError",
    "RemoteProtocolError",
    "SpawnFailed",
    "StateRefused",
]


class ConfigurationError(RelayError):
    """A setting from the environment or the command line cannot be used."""


class SpawnFailed(RelayError):
    """A process could not be started."""


class StateRefused(RelayError):
    """What one process image has left for the next cannot be read by this one."""
