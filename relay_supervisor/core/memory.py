"""All that a relay knows, in one tree of plain data: what is left when its code is replaced.

The rooms of the core keep nothing outside of it but what follows from it. It is written between
two events, and nothing of it is a secret the process did not have before.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from relay_supervisor.core import sealed
from relay_supervisor.core.drains import Drain
from relay_supervisor.core.ending import EndingState
from relay_supervisor.core.generation import Source
from relay_supervisor.core.heartbeat import HeartbeatState
from relay_supervisor.core.notices import Notice
from relay_supervisor.core.processes import Process
from relay_supervisor.core.recovery import RecoveryState
from relay_supervisor.core.reexec import ReexecState
from relay_supervisor.core.registry import Registry
from relay_supervisor.core.session import SessionState
from relay_supervisor.core.state import ParkingState, State
from relay_supervisor.core.swap_record import SwapsState
from relay_supervisor.core.timers import Timers
from relay_supervisor.core.workers import Identity, WorkersState
from relay_supervisor.errors import StateRefused
from relay_supervisor.wire.errors import UNDECODABLE


class Memory(msgspec.Struct):
    """The root. Add-only: a new member goes to the end, with a default, and raises `SCHEMA`."""

    identity: Identity
    recovery: RecoveryState
    workers: WorkersState
    session: SessionState = msgspec.field(default_factory=SessionState)
    state: State = msgspec.field(default_factory=State)
    registry: Registry = msgspec.field(default_factory=Registry)
    timers: Timers = msgspec.field(default_factory=Timers)
    processes: dict[int, Process] = {}
    swaps: SwapsState = msgspec.field(default_factory=SwapsState)
    drains: dict[int, Drain] = {}
    ending: EndingState = msgspec.field(default_factory=EndingState)
    heartbeat: HeartbeatState = msgspec.field(default_factory=HeartbeatState)
    reexec: ReexecState = msgspec.field(default_factory=ReexecState)
    parking: ParkingState = msgspec.field(default_factory=ParkingState)
    notices: list[Notice] = []

    @property
    def calm(self) -> bool:
        """Tell whether nothing but calls is under way, as nearly always: then no room has to be
        asked after an event what it wants to do. A swap that warms up wants nothing but what its
        own events bring about, or the end of a drain.
        """
        ending = self.ending
        return not (
            self.state.custody.stale
            or self.swaps.probation is not None
            or self.drains
            or ending.client_closed
            or ending.pace is not None
        )


def begin(
    identity: Identity, snapshots: Mapping[str, bytes], seed: int, first: Source, secret: bytes
) -> Memory:
    """Return what a relay knows that has no worker and no client yet.

    Args:
        identity: what the relay knows of itself.
        snapshots: cache files read at the start, by the variant of their client.
        seed: for nonces and back-off, not 0; the same seed gives the same run.
        first: what the first generation is made of.
        secret: random bytes that nobody can guess, at most `request_state.SECRET_BYTES_MAX`.
    """
    return Memory(
        identity,
        RecoveryState(first),
        WorkersState(entropy=seed),
        SessionState(snapshots),
        parking=ParkingState(secret),
    )


def dump(memory: Memory) -> bytes:
    """Return *memory* as bytes, without what can be made from the rest or is of no more use."""
    lean = msgspec.structs.replace(memory, registry=memory.registry.bare())
    if memory.registry.body is not None:
        lean.session = SessionState(variant=memory.session.variant)
    return sealed.seal(_encoder.encode(lean))


def load(data: bytes, build: str, python: str) -> Memory:
    """Return what `dump` has written, for a relay that now is of this *build* and runs on *python*.

    Raises:
        StateRefused: it is damaged, or of a release that this one does not understand.
    """
    try:
        memory = _decoder.decode(sealed.unseal(data))
    except UNDECODABLE as error:
        raise StateRefused(f"it holds what this release does not know: {error}") from error
    memory.identity = msgspec.structs.replace(memory.identity, build=build, python=python)
    memory.registry.revive()
    return memory


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Memory)
