"""The files the supervisor reads, once, at its start: the configuration, its caches, and which
release is current.

Never anything but regular files of a bounded size: to open a named pipe is to wait for its writer.
Whatever cannot be read counts as absent; the worker finds out why, and says so.
"""

import os
import stat
from typing import Final

from relay_supervisor.wire import cache

CONFIG_BYTES_MAX: Final = 1 << 20
NAME_BYTES_MAX: Final = 256
SNAPSHOTS_MAX: Final = 8
"""Cache files of one configuration that are looked at, the newest: one for each kind of client."""


def read_config(path: str) -> bytes | None:
    """Return the configuration's bytes as they are now."""
    return _read(path, CONFIG_BYTES_MAX)


def read_snapshots(cache_dir: str, base: str) -> dict[str, bytes]:
    """Return the cache files of the configuration *base* by the variant in their names."""
    try:
        with os.scandir(cache_dir) as entries:
            files = [(e.stat().st_mtime, e.name) for e in entries if e.name.startswith(f"{base}.")]
    except OSError:
        return {}
    found: dict[str, bytes] = {}
    for _, name in sorted(files, reverse=True)[:SNAPSHOTS_MAX]:
        data = _read(os.path.join(cache_dir, name), cache.FILE_BYTES_MAX)
        if data is not None:
            found[name.split(".")[1]] = data
    return found


def read_current_release(releases_dir: str) -> tuple[str, str]:
    """Return interpreter and name of the release that `current` names. No interpreter: it is not
    there, or not whole. No name: there is no current release.
    """
    current = _read(os.path.join(releases_dir, "current"), NAME_BYTES_MAX)
    name = (current or b"").decode(errors="replace").strip()
    release = os.path.join(releases_dir, name)
    if not name or "/" in name or not os.path.exists(os.path.join(release, "release.json")):
        return "", name
    return os.path.join(release, "bin", "python"), name


def _read(path: str, bytes_max: int) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_size > bytes_max:
        os.close(fd)
        return None
    try:
        with open(fd, "rb") as file:
            return file.read(bytes_max)
    except OSError:
        return None
