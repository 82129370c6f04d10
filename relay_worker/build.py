"""What this worker is made of, as one short text: the version, and a hash over the sources.

An editable installation changes without a new version, so the version alone would call changed code
the same. The hash is over the files as they are on the disk; it is the same on every machine that
has the same sources.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import relay_supervisor.wire
from relay_worker import __version__

HASH_CHARS: Final = 8

_HERE: Final = Path(__file__).parent
_WIRE: Final = Path(relay_supervisor.wire.__file__).parent


def build(*folders: Path) -> str:
    """Return the version and the hash, by default over this package and the wire's."""
    total = hashlib.sha256()
    for folder in folders or (_HERE, _WIRE):
        for name, path in sorted(_sources(str(folder))):
            try:
                with open(path, "rb", buffering=0) as file:
                    source = file.read()
            except OSError:
                continue  # gone meanwhile, or an import of it would fail just as well
            total.update(b"%s\0%d\0" % (name.encode(), len(source)))
            total.update(source)
    return f"{__version__}+{total.hexdigest()[:HASH_CHARS]}"


def _sources(folder: str, below: str = "") -> Iterator[tuple[str, str]]:
    """Yield the name within *folder* and the path of every Python source: not of what editors leave
    beside them, such as `.#main.py`.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            stem, dot, suffix = entry.name.rpartition(".")
            if dot and suffix == "py" and stem.isidentifier():
                yield below + entry.name, entry.path
            elif entry.name.isidentifier() and entry.name != "__pycache__" and entry.is_dir():
                yield from _sources(entry.path, f"{below}{entry.name}/")
