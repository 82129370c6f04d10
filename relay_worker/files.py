"""Files of the state directory: rotating logs and whole files, shared by several relays.

Everything here blocks: in the worker it is for the writer thread only (`persist`), and `relayctl`
uses it, too. Directories are made 0700 and files 0600. There are no lock files: who has to be alone
holds a lock on the directory itself, which ends with its holder.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

LOCK_SECONDS_MAX: Final = 2.0
"""How long a lock is waited for where it is needed; all hold it for moments, but one may be stopped
meanwhile. A log waits so when it is twice as large as it may be.
"""

ORPHAN_SECONDS: Final = 3600.0
"""A temporary file this old belongs to a process that died while writing it."""

PRIVATE: Final = 0o600

_TEMPORARY: Final = ".tmp"
_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT


def make_private_dirs(path: Path) -> None:
    """Make *path* and its parents as far as they are missing, with mode 0700.

    Raises:
        OSError: one of them cannot be made.
    """
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:  # another relay made it first; a file in its place fails later
            continue


def append_rotating(
    path: Path, texts: Sequence[bytes], *, file_bytes_max: int, files_max: int
) -> None:
    """Append *texts*, whole lines each, to the log at *path*, which is rotated before a text would
    take it over *file_bytes_max*. `path.1` is the newest old file; with the current one there are
    *files_max* at most.

    Several processes may do so at once without losing or tearing a line: a file is opened for every
    batch, appended to in one write per text, and renamed under a lock on its directory.

    Raises:
        OSError: the disk is full or read-only, or the log is twice as large as it may be because
            a stopped process holds the lock (BlockingIOError).
    """
    fd = _open_log(path)
    try:
        for text in texts:
            size = os.fstat(fd).st_size
            if size and size + len(text) > file_bytes_max:
                patience = LOCK_SECONDS_MAX if size > 2 * file_bytes_max else 0.0
                if _rotate(path, fd, files_max, patience):
                    os.close(fd)
                    fd = _open_log(path)
                elif patience:
                    raise BlockingIOError("it is over twice its size and a process locks it")
            _write_all(fd, text)
    finally:
        os.close(fd)


def replace_file(path: Path, content: bytes, mode: int = PRIVATE) -> None:
    """Put *content* at *path*, atomically and durably: after a crash it is the old or the new.

    Raises:
        OSError: the disk is full or read-only; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_TEMPORARY}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    try:
        fd = os.open(temporary, flags, PRIVATE)
    except FileNotFoundError:
        make_private_dirs(path.parent)
        fd = os.open(temporary, flags, PRIVATE)
    try:
        try:
            os.fchmod(fd, mode)
            _write_all(fd, content)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make what was created, renamed or removed in *directory* last over a power cut."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def prune(directory: Path, files_max: int) -> None:
    """Remove the oldest files of *directory* beyond *files_max*, and temporary ones left behind.

    Raises:
        OSError: the directory cannot be read or written.
    """
    kept: list[tuple[float, str]] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                if not entry.is_file(follow_symlinks=False):
                    continue
                written = entry.stat(follow_symlinks=False).st_mtime
            except FileNotFoundError:  # another relay is at it too
                continue
            if not entry.name.endswith(_TEMPORARY):
                kept.append((written, entry.path))
            elif time.time() - written > ORPHAN_SECONDS:
                Path(entry.path).unlink(missing_ok=True)
    kept.sort()
    for _, path in kept[: max(0, len(kept) - files_max)]:
        Path(path).unlink(missing_ok=True)


def _open_log(path: Path) -> int:
    try:
        return os.open(path, _APPEND, PRIVATE)
    except FileNotFoundError:
        make_private_dirs(path.parent)
        return os.open(path, _APPEND, PRIVATE)


def _rotate(path: Path, fd: int, files_max: int, patience_seconds: float) -> bool:
    """Rename the log that *fd* has open, unless another process just did; False where the lock is
    not to be had.
    """
    with try_locked(path.parent, patience_seconds) as locked:
        if not locked:
            return False
        try:
            current = os.stat(path)
        except FileNotFoundError:
            return True
        if os.path.samestat(current, os.fstat(fd)):
            _shift(path, files_max)
        return True


@contextlib.contextmanager
def try_locked(directory: Path, seconds_max: float) -> Iterator[bool]:
    """Hold the lock of *directory*, or not, where somebody else has it for longer: yields which.

    Raises:
        OSError: the directory cannot be opened.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield _lock(fd, time.monotonic() + seconds_max)
    finally:
        os.close(fd)  # and the lock goes with it


def _lock(fd: int, give_up: float) -> bool:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= give_up:
                return False
            time.sleep(0.005)


def _shift(path: Path, files_max: int) -> None:
    """Number the files on, and remove those beyond *files_max*."""
    number = files_max
    while _numbered(path, number).exists():  # left from a time with a larger limit
        _numbered(path, number).unlink(missing_ok=True)
        number += 1
    for number in range(files_max - 1, 0, -1):
        older = _numbered(path, number - 1)
        if older.exists():
            os.replace(older, _numbered(path, number))
    if files_max == 1:
        path.unlink(missing_ok=True)


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}") if number else path


def _write_all(fd: int, content: bytes) -> None:
    written = os.write(fd, content)
    while written < len(content):  # a nearly full disk; the rest raises
        content = content[written:]
        written = os.write(fd, content)
