"""relayctl's door: a Unix socket only this user can use. It moves lines and decides nothing.

Nothing in it may block, and nothing a peer does may harm the relay: connections, bytes and seconds
are bounded, and whoever breaks the contract is told why and let go. A relay whose runtime
directory cannot be used serves its client all the same; `open` says so to its caller.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from relay_supervisor.adapters.loop import CLOSED, READ, WRITE, Loop
from relay_supervisor.control_peer import Peer, PeerState, Phase, peer_uid_of
from relay_supervisor.errors import ConfigurationError
from relay_supervisor.settings import SOCKET_PATH_BYTES_MAX, secure_dir
from relay_supervisor.socket_files import listening, remove_stale, socket_path
from relay_supervisor.wire.control_v1 import (
    REQUEST_BYTES_MAX,
    Failure,
    Reply,
    decode_request,
    encode,
)

CONNECTIONS_MAX: Final = 16
"""One more is told that the relay is busy."""

BACKLOG_CONNECTIONS_MAX: Final = 128
"""Large, as macOS refuses beyond it, and a refusal is what makes a socket look stale."""

REQUEST_SECONDS_MAX: Final = 5.0
"""A connection without a complete request is closed after this time."""

REPLY_SECONDS_MAX: Final = 5.0
"""A peer that has not read a finished reply after this time is dropped."""

REPLY_BYTES_MAX: Final = 8 << 20
"""A peer with more than this unread is dropped."""

ACCEPT_PAUSE_SECONDS: Final = 1.0
"""Without free descriptors `accept` fails at once, again and again: look away for this long."""

OnRequest: TypeAlias = Callable[[int, bytes], None]


class ControlState(msgspec.Struct):
    """What is left of the door when the code is replaced."""

    listener: int
    inode: int
    last_number: int
    accept_again: float | None
    peers: dict[int, PeerState]

    def descriptors(self) -> list[int]:
        """Return all that are open."""
        return [self.listener, *(peer.fd for peer in self.peers.values())]


class ControlSocket:
    """Takes one request per connection to *on_request*, and replies back to the peer.

    *on_request* gets a connection number, never reused, and a line `decode_request` accepts; *log*
    gets a line of text about what went wrong.
    """

    def __init__(
        self,
        loop: Loop,
        directory: str,
        instance_id: str,
        uid: int,
        *,
        on_request: OnRequest,
        log: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        peer_uid: Callable[[socket.socket], int | None] | None = None,
        left: ControlState | None = None,
    ) -> None:
        """Be closed until `open` is called, or go on with what is *left*."""
        self.path = socket_path(directory, instance_id)
        self._loop = loop
        self._directory = directory
        self._uid = uid
        self._on_request = on_request
        self._log = log
        self._clock = clock
        self._peer_uid = peer_uid or peer_uid_of
        self._listener: socket.socket | None = None
        self._inode = 0
        self._accept_again: float | None = None
        self._connections: dict[int, Peer] = {}
        self._last_number = 0
        if left is not None:
            self._resume(left)

    def _resume(self, left: ControlState) -> None:
        self._inode, self._last_number = left.inode, left.last_number
        self._accept_again = left.accept_again
        self._listener = socket.socket(fileno=left.listener)
        if self._accept_again is None:
            self._loop.watch(left.listener, READ, self._on_connect)
        for number, known in left.peers.items():
            peer = self._connections[number] = Peer(socket.socket(fileno=known.fd), known)
            self._watch(number, peer)

    def export(self) -> ControlState | None:
        """Return what another one can go on from; None while it is closed."""
        if self._listener is None:
            return None
        peers = {number: peer.export() for number, peer in self._connections.items()}
        return ControlState(
            self._listener.fileno(), self._inode, self._last_number, self._accept_again, peers
        )

    def open(self) -> None:
        """Make the directory safe, clean it up, and listen.

        Raises:
            ConfigurationError: there can be no control socket; the relay works without.
        """
        if len(os.fsencode(self.path)) > SOCKET_PATH_BYTES_MAX:
            raise ConfigurationError(
                f"the control socket's path {self.path} is over the system's limit of "
                f"{SOCKET_PATH_BYTES_MAX} bytes; set RELAY_RUNTIME_DIR to a shorter directory"
            )
        secure_dir(self._directory, self._uid)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            remove_stale(self._directory, self._uid, time.time())
            if not listening(self.path):
                os.unlink(self.path)  # ours by its name, so its age does not matter
            listener.bind(self.path)
            # Nobody else could enter the directory meanwhile.
            os.chmod(self.path, 0o600)
            listener.listen(BACKLOG_CONNECTIONS_MAX)
            listener.setblocking(False)
            self._inode = os.lstat(self.path).st_ino
        except OSError as error:
            listener.close()
            raise ConfigurationError(
                f"the control socket {self.path} cannot be opened ({error.strerror}); relayctl "
                "will not find this relay. Set RELAY_RUNTIME_DIR to a directory of your own"
            ) from error
        self._listener = listener
        self._loop.watch(listener.fileno(), READ, self._on_connect)

    def reply(self, connection: int, line: bytes, *, done: bool) -> None:
        """Send one `Reply` line; with *done* it is the last. A peer that has gone is no error."""
        peer = self._connections.get(connection)
        if peer is None or peer.phase is Phase.CLOSING:
            return
        if peer.queue.size + len(line) > REPLY_BYTES_MAX:
            self._log(f"relayctl did not read {REPLY_BYTES_MAX} bytes of its reply; dropped it")
            self._drop(connection)
            return
        peer.queue.append(line)
        if done:
            peer.phase = Phase.CLOSING
            peer.deadline = self._clock() + REPLY_SECONDS_MAX
        self._flush(connection, peer)

    def next_deadline(self) -> float | None:
        """Return when `expire` has something to do, in the clock's seconds."""
        if not self._connections and self._accept_again is None:
            return None
        times = [peer.deadline for peer in self._connections.values() if peer.deadline is not None]
        if self._accept_again is not None:
            times.append(self._accept_again)
        return min(times, default=None)

    def expire(self, now: float) -> None:
        """Let go of the peers whose time is over."""
        if self._accept_again is not None and self._accept_again <= now:
            self._accept_again = None
            if self._listener is not None:
                self._loop.watch(self._listener.fileno(), READ, self._on_connect)
        for number, peer in list(self._connections.items()):
            if peer.deadline is None or peer.deadline > now:
                continue
            if peer.phase is Phase.READING:
                self._refuse(
                    number, "too_slow", f"no request came within {REQUEST_SECONDS_MAX:g} s"
                )
            else:
                self._drop(number)

    def close(self) -> None:
        """Close everything and remove the socket file, if it is still this one's. Twice is fine."""
        self._close_listener()
        for number in list(self._connections):  # last: who is hung up on finds nobody any more
            self._drop(number)

    def _close_listener(self) -> None:
        if self._listener is None:
            return
        self._loop.unwatch(self._listener.fileno())
        self._listener.close()
        self._listener = None
        self._accept_again = None
        with contextlib.suppress(OSError):
            if os.lstat(self.path).st_ino == self._inode:
                os.unlink(self.path)

    def _on_connect(self, _events: int) -> None:
        for _ in range(CONNECTIONS_MAX):
            if self._listener is None:
                return
            try:
                peer, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                self._log(f"relayctl could not connect: {error.strerror}")
                self._loop.unwatch(self._listener.fileno())
                self._accept_again = self._clock() + ACCEPT_PAUSE_SECONDS
                return
            self._admit(peer)

    def _admit(self, peer: socket.socket) -> None:
        peer.setblocking(False)
        uid = self._peer_uid(peer)
        if uid != self._uid:
            who = "whose uid this system does not tell" if uid is None else f"with uid {uid}"
            self._log(f"refused a peer {who} on the control socket")
            _send_off(peer, "forbidden", f"this relay takes requests of uid {self._uid} only")
        elif len(self._connections) >= CONNECTIONS_MAX:
            _send_off(peer, "busy", f"{CONNECTIONS_MAX} control connections are open; try again")
        else:
            self._last_number = number = self._last_number + 1
            left = PeerState(peer.fileno(), Phase.READING, self._clock() + REQUEST_SECONDS_MAX)
            self._connections[number] = Peer(peer, left)
            self._watch(number, self._connections[number])

    def _on_ready(self, number: int, events: int) -> None:
        peer = self._connections[number]
        if peer.phase is Phase.READING:
            self._read(number, peer)
        elif events & CLOSED:
            self._drop(number)  # nobody is left to read the reply
        else:
            self._flush(number, peer)

    def _read(self, number: int, peer: Peer) -> None:
        try:
            data = peer.socket.recv(REQUEST_BYTES_MAX)
        except BlockingIOError:
            return  # the event was for an earlier owner of this descriptor
        except OSError:
            data = b""
        if not data:
            self._drop(number)
            return
        lines = peer.reader.feed(data)
        if peer.reader.oversized:
            self._refuse(number, "too_large", f"a request has at most {REQUEST_BYTES_MAX} bytes")
        elif lines:
            self._take(number, peer, lines[0])

    def _take(self, number: int, peer: Peer, line: bytes) -> None:
        request = decode_request(line)
        if isinstance(request, Failure):
            self._refuse(number, request.code, request.message)
            return
        peer.phase = Phase.ANSWERING
        peer.deadline = None
        self._watch(number, peer)
        self._on_request(number, line)

    def _refuse(self, number: int, code: str, message: str) -> None:
        self.reply(number, _refusal(code, message), done=True)

    def _flush(self, number: int, peer: Peer) -> None:
        try:
            peer.queue.flush(peer.socket.fileno())
        except OSError:
            self._drop(number)
            return
        if peer.phase is Phase.CLOSING and not peer.queue.size:
            self._drop(number)
        else:
            self._watch(number, peer)

    def _watch(self, number: int, peer: Peer) -> None:
        """After the request only its end is of interest: what else it writes is never read."""
        mask = READ if peer.phase is Phase.READING else WRITE if peer.queue.size else 0
        self._loop.watch(peer.socket.fileno(), mask, lambda events: self._on_ready(number, events))

    def _drop(self, number: int) -> None:
        peer = self._connections.pop(number)
        self._loop.unwatch(peer.socket.fileno())
        peer.socket.close()


def _refusal(code: str, message: str) -> bytes:
    return encode(Reply(done=True, error=Failure(code, message)))


def _send_off(peer: socket.socket, code: str, message: str) -> None:
    with contextlib.suppress(OSError):
        peer.send(_refusal(code, message))
    peer.close()
