"""Reads a log that is being written and rotated: its last lines, and then what is new.

The writer renames `relay.log` to `relay.log.1`, that to `relay.log.2` and so on, and never changes
what is written. Nothing here locks or writes anything, so a reader is never in a relay's way.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import BinaryIO, Final

BLOCK_BYTES: Final = 64 << 10
FILES_MAX: Final = 100
"""More rotated files than a configuration can ask for."""


class LogFile:
    """One log with its older files. The paths need not exist yet."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._current: BinaryIO | None = None

    def last(self, lines: int) -> bytes:
        """Return the last *lines* lines written so far, the oldest first; `new` goes on there."""
        self.close()
        parts: list[bytes] = []
        for path in self._files():
            try:
                file = open(path, "rb")  # noqa: SIM115 - the newest stays open for `new`
            except FileNotFoundError:  # rotated away meanwhile
                continue
            data = _last_lines(file, lines)
            if self._current is None:
                self._current = file
            else:
                file.close()
            parts.append(data)
            lines -= data.count(b"\n")
            if lines <= 0:
                break
        return b"".join(reversed(parts))

    def new(self) -> bytes:
        """Return what was written since `last` or the call before, over any rotation."""
        parts = [self._rest()]
        for path in self._newer():
            with contextlib.suppress(FileNotFoundError):  # just rotated on: the next call has it
                newer = open(path, "rb")  # noqa: SIM115 - the newest stays open
                self.close()
                self._current = newer
                parts.append(newer.read())
        return b"".join(parts)

    def close(self) -> None:
        """Let go of the file; twice is fine."""
        if self._current is not None:
            self._current.close()
            self._current = None

    def _rest(self) -> bytes:
        return self._current.read() if self._current is not None else b""

    def _files(self) -> Iterator[str]:
        """Yield the paths that exist, the newest first."""
        paths = [self.path, *(f"{self.path}.{number}" for number in range(1, FILES_MAX))]
        for number, path in enumerate(paths):
            if os.path.exists(path):
                yield path
            elif number:  # right after a rotation only the first one is missing
                return

    def _newer(self) -> list[str]:
        """Return the paths of the files begun after the one that is open, the oldest first."""
        newer: list[str] = []
        for path in self._files():
            if self._current is not None and _is_same(path, self._current):
                return newer[::-1]
            newer.append(path)
        # Nothing was open, or it was the oldest and is removed: so all there are came after it.
        return newer[::-1]


def _is_same(path: str, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _last_lines(file: BinaryIO, lines: int) -> bytes:
    """Return the last *lines* lines of *file*, read from its end, and leave it there."""
    end = position = file.seek(0, os.SEEK_END)
    blocks: list[bytes] = []
    newlines = 0
    while position and newlines <= lines:
        start = max(0, position - BLOCK_BYTES)
        file.seek(start)
        blocks.append(file.read(position - start))
        newlines += blocks[-1].count(b"\n")
        position = start
    file.seek(end)
    text = b"".join(reversed(blocks))
    whole = text.removesuffix(b"\n").split(b"\n") if text and lines else []
    return b"\n".join(whole[-lines:]) + (b"\n" if whole and text.endswith(b"\n") else b"")
