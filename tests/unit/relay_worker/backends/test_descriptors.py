"""Descriptors come by token, whole, close-on-exec, or not at all."""

import array
import gc
import os
import socket
from collections.abc import Iterator

import pytest

from relay_worker.backends.descriptors import DescriptorError, Descriptors


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Descriptors]]:
    gc.collect()  # what an earlier test left to the collector must not be closed in between
    ours, theirs = socket.socketpair()
    descriptors = Descriptors(theirs.detach())
    yield ours, descriptors
    ours.close()
    descriptors._socket.close()


def send(ours: socket.socket, token: bytes, count: int) -> None:
    fds = [os.open(os.devnull, os.O_RDONLY) for _ in range(count)]
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
    ours.sendmsg([token], [rights] if fds else [])
    for fd in fds:
        os.close(fd)


def test_they_are_told_apart_by_token(ends: tuple[socket.socket, Descriptors]) -> None:
    ours, descriptors = ends
    for token in (1, 2, 2**63):
        send(ours, token.to_bytes(8, "big"), 3)
    taken = [descriptors.take(token) for token in (2**63, 1, 2)]
    fds = [fd for ends_taken in taken for fd in ends_taken.pipes]
    assert len(set(fds)) == 9
    assert not any(os.get_inheritable(fd) for fd in fds)
    for fd in fds:
        os.close(fd)


def test_a_mailbox_comes_fourth(ends: tuple[socket.socket, Descriptors]) -> None:
    before = len(os.listdir("/dev/fd"))
    send(ends[0], bytes(8), 4)
    taken = ends[1].take(0)
    assert taken.mailbox is not None and taken.mailbox not in taken.pipes
    taken.close()
    assert len(os.listdir("/dev/fd")) == before


def test_a_token_that_never_came_is_an_error(ends: tuple[socket.socket, Descriptors]) -> None:
    with pytest.raises(DescriptorError):
        ends[1].take(1)


@pytest.mark.parametrize(
    ("token", "count"), [(bytes(8), 2), (bytes(8), 5), (b"abc", 3), (bytes(8), 0)]
)
def test_what_is_not_whole_is_an_error_and_leaves_nothing_open(
    ends: tuple[socket.socket, Descriptors], token: bytes, count: int
) -> None:
    before = len(os.listdir("/dev/fd"))
    send(ends[0], token, count)
    with pytest.raises(DescriptorError, match=r"ulimit|no descriptors"):
        ends[1].take(0)
    assert len(os.listdir("/dev/fd")) == before


def test_a_closed_socket_is_an_error(ends: tuple[socket.socket, Descriptors]) -> None:
    ends[0].close()
    with pytest.raises(DescriptorError):
        ends[1].take(1)
