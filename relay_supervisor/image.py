"""What one process image of the supervisor leaves for the next: the core's state, the descriptors
by their numbers, and all that is half read, unsent or waiting.

Add-only, like the core's `Memory`: a new member has a default and raises `sealed.SCHEMA`.
"""

from typing import Final

import msgspec

from relay_supervisor.adapters.children import Pipes
from relay_supervisor.adapters.client_stdio import ClientState
from relay_supervisor.adapters.control_socket import ControlState
from relay_supervisor.adapters.logbook import LogbookState
from relay_supervisor.adapters.worker_pipe import PipeState
from relay_supervisor.core import sealed
from relay_supervisor.errors import StateRefused
from relay_supervisor.settings import Settings
from relay_supervisor.wire.errors import UNDECODABLE

STATE_BYTES_MAX: Final = 256 << 20


class Image(msgspec.Struct):
    """All of it; of a relay that has yet to begin there are only the first two."""

    settings: Settings
    python: str
    """The interpreter the relay was started with: it alone heeds the paths of its environment."""
    core: bytes = b""
    signal_mask: list[int] = []
    log: LogbookState | None = None
    client: ClientState | None = None
    control: ControlState | None = None
    pipes: dict[int, PipeState] = {}
    """Of each worker, by the number of its generation."""
    stderrs: list[PipeState] = []
    """Of workers that are dead, while something may still come on their stderr."""
    workers: dict[int, int] = {}
    """Generation of each worker's pid."""
    backends: dict[int, Pipes] = {}
    """Our duplicates of each backend's pipe ends, by its pid."""
    journal: list[bytes] = []
    tended: dict[int, bytes] = {}
    """What backends wrote to stderr while no worker has them, by pid."""
    pidfds: dict[int, int] = {}
    """By the pid of each child."""

    def descriptors(self) -> list[int]:
        """Return the descriptors that the next image is to have."""
        found: list[int] = []
        if self.log is not None:
            found.append(self.log.fd)
        if self.client is not None:
            found += [self.client.stdin, self.client.stdout]
        if self.control is not None:
            found += self.control.descriptors()
        for pipe in (*self.pipes.values(), *self.stderrs):
            found += pipe.descriptors()
        for pipes in self.backends.values():
            found += pipes.descriptors()
        return [*found, *self.pidfds.values()]


def dump(image: Image) -> bytes:
    """Return *image* as bytes that `load` takes.

    Raises:
        StateRefused: it is too large to be handed over without a pause that would be felt.
    """
    data = sealed.seal(_encoder.encode(image))
    if len(data) > STATE_BYTES_MAX:
        raise StateRefused(
            f"the relay holds {len(data)} bytes of requests and answers, and hands over at most "
            f"{STATE_BYTES_MAX} (STATE_BYTES_MAX); try again when they are done"
        )
    return data


def load(data: bytes) -> Image:
    """Return what `dump` has written.

    Raises:
        StateRefused: it is damaged, or of a release that this one does not understand.
    """
    try:
        return _decoder.decode(sealed.unseal(data))
    except UNDECODABLE as error:
        raise StateRefused(f"it holds what this release does not know: {error}") from error


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Image)
