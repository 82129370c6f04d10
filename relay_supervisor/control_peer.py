"""One relayctl at the control socket: its request, what it has yet to read, and who it is."""

import enum
import socket
import struct
import sys

import msgspec

from relay_supervisor.wire.control_v1 import REQUEST_BYTES_MAX
from relay_supervisor.wire.framing import LineReader, WriteQueue


class Phase(enum.Enum):
    """How far a conversation is."""

    READING = "waiting for the request"
    ANSWERING = "the relay has the request"
    CLOSING = "the last line is queued"


class PeerState(msgspec.Struct):
    """What is left of a conversation when the code is replaced."""

    fd: int
    phase: Phase
    deadline: float | None
    request: bytes = b""
    """As far as it has come."""
    unsent: bytes = b""


class Peer:
    """Its connection; `deadline` is in the clock's seconds."""

    __slots__ = ("deadline", "phase", "queue", "reader", "socket")

    def __init__(self, peer: socket.socket, left: PeerState) -> None:
        self.socket = peer
        self.phase = left.phase
        self.deadline = left.deadline
        self.reader = LineReader(REQUEST_BYTES_MAX, left.request)
        self.queue = WriteQueue()
        self.queue.append(left.unsent)

    def export(self) -> PeerState:
        """Return what another one can go on from."""
        return PeerState(
            self.socket.fileno(), self.phase, self.deadline, self.reader.rest, self.queue.rest
        )


def peer_uid_of(peer: socket.socket) -> int | None:
    """Return the uid of the process at the other end, None where the system does not tell."""
    uid: int | None = None
    if sys.platform == "linux":
        layout = "iII"  # struct ucred: pid, uid, gid
        size = struct.calcsize(layout)
        _, uid, _ = struct.unpack(
            layout, peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        )
    elif sys.platform == "darwin":
        layout = "IIh16I"  # struct xucred: version 0, uid, number of groups, groups; SOL_LOCAL is 0
        found = peer.getsockopt(0, socket.LOCAL_PEERCRED, struct.calcsize(layout))
        uid = struct.unpack_from("II", found)[1] if found[:4] == bytes(4) else None
    return uid
