"""The sources of released versions as they were: packed once, unpacked to be run.

An archive is made from a commit and never made again, so that tests need no history. It must never
be imported into the process of the tests: two versions of one package are two processes.
"""

import io
import lzma
import subprocess
import tarfile
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]
FOLDER: Final = REPOSITORY / "tests" / "fixtures" / "versions"
PACKAGES: Final = ("relay_supervisor", "relay_worker")
SUFFIX: Final = ".tar.xz"

RELEASED: Final = tuple(sorted(path.name.removesuffix(SUFFIX) for path in FOLDER.glob("*.xz")))
"""The versions that are kept, by name."""


def pack(commit: str) -> bytes:
    """Return the archive of a commit: always the same bytes for the same commit. git takes the
    times from it, and its id into the header (`xz -dc FILE | git get-tar-commit-id`).
    """
    command = ["git", "archive", "--format=tar", commit, *PACKAGES]
    tar = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout
    return lzma.compress(tar, preset=9)


def unpack(version: str, folder: Path) -> Path:
    """Write the sources of a released version into *folder* and return it."""
    with tarfile.open(FOLDER / f"{version}{SUFFIX}") as archive:
        for member in archive:
            source = archive.extractfile(member)
            if source is not None:  # else a folder
                path = folder / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(source.read())
    return folder


def commit_of(version: str) -> str:
    """Return the full id of the commit that an archive was made of."""
    with tarfile.open(FOLDER / f"{version}{SUFFIX}") as archive:
        archive.next()  # the first header is the one that git puts its id into
        return archive.pax_headers["comment"]


def version_of(packed: bytes) -> str:
    """Return the version that the sources of an archive say they are."""
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        init = archive.extractfile(f"{PACKAGES[0]}/__init__.py")
        assert init is not None
        words: dict[str, str] = {}
        exec(compile(init.read(), "__init__", "exec"), words)
        return words["__version__"]
