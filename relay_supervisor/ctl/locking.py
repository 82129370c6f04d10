"""A lock for files that several programs change at once.

It is on the directory itself, so no lock file is left, and replacing a file cannot replace what
others wait for. It ends with its holder, however that ends.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LOCK_SECONDS_MAX: Final = 5.0
"""How long the lock of another program is waited for; all of them hold it for moments only."""

LOCK_POLL_SECONDS: Final = 0.01


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the lock of *directory*, which has to exist.

    Raises:
        BlockingIOError: another program has held it for `LOCK_SECONDS_MAX`.
        OSError: the directory cannot be opened or locked.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        until = time.monotonic() + LOCK_SECONDS_MAX
        while not try_lock(fd):
            if time.monotonic() >= until:
                raise BlockingIOError(f"another program has locked {directory}; is one stopped?")
            time.sleep(LOCK_POLL_SECONDS)
        yield
    finally:
        os.close(fd)  # and the lock goes with it


def try_lock(fd: int) -> bool:
    """Lock the directory *fd* until it is closed, here and in every process that inherited it;
    False where somebody else has it.

    Raises:
        OSError: it cannot be locked.
    """
    import portalocker  # noqa: PLC0415 - slow to import, and most commands lock nothing

    try:
        portalocker.lock(fd, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
    except portalocker.AlreadyLocked:
        return False
    except portalocker.LockException as error:  # a file system without locks, for one
        raise OSError(f"cannot lock a directory: {error}") from error
    return True
