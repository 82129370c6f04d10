"""The control socket with peers that behave, and directories that do not. Real sockets."""

import contextlib
import os
import socket
import stat
from pathlib import Path

import pytest

from relay_supervisor.adapters import control_socket
from relay_supervisor.errors import ConfigurationError
from relay_supervisor.wire.control_v1 import Reply, encode
from tests.unit.relay_supervisor.adapters.door import ANSWER, STATUS, Door, read_all

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
