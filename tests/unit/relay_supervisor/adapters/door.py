"""A control socket with a clock in the test's hand, and what its peers read."""

import contextlib
import os
import socket
from pathlib import Path

from relay_supervisor.adapters.control_socket import ControlSocket, ControlState
from relay_supervisor.adapters.loop import Loop
from relay_supervisor.wire.control_v1 import Reply, Request, decode_reply, encode
from tests.unit.relay_supervisor.adapters.descriptors import written_down

STATUS = encode(Request("status"))
ANSWER = encode(Reply(done=True))
PEER_SECONDS = 5.0  # bound of every wait of a peer's


class Door:
    """A ControlSocket with a clock in the test's hand, and whatever it reported."""

    def __init__(self, directory: Path, instance: str = "r1") -> None:
        self.loop = Loop()
        self.now = 1000.0
        self.uid: int | None = os.getuid()
        self.requests: list[tuple[int, bytes]] = []
        self.logged: list[str] = []
        self._directory, self._instance = str(directory), instance
        self.socket = self._made()
        self.peers = contextlib.ExitStack()

    def _made(self, left: ControlState | None = None) -> ControlSocket:
        return ControlSocket(
            self.loop,
            self._directory,
            self._instance,
            os.getuid(),
            on_request=lambda number, line: self.requests.append((number, line)),
            log=self.logged.append,
            clock=lambda: self.now,
            peer_uid=lambda peer: self.uid,
            left=left,
        )

    def reexec(self) -> None:
        """Write the adapter down, and make another one of that."""
        left = self.socket.export()
        if left is None or not isinstance(self.socket._listener, socket.socket):
            return  # closed, or a test has put something in its place
        for ours in (self.socket._listener, *(c.socket for c in self.socket._connections.values())):
            ours.detach()  # at a real one nothing is closed behind it
        self.loop._poller.close()
        self.loop = Loop()
        on_request = self.socket._on_request  # a test may have put its own there
        self.socket = self._made(written_down(left, ControlState))
        self.socket._on_request = on_request

    def connect(self, *, turn: bool = True) -> socket.socket:
        peer = self.peers.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        peer.settimeout(PEER_SECONDS)
        peer.connect(self.socket.path)
        if turn:
            self.turn()
        return peer

    def turn(self) -> None:
        """What local peers did before is seen by one turn; a second is for what it caused."""
        self.loop.turn(0)
        self.loop.turn(0)

    def ask(self, line: bytes = STATUS) -> tuple[socket.socket, int]:
        """A peer with its request taken in, and the number it is known by."""
        peer = self.connect()
        peer.sendall(line)
        self.turn()
        return peer, self.requests[-1][0]

    def connections(self) -> int:
        return len(self.socket._connections)


def read_all(peer: socket.socket) -> bytes:
    """Everything up to the end of the connection."""
    parts = []
    while True:
        try:
            data = peer.recv(1 << 20)
        except ConnectionResetError:
            break  # closed with bytes of ours unread: the same for the reader
        if not data:
            break
        parts.append(data)
    return b"".join(parts)


def refusal(peer: socket.socket) -> str:
    """The code in the one line the peer got before the end."""
    reply = decode_reply(read_all(peer))
    assert reply.done and reply.error is not None and reply.error.message
    return reply.error.code
