"""Where the tokens for a backend are, and what is in the file. No network.

    <state directory>/tokens/NAME-HASH.json     0600, in a directory 0700

The hash is of the URL: tokens go to no other server than the one they were issued for. Worker and
relayctl both write it, whole and under the lock of the directory. Nothing of it may be logged.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from relay_worker.config.locate import distrust
from relay_worker.files import make_private_dirs, replace_file, try_locked
from relay_worker.names import safe

LOCK_SECONDS_MAX: Final = 30.0
"""Held while tokens are refreshed, as a server takes a refresh token only once; a program that is
stopped meanwhile is not waited for any longer.
"""

FILE_BYTES_MAX: Final = 1 << 20

HASH_CHARS: Final = 12


class Unavailable(Exception):
    """New tokens are not to be had now; trying again later may help."""


NOTHING: Final = msgspec.Raw(b"null")


class Stored(msgspec.Struct, frozen=True, omit_defaults=True):
    """A login. `tokens`, `client`, `server` and `resource` are JSON texts as the authorization
    server wrote them; `expires_at` is in seconds of the wall clock.
    """

    url: str
    tokens: msgspec.Raw = NOTHING
    client: msgspec.Raw = NOTHING
    server: msgspec.Raw = NOTHING
    resource: msgspec.Raw = NOTHING
    authority: str | None = None
    expires_at: float | None = None

    def __repr__(self) -> str:
        return "Stored()"


class _Secrets(msgspec.Struct):
    access_token: str = ""
    refresh_token: str | None = None
    client_secret: str | None = None


_decode_secrets = msgspec.json.Decoder(_Secrets).decode
_decode = msgspec.json.Decoder(Stored).decode
_encode = msgspec.json.Encoder().encode


def tokens_path(state_dir: Path, backend: str, url: str) -> Path:
    """Return the file for *backend* at *url*."""
    digest = hashlib.sha256(f"{backend}\0{url}".encode("utf-8", "replace")).hexdigest()
    return state_dir / "tokens" / f"{safe(backend)}-{digest[:HASH_CHARS]}.json"


def load(path: Path) -> Stored | None:
    """Return the login at *path*, None where there is none that can be used: that of somebody else,
    or one that others can write, may send our secrets to a server of theirs.
    """
    try:
        with path.open("rb") as file:
            if distrust(os.fstat(file.fileno()), os.geteuid()):
                return None
            text = file.read(FILE_BYTES_MAX)
        return _decode(text)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def access_token(stored: Stored) -> str:
    """Return what opens the door, empty where there is nothing."""
    return _secrets(stored.tokens).access_token


def secrets(stored: Stored) -> list[str]:
    """Return what must not be logged."""
    tokens, client = _secrets(stored.tokens), _secrets(stored.client)
    values = (tokens.access_token, tokens.refresh_token, client.client_secret)
    return [value for value in values if value]


def _secrets(text: msgspec.Raw) -> _Secrets:
    try:
        return _decode_secrets(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Secrets()


def save(path: Path, stored: Stored) -> None:
    """Put a login at *path*.

    Raises:
        OSError: the disk is full or read-only; the old file is untouched.
    """
    make_private_dirs(path.parent)
    replace_file(path, _encode(stored))


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Hold the lock on the file's directory while the login is changed; yields whether it is held.

    Raises:
        OSError: the directory cannot be made or opened.
    """
    make_private_dirs(path.parent)
    with try_locked(path.parent, LOCK_SECONDS_MAX) as held:
        yield held


def fingerprint(path: str) -> object:
    """Return something that compares unequal once the file was replaced."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return (found.st_ino, found.st_mtime_ns, found.st_size)
