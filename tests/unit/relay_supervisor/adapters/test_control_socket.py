"""The control socket against peers that behave, and against those that do not. Real sockets."""

import contextlib
import errno
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_supervisor.adapters import control_socket
from relay_supervisor.adapters.control_socket import (
    ACCEPT_PAUSE_SECONDS,
    CONNECTIONS_MAX,
    REPLY_BYTES_MAX,
    REPLY_SECONDS_MAX,
    REQUEST_SECONDS_MAX,
    ControlSocket,
)
from relay_supervisor.adapters.loop import Loop
from relay_supervisor.errors import ConfigurationError
from relay_supervisor.wire.control_v1 import (
    REQUEST_BYTES_MAX,
    Reply,
    Request,
    decode_reply,
    encode,
)

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
        self.socket = ControlSocket(
            self.loop,
            str(directory),
            instance,
            os.getuid(),
            on_request=lambda number, line: self.requests.append((number, line)),
            log=self.logged.append,
            clock=lambda: self.now,
            peer_uid=lambda peer: self.uid,
        )
        self.peers = contextlib.ExitStack()

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


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A short directory of our own, not there yet."""
    with tempfile.TemporaryDirectory(prefix="rl-") as folder:
        yield Path(folder) / "run"


@pytest.fixture
def door(runtime: Path) -> Iterator[Door]:
    door = Door(runtime)
    door.socket.open()
    with door.peers:
        yield door
    door.socket.close()


# ---- a life without trouble


def test_directory_and_socket_are_for_this_user_only(door: Door, runtime: Path) -> None:
    assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
    assert stat.S_IMODE(os.lstat(door.socket.path).st_mode) == 0o600
    assert door.socket.path == str(runtime / "r1.sock")


def test_a_request_is_handed_on_and_its_reply_sent(door: Door) -> None:
    peer, number = door.ask()
    assert door.requests == [(number, STATUS.rstrip(b"\n"))]
    door.socket.reply(number, encode(Reply(done=False)), done=False)
    door.socket.reply(number, ANSWER, done=True)
    assert read_all(peer) == encode(Reply(done=False)) + ANSWER
    assert door.connections() == 0
    assert door.socket.next_deadline() is None


def test_a_reply_may_be_given_while_the_request_is_handed_on(runtime: Path) -> None:
    door = Door(runtime)
    door.socket._on_request = lambda number, line: door.socket.reply(number, ANSWER, done=True)
    door.socket.open()
    with door.peers:
        peer = door.connect()
        peer.sendall(STATUS)
        door.turn()
        assert read_all(peer) == ANSWER
    door.socket.close()


def test_a_request_may_come_byte_by_byte_and_with_the_writing_side_closed(door: Door) -> None:
    peer = door.connect()
    for index in range(len(STATUS)):
        assert not door.requests
        peer.sendall(STATUS[index : index + 1])
        door.turn()
    peer.shutdown(socket.SHUT_WR)  # as `echo … | socat - UNIX:…` does
    door.turn()
    door.socket.reply(door.requests[0][0], ANSWER, done=True)
    assert read_all(peer) == ANSWER


def test_a_connection_carries_one_request(door: Door) -> None:
    peer, number = door.ask(STATUS + STATUS)
    peer.sendall(STATUS)
    door.turn()
    assert len(door.requests) == 1
    door.socket.reply(number, ANSWER, done=True)
    assert read_all(peer) == ANSWER


def test_numbers_are_never_used_again(door: Door) -> None:
    seen = set()
    for _ in range(5):
        peer, number = door.ask()
        peer.close()
        door.turn()
        seen.add(number)
    assert len(seen) == 5


def test_close_removes_the_file_and_ends_connections_and_may_be_repeated(door: Door) -> None:
    peer, _ = door.ask()
    door.socket.close()
    door.socket.close()
    assert read_all(peer) == b""
    assert not os.path.lexists(door.socket.path)
    assert door.socket.next_deadline() is None


def test_close_leaves_a_file_that_is_not_its_own(door: Door, runtime: Path) -> None:
    # The inode is held, or the file system would give its number to the next file.
    os.rename(door.socket.path, runtime / "kept")
    other = Door(runtime)
    other.socket.open()
    door.socket.close()
    assert os.path.lexists(other.socket.path)
    other.socket.close()


def test_the_real_credentials_of_a_peer_are_this_users() -> None:
    here, there = socket.socketpair()
    with here, there:
        assert control_socket.peer_uid_of(here) == os.getuid()


# ---- peers that break the contract


@pytest.mark.parametrize("uid", [os.getuid() + 1, 0 if os.getuid() else 12345, None])
def test_another_user_is_refused_and_told_so(door: Door, uid: int | None) -> None:
    door.uid = uid
    peer = door.connect()
    assert refusal(peer) == "forbidden"
    assert door.connections() == 0 and len(door.logged) == 1


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"hello\n",
        b"[]\n",
        b'{"op":7}\n',
        b'{"no":"op"}\n',
        b"\xff\xfe\x00\n",
        b"[" * 60_000 + b"\n",
        b'{"op":"status","args":{"a":{"b":1}}}\n',
    ],
)
def test_garbage_is_refused_and_never_handed_on(door: Door, line: bytes) -> None:
    peer = door.connect()
    peer.sendall(line)
    door.turn()
    assert refusal(peer) == "bad_request"
    assert not door.requests and door.connections() == 0


def test_another_control_version_is_refused_by_name(door: Door) -> None:
    peer = door.connect()
    peer.sendall(b'{"op":"status","v":2}\n')
    door.turn()
    assert refusal(peer) == "version"


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_an_oversized_request_is_refused_without_being_kept(door: Door, end: bytes) -> None:
    peer = door.connect()
    rest = b'{"op":"' + b"a" * REQUEST_BYTES_MAX + end
    while rest:
        part, rest = rest[:30_000], rest[30_000:]
        peer.sendall(part)
        door.turn()
    assert refusal(peer) == "too_large"
    assert not door.requests and door.connections() == 0


def test_a_request_of_just_the_limit_is_taken(door: Door) -> None:
    start, end = b'{"op":"', b'"}'
    line = start + b"a" * (REQUEST_BYTES_MAX - len(start) - len(end)) + end
    peer = door.connect()
    peer.sendall(line[:40_000])
    door.turn()
    peer.sendall(line[40_000:] + b"\n")
    door.turn()
    assert [taken for _, taken in door.requests] == [line]


@pytest.mark.parametrize("start", [b"", b'{"op":"sta'])
def test_half_a_request_and_then_nothing_ends_after_its_time(door: Door, start: bytes) -> None:
    peer = door.connect()
    peer.sendall(start)
    door.turn()
    deadline = door.socket.next_deadline()
    assert deadline == door.now + REQUEST_SECONDS_MAX
    door.socket.expire(deadline - 0.001)
    assert door.connections() == 1
    door.now = deadline
    door.socket.expire(door.now)
    assert refusal(peer) == "too_slow"
    assert door.connections() == 0 and door.socket.next_deadline() is None


@pytest.mark.parametrize("start", [b"", b'{"op":"status"}'])
def test_an_end_before_the_newline_is_no_request(door: Door, start: bytes) -> None:
    peer = door.connect()
    peer.sendall(start)
    peer.shutdown(socket.SHUT_WR)
    door.turn()
    assert read_all(peer) == b""
    assert not door.requests and door.connections() == 0


def test_a_request_under_way_has_no_deadline_of_the_sockets(door: Door) -> None:
    _, number = door.ask()
    assert door.socket.next_deadline() is None
    door.socket.expire(door.now + 1e6)
    assert door.connections() == 1
    door.socket.reply(number, ANSWER, done=True)


def test_a_peer_that_goes_before_its_reply_is_forgotten(door: Door) -> None:
    peer, number = door.ask()
    peer.close()
    door.turn()
    assert door.connections() == 0
    door.socket.reply(number, ANSWER, done=True)  # no error, nobody to tell


def test_a_peer_that_reads_slowly_gets_everything(door: Door) -> None:
    peer, number = door.ask()
    line = b"x" * (REPLY_BYTES_MAX - 1) + b"\n"
    door.socket.reply(number, line, done=True)
    assert door.connections() == 1  # a socket's buffer is far smaller
    received = 0
    while door.connections():
        received += len(peer.recv(1 << 20))
        door.loop.turn(PEER_SECONDS)
    assert received + len(read_all(peer)) == len(line)


def test_a_peer_that_never_reads_is_dropped_after_its_time(door: Door) -> None:
    _, number = door.ask()
    door.socket.reply(number, b"x" * REPLY_BYTES_MAX, done=True)
    assert door.socket.next_deadline() == door.now + REPLY_SECONDS_MAX
    door.turn()
    assert door.connections() == 1
    door.socket.expire(door.now + REPLY_SECONDS_MAX)
    assert door.connections() == 0


def test_a_peer_that_never_reads_is_dropped_over_the_bytes_kept_for_it(door: Door) -> None:
    _, number = door.ask()
    line = b"x" * (1 << 20)
    sent = 0
    while door.connections():
        assert sent <= REPLY_BYTES_MAX + (1 << 20)  # a socket's buffer holds some, too
        door.socket.reply(number, line, done=False)
        sent += len(line)
    assert len(door.logged) == 1


def test_one_too_many_is_told_so_and_the_others_are_served(door: Door) -> None:
    asked = [door.ask() for _ in range(CONNECTIONS_MAX)]
    assert refusal(door.connect()) == "busy"
    for peer, number in asked:
        door.socket.reply(number, ANSWER, done=True)
        assert read_all(peer) == ANSWER
    _, number = door.ask()
    door.socket.reply(number, ANSWER, done=True)


def test_a_crowd_at_once_is_admitted_in_full(door: Door) -> None:
    peers = [door.connect(turn=False) for _ in range(CONNECTIONS_MAX)]
    for peer in peers:
        peer.sendall(STATUS)
    door.turn()
    assert len(door.requests) == CONNECTIONS_MAX


def test_silent_connections_do_not_keep_others_out_for_ever(door: Door) -> None:
    silent = [door.connect() for _ in range(CONNECTIONS_MAX)]
    door.now += REQUEST_SECONDS_MAX
    door.socket.expire(door.now)
    assert {refusal(peer) for peer in silent} == {"too_slow"}
    door.ask()


def test_without_free_descriptors_the_loop_looks_away_for_a_while(door: Door) -> None:
    class Exhausted:
        """A listener as it is when the process has no descriptor left."""

        def __init__(self, listener: socket.socket) -> None:
            self.listener = listener

        def accept(self) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        def __getattr__(self, name: str) -> object:
            return getattr(self.listener, name)

    listener = door.socket._listener
    assert listener is not None
    door.socket._listener = Exhausted(listener)  # type: ignore[assignment]
    peer = door.connect()
    door.turn()
    door.turn()
    assert len(door.logged) == 1  # told once, not in every turn
    door.socket._listener = listener
    deadline = door.socket.next_deadline()
    assert deadline == door.now + ACCEPT_PAUSE_SECONDS
    door.socket.expire(deadline)
    peer.sendall(STATUS)
    door.turn()
    assert len(door.requests) == 1 and door.socket.next_deadline() is None


# ---- directories that cannot be used


def test_a_path_too_long_for_a_socket_names_the_setting(runtime: Path) -> None:
    door = Door(runtime / ("d" * 110))
    with pytest.raises(ConfigurationError, match="RELAY_RUNTIME_DIR"):
        door.socket.open()
    assert not runtime.exists()


def test_a_linked_directory_is_refused(runtime: Path) -> None:
    (runtime.parent / "elsewhere").mkdir(mode=0o700)
    runtime.symlink_to(runtime.parent / "elsewhere")
    with pytest.raises(ConfigurationError, match="is no directory"):
        Door(runtime).socket.open()
    assert not list((runtime.parent / "elsewhere").iterdir())


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o777, 0o1777])
def test_a_directory_open_to_others_is_refused(runtime: Path, mode: int) -> None:
    runtime.mkdir()
    runtime.chmod(mode)
    with pytest.raises(ConfigurationError, match="open to others"):
        Door(runtime).socket.open()


def test_a_directory_of_somebody_else_is_refused(runtime: Path) -> None:
    runtime.mkdir(mode=0o700)
    door = Door(runtime)
    door.socket._uid = os.getuid() + 1
    with pytest.raises(ConfigurationError, match="belongs to uid"):
        door.socket.open()


def test_a_file_in_the_directorys_place_is_refused(runtime: Path) -> None:
    runtime.write_text("")
    with pytest.raises(ConfigurationError):
        Door(runtime).socket.open()


def test_a_second_relay_with_the_same_id_does_not_take_the_socket(
    door: Door, runtime: Path
) -> None:
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        Door(runtime).socket.open()
    door.ask()


def test_a_socket_that_could_not_be_opened_can_be_closed(runtime: Path) -> None:
    runtime.write_text("")
    door = Door(runtime)
    with contextlib.suppress(ConfigurationError):
        door.socket.open()
    door.socket.close()
    assert runtime.exists()


def test_the_socket_of_an_earlier_life_of_the_same_relay_is_replaced(runtime: Path) -> None:
    runtime.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(runtime / "r1.sock"))
    door = Door(runtime)
    door.socket.open()
    with door.peers:
        door.ask()
    door.socket.close()
