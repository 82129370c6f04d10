"""The journal, and what is refused: records that all relays of a user share.

    <state directory>/journal.jsonl    one event a line, oldest first; before it journal.1.jsonl
    <state directory>/refused.json     {"BUILD CONFIG_DIGEST": {"reason": …, "at": …}, …}

Everything here blocks, so it is for the writer thread only (`persist`). Whoever writes holds the
lock of the directory, so that no line is torn and no entry lost.
"""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from relay_worker.files import LOCK_SECONDS_MAX, make_private_dirs, replace_file, try_locked

JOURNAL: Final = "journal.jsonl"
JOURNAL_BEFORE: Final = "journal.1.jsonl"
JOURNAL_BYTES_MAX: Final = 4 << 20
"""At this size the journal begins anew, and the one before is kept."""

REFUSED: Final = "refused.json"
REFUSED_MAX: Final = 64
"""Pairs that are kept; the oldest go."""
REFUSED_BYTES_MAX: Final = 1 << 20
"""A larger file is no work of ours."""
REASON_CHARS_MAX: Final = 2000


class Refusal(msgspec.Struct, frozen=True):
    """Why a pair is refused, and since when (UTC, ISO 8601)."""

    reason: str
    at: str = ""


_decode: Final = msgspec.json.Decoder(dict[str, Refusal]).decode


def append_journal(state_dir: Path, texts: Sequence[bytes]) -> None:
    """Append *texts*, whole lines each, in one write.

    Raises:
        OSError: the disk is full or read-only; nothing of it is in the journal then.
    """
    path = state_dir / JOURNAL
    content = b"".join(texts)
    make_private_dirs(state_dir)
    # A process that was stopped while it held the lock must not cost the others their events.
    with try_locked(state_dir, LOCK_SECONDS_MAX) as locked:
        fd = _open(path)
        try:
            size = os.fstat(fd).st_size
            if locked and size and size + len(content) > JOURNAL_BYTES_MAX:
                os.replace(path, state_dir / JOURNAL_BEFORE)
                os.close(fd)
                fd = _open(path)
                size = 0
            if size and os.pread(fd, 1, size - 1) != b"\n":
                content = b"\n" + content  # after what a kill or a full disk has torn
            try:
                written = os.write(fd, content)
                if written < len(content):  # a nearly full disk; the rest raises
                    os.write(fd, content[written:])
            except OSError:
                if locked:
                    os.ftruncate(fd, size)
                raise
        finally:
            os.close(fd)


def refuse(state_dir: Path, reasons: Mapping[str, str]) -> str | None:
    """Add pairs, each the build and the digest of the configuration with a blank between, and why
    they are refused. Return what was wrong with the file that was there, if something was.

    Raises:
        OSError: the disk is full or read-only, or a stopped process holds the lock
            (BlockingIOError); the file is as it was.
    """
    path = state_dir / REFUSED
    make_private_dirs(state_dir)
    with try_locked(state_dir, LOCK_SECONDS_MAX) as locked:
        if not locked:
            raise BlockingIOError("another process has locked the directory; is one stopped?")
        for left in state_dir.glob(f".{REFUSED}.*"):
            left.unlink(missing_ok=True)  # whoever made it was killed: the lock is ours
        entries, problem = _read(path)
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        for pair, reason in reasons.items():
            entries.pop(pair, None)
            entries[pair] = Refusal(reason[:REASON_CHARS_MAX], at)
        kept = dict(list(entries.items())[-REFUSED_MAX:])
        replace_file(path, msgspec.json.format(msgspec.json.encode(kept)) + b"\n")
    return problem


def _read(path: Path) -> tuple[dict[str, Refusal], str | None]:
    """Return the entries, none where the file is unusable, and what is wrong with it."""
    try:
        with open(path, "rb") as file:
            content = file.read(REFUSED_BYTES_MAX + 1)
        if len(content) > REFUSED_BYTES_MAX:
            return {}, f"it is over {REFUSED_BYTES_MAX} bytes"
        return _decode(content), None
    except FileNotFoundError:
        return {}, None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return {}, str(error)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
