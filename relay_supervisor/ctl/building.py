"""Makes and removes releases. A release is finished, or it is not there.

A virtual environment cannot be moved: the programs in it name its path. So it is made where it
stays, and counts once its `release.json` is there, which is written last. Until then its builder
holds a lock on its directory; without record and without lock it is what a killed builder left,
and the next one to come along removes it.
"""

import contextlib
import datetime
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import msgspec

from relay_supervisor.ctl.command import CommandFailed
from relay_supervisor.ctl.environment import Environment
from relay_supervisor.ctl.locking import locked, try_lock
from relay_supervisor.ctl.progress import Progress
from relay_supervisor.ctl.releases import RECORD, Release, Releases, is_name
from relay_supervisor.ctl.source import Source
from relay_worker.files import make_private_dirs, replace_file, sync_directory

_SOURCE: Final = ".source"
_WRITABLE: Final = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def add(
    releases: Releases, source: Source, name: str, environment: Environment, progress: Progress
) -> Release:
    """Make the release *name* of *source*; whatever goes wrong, nothing of it is left.

    Raises:
        click.ClickException: the name is taken, or a step failed.
        OSError: the disk is full or read-only.
    """
    path = releases.path(name)
    with _reserved(releases, path) as fd:
        try:
            release = _fill(path, source, name, environment, progress, fd)
            _make_read_only(path)
            replace_file(path / RECORD, msgspec.json.format(msgspec.json.encode(release)), 0o444)
            path.chmod(0o555)
        except CommandFailed as error:
            _remove(path)
            raise click.ClickException(f"release {name} could not be made: {error}") from error
        except BaseException:  # Ctrl-C too
            _remove(path)
            raise
    sync_directory(releases.directory)
    return release


def remove(releases: Releases, name: str) -> None:
    """Remove a release.

    Raises:
        OSError: it cannot be removed; then it does not count any more, and the next one who adds
            or prunes tries again.
    """
    with locked(releases.directory):
        _remove(releases.path(name))


def clear_abandoned(releases: Releases) -> list[str]:
    """Remove what killed builders left; return the names."""
    if not releases.directory.is_dir():
        return []
    cleared = []
    with locked(releases.directory):
        for path in sorted(releases.directory.iterdir()):
            unfinished = is_name(path.name) and path.is_dir() and not (path / RECORD).exists()
            if unfinished and _remove_unless_locked(path):
                cleared.append(path.name)
    return cleared


def _fill(
    path: Path,
    source: Source,
    name: str,
    environment: Environment,
    progress: Progress,
    fd: int,
) -> Release:
    progress.step(f"making a virtual environment for release {name}")
    environment.create(path, fd, progress.detail)
    (path / _SOURCE).mkdir()
    progress.step(f"copying {source.path}")
    what = source.copy(path / _SOURCE)
    progress.step("installing it with all it needs")
    environment.install(path, what, fd, progress.detail)
    shutil.rmtree(path / _SOURCE)
    progress.step("checking that its worker can be imported")
    found = environment.check(path, fd)
    return Release(
        name=name,
        version=found.version,
        source=str(source.path),
        commit=source.commit,
        dirty=source.dirty,
        digest=source.digest,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        python=found.python,
    )


@contextlib.contextmanager
def _reserved(releases: Releases, path: Path) -> Iterator[int]:
    """Make the directory of a new release and hold its lock: gives the descriptor that has it."""
    make_private_dirs(releases.directory)
    clear_abandoned(releases)
    with locked(releases.directory):
        try:
            path.mkdir(0o700)
        except FileExistsError:
            finished = (path / RECORD).exists()
            state = "is there already" if finished else "is just being made by another relayctl"
            raise click.ClickException(f"a release {path.name} {state}") from None
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        assert try_lock(fd), "nobody else can have locked what was not there"
    try:
        yield fd
    finally:
        os.close(fd)


def _remove_unless_locked(path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not try_lock(fd):
            return False
        _remove(path)
    finally:
        os.close(fd)
    return True


def _make_read_only(path: Path) -> None:
    """Take everybody's right to write, but for the directory itself."""
    for folder, folders, files in os.walk(path):
        for one in [*folders, *files]:
            full = os.path.join(folder, one)
            if not os.path.islink(full):
                os.chmod(full, stat.S_IMODE(os.lstat(full).st_mode) & ~_WRITABLE)


def _remove(path: Path) -> None:
    """Remove a release's directory; from the first moment on it does not count."""
    path.chmod(0o700)
    (path / RECORD).unlink(missing_ok=True)
    for folder, _, _ in os.walk(path):
        os.chmod(folder, 0o700)
    shutil.rmtree(path)
