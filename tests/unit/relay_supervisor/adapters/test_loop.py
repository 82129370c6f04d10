"""Whoever's descriptor is ready is called, and nobody else."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_supervisor.adapters.loop import CLOSED, EVENTS_PER_TURN_MAX, READ, WRITE, Loop


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


Pair = tuple[socket.socket, socket.socket]


def test_an_owner_is_called_when_its_descriptor_can_be_read(pair: Pair) -> None:
    loop, seen = Loop(), list[int]()
    loop.watch(pair[0].fileno(), READ, seen.append)
    loop.turn(0)
    assert seen == []
    pair[1].send(b"x")
    loop.turn(5.0)
    loop.turn(0)
    assert seen == [READ, READ], "until it is read, it is ready"


def test_readable_and_writable_come_together(pair: Pair) -> None:
    loop, seen = Loop(), list[int]()
    loop.watch(pair[0].fileno(), READ | WRITE, seen.append)
    pair[1].send(b"x")
    loop.turn(5.0)
    assert seen == [READ | WRITE]


def test_a_closed_peer_is_reported_whatever_is_watched_for(pair: Pair) -> None:
    loop, seen = Loop(), list[int]()
    loop.watch(pair[0].fileno(), WRITE, seen.append)
    pair[1].close()
    loop.turn(5.0)
    assert seen and seen[0] & CLOSED


def test_a_second_watch_takes_the_place_of_the_first(pair: Pair) -> None:
    loop, first, second = Loop(), list[int](), list[int]()
    loop.watch(pair[0].fileno(), READ, first.append)
    loop.watch(pair[0].fileno(), READ, second.append)
    pair[1].send(b"x")
    loop.turn(5.0)
    loop.watch(pair[0].fileno(), WRITE, second.append)
    loop.turn(5.0)
    assert (first, second) == ([], [READ, WRITE])


def test_whoever_is_forgotten_is_not_called_and_may_be_forgotten_again(pair: Pair) -> None:
    loop, seen = Loop(), list[int]()
    loop.watch(pair[0].fileno(), READ, seen.append)
    loop.unwatch(pair[0].fileno())
    loop.unwatch(pair[0].fileno())
    loop.unwatch(12345)
    pair[1].send(b"x")
    loop.turn(0)
    assert seen == []
    loop.watch(pair[0].fileno(), READ, seen.append)
    loop.turn(0)
    assert seen == [READ]


def test_an_owner_that_is_forgotten_by_one_served_before_is_not_called(pair: Pair) -> None:
    loop, seen = Loop(), list[str]()

    def served(name: str, other: socket.socket) -> None:
        seen.append(name)
        loop.unwatch(other.fileno())

    loop.watch(pair[0].fileno(), WRITE, lambda _: served("one", pair[1]))
    loop.watch(pair[1].fileno(), WRITE, lambda _: served("other", pair[0]))
    loop.turn(5.0)
    assert len(seen) == 1


@pytest.mark.parametrize("kind", ["file", "null"])
def test_what_never_makes_anybody_wait_is_always_ready(kind: str, tmp_path: Path) -> None:
    """epoll refuses regular files and /dev/null, which a client may use as stdin."""
    path = Path(os.devnull) if kind == "null" else tmp_path / "file"
    path.touch()
    fd = os.open(path, os.O_RDWR)
    loop, seen = Loop(), list[int]()
    loop.watch(fd, READ, seen.append)
    loop.turn(None)
    loop.turn(None)
    assert seen == [READ, READ]
    loop.watch(fd, WRITE, seen.append)
    loop.turn(None)
    assert seen[2:] == [WRITE]
    loop.unwatch(fd)
    loop.turn(0)
    assert len(seen) == 3
    os.close(fd)


def test_among_many_that_are_ready_all_are_served_in_the_next_turns() -> None:
    loop, seen = Loop(), list[int]()
    count = 2 * EVENTS_PER_TURN_MAX + 5
    ends = [os.pipe() for _ in range(count)]
    for read, write in ends:
        loop.watch(read, READ, lambda _, fd=read: seen.append(fd))  # type: ignore[misc]
        os.write(write, b"x")
    for _ in range(3):
        loop.turn(5.0)
    assert set(seen) == {read for read, _ in ends}
    for fd in [fd for pipe in ends for fd in pipe]:
        loop.unwatch(fd)
        os.close(fd)
