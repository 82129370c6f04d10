"""Files that several programs change at once: changed under a lock, whole or not at all, durably.

The lock is on the directory itself, so no lock file is left, and replacing a file cannot replace
what others wait for. It ends with its holder, however that ends.
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

PRIVATE: Final = 0o600


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the lock of *directory*, which has to exist.

    Raises:
        BlockingIOError: another program has held it for `LOCK_SECONDS_MAX`.
        OSError: the directory cannot be opened.
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
    """
    import portalocker  # noqa: PLC0415 - slow to import, and most commands lock nothing

    try:
        portalocker.lock(fd, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
    except portalocker.AlreadyLocked:
        return False
    return True


def replace(path: Path, content: bytes, mode: int = PRIVATE) -> None:
    """Put *content* at *path*: after a crash there is the old file or the new one.

    Raises:
        OSError: the disk is full or read-only; the old file is as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE)
        with open(fd, "wb") as file:
            os.fchmod(fd, mode)
            file.write(content)
            file.flush()
            os.fsync(fd)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make what was created, renamed or removed in *directory* last over a power cut."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_private(directory: Path) -> None:
    """Make *directory* and its parents as far as they are missing, with mode 0700.

    Raises:
        OSError: one of them cannot be made.
    """
    missing = []
    while not directory.is_dir():
        missing.append(directory)
        directory = directory.parent
    for one in reversed(missing):
        with contextlib.suppress(FileExistsError):  # a relay was quicker; a file there fails later
            one.mkdir(0o700)
