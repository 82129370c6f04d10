"""What a session with a backend wants done or known: its whole output, in order."""

from typing import TypeAlias

import msgspec

from relay_worker.lists import RawLists


class Effect(msgspec.Struct, frozen=True):
    """Base of what a session wants done."""


class Send(Effect, frozen=True):
    """Write this frame to the backend."""

    frame: bytes


class Listed(Effect, frozen=True):
    """The lists are known, for the first time or in a new version."""

    lists: RawLists


class Broken(Effect, frozen=True):
    """The backend cannot be used as it is."""

    reason: str


class Tried(Effect, frozen=True):
    """Words were tried that the backend may not know: it is not to be waited for long."""


class Problem(Effect, frozen=True):
    """Something is wrong that does no harm but should be known."""

    text: str


class Asked(Effect, frozen=True):
    """The backend asks the client."""

    id: bytes
    method: str
    params: bytes


class Withdrew(Effect, frozen=True):
    """The backend no longer wants the answer of the client's."""

    id: bytes
    params: bytes


class Progressed(Effect, frozen=True):
    """Progress of a call, without its token."""

    call: int
    params: bytes


class Notified(Effect, frozen=True):
    """A notification for the client."""

    method: str
    params: bytes


Effects: TypeAlias = list[Effect]
