"""Descriptors as the adapters' tests need them: counted, read to their end, always with a bound."""

import os
import resource
import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec

READ_SECONDS_MAX = 10.0


T = TypeVar("T")


def written_down(state: T, kind: type[T]) -> T:
    """What another process image reads of this."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=kind)


def open_fds() -> set[int]:
    """The descriptors this process has open now."""
    found = set()
    for fd in range(resource.getrlimit(resource.RLIMIT_NOFILE)[0] if not PROC else 0):
        try:
            os.fstat(fd)
        except OSError:
            continue
        found.add(fd)
    return found | {int(name) for name in (os.listdir(PROC) if PROC else ()) if exists(int(name))}


PROC = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else ""


def exists(fd: int) -> bool:
    """Whether a descriptor is open; listing a directory opens one for a moment."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def wait_readable(fd: int) -> None:
    """Wait until something, or the end, can be read."""
    ready, _, _ = select.select([fd], [], [], READ_SECONDS_MAX)
    assert ready, f"nothing came within {READ_SECONDS_MAX} s"


def read_to_end(fd: int) -> bytes:
    """Everything until the other end is closed; closes nothing."""
    parts = []
    while True:
        wait_readable(fd)
        try:
            data = os.read(fd, 1 << 20)
        except BlockingIOError:
            continue
        if not data:
            return b"".join(parts)
        parts.append(data)


def read_now(fd: int) -> bytes:
    """What is there at this moment."""
    parts = []
    os.set_blocking(fd, False)
    while True:
        try:
            data = os.read(fd, 1 << 20)
        except BlockingIOError:
            return b"".join(parts)
        if not data:
            return b"".join(parts)
        parts.append(data)


@contextmanager
def few_descriptors(spare: int) -> Iterator[None]:
    """For a while only so many more descriptors can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The limit is on the number a descriptor gets, so what is free below counts.
    taken, limit = open_fds(), 0
    while limit - len([fd for fd in taken if fd < limit]) < spare:
        limit += 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
