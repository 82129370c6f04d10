"""Backups of configurations, made before every swap, and how one is put back.

    <state directory>/backups/<UTC time>-<digest of the content>-<key of the path>.yaml

Relays may have different configurations; the key keeps each one's backups apart. A backup is the
file byte for byte, secrets and all, so it is for its owner's eyes only.
"""

import datetime
import hashlib
import os
import re
import stat
from pathlib import Path
from typing import Final

from relay_supervisor.ctl.locking import locked
from relay_worker.config.parse import CONFIG_BYTES_MAX
from relay_worker.files import PRIVATE, make_private_dirs, replace_file

BACKUPS_MAX: Final = 100
"""Backups kept, of all configurations together; the oldest go first."""

_NAME: Final = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{16}-([0-9a-f]{8})\.yaml")


class Backups:
    """The backups in a state directory."""

    def __init__(self, state_dir: str | Path) -> None:
        self.directory = Path(state_dir) / "backups"

    def make(self, config: Path, in_force: bytes | None = None) -> Path | None:
        """Back up the file at *config*, and before it what a relay has *in_force* of it, which the
        file may not hold any more. Return the backup that `restore` would put in the place of the
        file, as far as that is what is in force; else the backup of the file; None where there is
        neither. A content that is backed up already is not backed up again.

        Raises:
            OSError: the file cannot be read, or a backup cannot be written.
        """
        content = _read(config)
        if content is None and not in_force:
            return None
        make_private_dirs(self.directory)
        with locked(self.directory):
            before = None
            if in_force and in_force != content:
                before = self._differing(config, content)
                if before is None or before.read_bytes() != in_force:
                    before = self._write(config, in_force)
            made = self.of(config)
            if content is not None and not (made and made[-1].read_bytes() == content):
                made.append(self._write(config, content))
            self._prune()
        return before or made[-1]

    def _write(self, config: Path, content: bytes) -> Path:
        digest = hashlib.sha256(content).hexdigest()[:16]
        time = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        path = self.directory / f"{time}-{digest}-{_key(config)}.yaml"
        replace_file(path, content)
        return path

    def of(self, config: Path) -> list[Path]:
        """Return the backups of the file at *config*, the oldest first."""
        key = _key(config)
        return [path for path in self._all() if _NAME.fullmatch(path.name)[1] == key]  # type: ignore[index]

    def restore(self, config: Path) -> Path:
        """Put the newest backup that differs from what is at *config* in its place, and keep that
        as a backup; return the backup that was put back.

        Raises:
            FileNotFoundError: there is no such backup.
            OSError: a file cannot be read or written; *config* is as it was.
        """
        target = Path(os.path.realpath(config))  # a link stays one
        if not self.of(config):
            raise FileNotFoundError(f"there is no backup of it in {self.directory}")
        make_private_dirs(target.parent)
        with locked(target.parent):
            present = _read(target)
            if (backup := self._differing(config, present)) is None:
                raise FileNotFoundError(f"no backup in {self.directory} differs from it")
            content = backup.read_bytes()
            mode = PRIVATE if present is None else stat.S_IMODE(target.stat().st_mode)
            self.make(config)
            replace_file(target, content, mode)
        return backup

    def _differing(self, config: Path, content: bytes | None) -> Path | None:
        """Return the newest backup of *config* that holds something else than *content*."""
        made = reversed(self.of(config))
        return next((path for path in made if path.read_bytes() != content), None)

    def _all(self) -> list[Path]:
        """Return all backups, the oldest first, as their names begin with the time."""
        if not self.directory.is_dir():
            return []
        return sorted(path for path in self.directory.iterdir() if _NAME.fullmatch(path.name))

    def _prune(self) -> None:
        for path in self._all()[:-BACKUPS_MAX]:
            path.unlink(missing_ok=True)


def _key(config: Path) -> str:
    return hashlib.sha256(os.fsencode(os.path.realpath(config))).hexdigest()[:8]


def _read(path: Path) -> bytes | None:
    """Return the content of a configuration, None where there is no file.

    Raises:
        OSError: it cannot be read, is no regular file, or is larger than a configuration may be.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a named pipe never blocks
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(f"{path} is no regular file")
    with open(fd, "rb") as file:
        content = file.read(CONFIG_BYTES_MAX + 1)
    if len(content) > CONFIG_BYTES_MAX:
        raise OSError(f"{path} is larger than a configuration may be ({CONFIG_BYTES_MAX} bytes)")
    return content
