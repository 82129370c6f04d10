"""The control socket against peers that break the contract, by malice or by accident."""

import errno
import os
import socket

import pytest

from relay_supervisor.adapters.control_socket import (
    ACCEPT_PAUSE_SECONDS,
    CONNECTIONS_MAX,
    REPLY_BYTES_MAX,
    REPLY_SECONDS_MAX,
    REQUEST_SECONDS_MAX,
)
from relay_supervisor.wire.control_v1 import REQUEST_BYTES_MAX
from tests.unit.relay_supervisor.adapters.door import (
    ANSWER,
    PEER_SECONDS,
    STATUS,
    Door,
    read_all,
    refusal,
)


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
