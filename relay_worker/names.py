"""The names a client sees for the tools and prompts of the backends.

A name is a pure function of the settings, the backend's name and the item's own name, except
where two items would clash; so no item that comes or goes renames another one. Names hold only
what every client keeps as it is, so nothing becomes ambiguous on the client's side.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

import msgspec

HASH_CHARS: Final = (8, 16)
"""Hexadecimal digits of the hash in an altered name; the longer one where the first is taken."""

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")


class Naming(msgspec.Struct, frozen=True):
    """How names are made. `chars_max` bounds their length in characters."""

    separator: str
    prefix: bool
    chars_max: int


class Named(msgspec.Struct, frozen=True):
    """One item: the backend's own name, the name it is to have, and the name the client sees.

    The last two differ where another item has the name already; `exposed` is None where none
    was left.
    """

    original: str
    wanted: str
    exposed: str | None


def safe(text: str) -> str:
    """Return *text* with every character outside `[A-Za-z0-9_-]` replaced by `_`.

    This is Claude Code's own mapping, so it finds nothing left to replace.
    """
    return _UNSAFE.sub("_", text)


def prefix_of(naming: Naming, backend: str) -> str:
    """Return what the names of *backend* start with, unless they had to be shortened."""
    return safe(backend) + naming.separator if naming.prefix else ""


def candidates(naming: Naming, backend: str, name: str, shown: str | None = None) -> Iterator[str]:
    """Yield the names for *name* of *backend*, best first; *shown* is used in its place where the
    operator renamed it.

    The plain name comes first only where nothing of it had to be altered: whatever differs from
    what the backend and the operator wrote carries a hash of (backend, name).
    """
    prefix = prefix_of(naming, backend)
    written = name if shown is None else shown
    plain = prefix + safe(written)
    unaltered = safe(written) == written and (not prefix or safe(backend) == backend)
    if unaltered and len(plain) <= naming.chars_max:
        yield plain
    digest = hashlib.sha256(f"{backend}\0{name}".encode("utf-8", "surrogatepass")).hexdigest()
    for chars in HASH_CHARS:
        yield f"{plain[: naming.chars_max - chars - 1]}_{digest[:chars]}"


def assign(
    naming: Naming,
    backend: str,
    names: Iterable[str],
    taken: set[str],
    renames: Mapping[str, str] | None = None,
) -> list[Named]:
    """Name the items of one backend, and add what they are named to *taken*.

    Backends are to be passed in configuration order: who comes first keeps a contested name.
    Within a backend an item that can have its plain name has it before one that was renamed or
    has to be altered. The result is sorted by own name and does not depend on the order of *names*.
    """
    shown = renames or {}
    waiting: list[tuple[bool, str, list[str]]] = []
    for name in sorted(set(names)):
        offers = list(candidates(naming, backend, name, shown.get(name)))
        waiting.append((len(offers) == len(HASH_CHARS) or name in shown, name, offers))
    named = []
    for _, name, offers in sorted(waiting):
        exposed = next((offer for offer in offers if offer not in taken), None)
        if exposed is not None:
            taken.add(exposed)
        named.append(Named(name, offers[0], exposed))
    return sorted(named, key=lambda item: item.original)


def allowed(name: str, allow: Sequence[str] | None, deny: Sequence[str]) -> bool:
    """Return whether the patterns let the own name *name* through; `deny` wins over `allow`."""
    if any(fnmatchcase(name, pattern) for pattern in deny):
        return False
    return allow is None or any(fnmatchcase(name, pattern) for pattern in allow)
