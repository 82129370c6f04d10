"""The control sockets as files: what they are called, and which of them nobody listens on.

Shared by the relay, which makes them, and relayctl, which looks for them. Nothing here waits:
every probe is one non-blocking `connect`.
"""

import contextlib
import errno
import fcntl
import os
import socket
import stat
from typing import Final

STALE_SECONDS_MIN: Final = 2.0
"""A socket this young may belong to a relay between its `bind` and its `listen`."""

PROBES_MAX: Final = 256
"""Sockets looked at in one go."""

SUFFIX: Final = ".sock"


def socket_path(directory: str, instance_id: str) -> str:
    """Return where the relay with this id listens."""
    return os.path.join(directory, instance_id + SUFFIX)


def remove_stale(directory: str, uid: int, now: float) -> list[str]:
    """Remove the sockets that nobody listens on any more; return their paths.

    Only our own ones, and only by one process at a time: the directory itself is locked, so no
    lock file is left. *now* is the wall clock's, as the files' times are.

    Raises:
        OSError: the directory cannot be read.
    """
    removed: list[str] = []
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        names = [name for name in sorted(os.listdir(directory)) if name.endswith(SUFFIX)]
        for name in names[:PROBES_MAX]:
            path = os.path.join(directory, name)
            with contextlib.suppress(OSError):
                if _is_stale(path, uid, now):
                    os.unlink(path)
                    removed.append(path)
    except BlockingIOError:
        return []  # another relay or relayctl is just doing it
    finally:
        os.close(lock)
    return removed


def _is_stale(path: str, uid: int, now: float) -> bool:
    status = os.lstat(path)
    if not stat.S_ISSOCK(status.st_mode) or status.st_uid != uid:
        return False
    return now - status.st_mtime >= STALE_SECONDS_MIN and not listening(path)


def listening(path: str) -> bool:
    """Return False only where a socket file is there and certainly nobody listens on it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) != errno.ECONNREFUSED
