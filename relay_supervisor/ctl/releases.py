"""The releases on disk: which there are, which is current. Makes and removes none (see `building`).

    <state directory>/releases/NAME/bin/python     a virtual environment of its own
    <state directory>/releases/NAME/release.json   written last: without it NAME does not count
    <state directory>/releases/current             one line: the name a fresh relay starts
    <state directory>/releases/previous            one line: what was current before

No `current` means the environment that the relay itself is installed in.
"""

import contextlib
import os
import re
from pathlib import Path
from typing import Final

import click
import msgspec

from relay_supervisor.ctl.locking import locked
from relay_worker.files import make_private_dirs, replace_file, sync_directory

NAME_CHARS_MAX: Final = 80
RECORD_BYTES_MAX: Final = 64 << 10

CURRENT: Final = "current"
PREVIOUS: Final = "previous"
INSTALLED: Final = "installed"
"""Says that no release is meant, but the environment relayctl itself is installed in."""

RECORD: Final = "release.json"

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


class Release(msgspec.Struct, frozen=True):
    """What `release.json` says. `source` is a path, `commit` a full hash or empty, `dirty` true
    where the checkout differed from it; `digest` is of the source's content; times are UTC.
    """

    name: str
    version: str = ""
    source: str = ""
    commit: str = ""
    dirty: bool = False
    digest: str = ""
    created: str = ""
    python: str = ""


class Releases:
    """The releases in a state directory."""

    def __init__(self, state_dir: str | Path) -> None:
        self.directory = Path(state_dir) / "releases"

    def all(self) -> list[Release]:
        """Return the finished releases, the oldest first."""
        if not self.directory.is_dir():
            return []
        names = [path.name for path in self.directory.iterdir() if is_name(path.name)]
        found = [release for name in names if (release := self.find(name)) is not None]
        return sorted(found, key=lambda release: (release.created, release.name))

    def find(self, name: str) -> Release | None:
        """Return the finished release of this name, None where there is none."""
        if not is_name(name):
            return None
        try:
            with open(self.path(name) / RECORD, "rb") as file:
                record = msgspec.json.decode(file.read(RECORD_BYTES_MAX), type=Release)
        except (OSError, msgspec.MsgspecError, RecursionError):
            return None
        return msgspec.structs.replace(record, name=name)

    def path(self, name: str) -> Path:
        """Return the directory of a release."""
        return self.directory / name

    def python(self, name: str) -> str:
        """Return the interpreter of a release."""
        return str(self.path(name) / "bin" / "python")

    def current(self) -> str:
        """Return the name of the current release; empty for the installed environment."""
        return self._marked(CURRENT)

    def previous(self) -> str:
        """Return the name of the release that was current before, or nothing."""
        return self._marked(PREVIOUS)

    def make_current(self, name: str) -> bool:
        """Let fresh relays start release *name*, or the installed environment if it is empty;
        False where they do already.

        Raises:
            OSError: the disk is full or read-only; what was current still is.
        """
        before = self.current()
        if name == before:
            return False
        make_private_dirs(self.directory)
        with locked(self.directory):
            if before:
                replace_file(self.directory / PREVIOUS, before.encode() + b"\n")
            if name:
                replace_file(self.directory / CURRENT, name.encode() + b"\n")
            else:
                (self.directory / CURRENT).unlink(missing_ok=True)
                sync_directory(self.directory)
        return True

    def _marked(self, mark: str) -> str:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            with open(self.directory / mark, "rb") as file:
                name = file.read(NAME_CHARS_MAX + 2).decode().strip()
            if is_name(name):
                return name
        return ""


def is_name(text: str) -> bool:
    """Tell whether *text* can be the name of a release."""
    reserved = text in {CURRENT, PREVIOUS, INSTALLED}
    return not reserved and len(text) <= NAME_CHARS_MAX and _NAME.fullmatch(text) is not None


def check_name(name: str) -> str:
    """Return *name*.

    Raises:
        click.UsageError: no release can have that name.
    """
    if is_name(name):
        return name
    raise click.UsageError(
        f"{name!r} cannot be the name of a release: letters, digits and . _ + - (not at the "
        f"beginning), {NAME_CHARS_MAX} at most, and not {CURRENT}, {PREVIOUS} or {INSTALLED}"
    )


def looks_like_path(target: str) -> bool:
    """Tell whether *target* means something on the disk rather than the name of a release."""
    return os.sep in target or target.endswith(".whl") or target.startswith(("~", "."))
