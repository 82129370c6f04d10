"""The bytes of every message as a version was released with them: one line each, name and hex."""

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Final

from tests.versions.archive import REPOSITORY

GOLDEN: Final = "tests/unit/relay_supervisor/wire/golden"
TODAY: Final = f"{GOLDEN}/v1"
RELEASED: Final = REPOSITORY / GOLDEN / "released"


def gather(commit: str) -> str:
    """Return what to keep of a commit, from the golden files it has of its own."""
    command = ["git", "archive", "--format=tar", commit, TODAY]
    tar = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout
    lines = []
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for member in archive:
            golden = archive.extractfile(member)
            if golden is not None:
                lines.append(f"{Path(member.name).stem} {golden.read().decode().strip()}\n")
    return "".join(sorted(lines))


def released(version: str) -> dict[str, bytes]:
    """Return the bytes of each message of a released version by its name."""
    lines = (RELEASED / f"{version}.txt").read_text().splitlines()
    return {name: bytes.fromhex(text) for name, text in (line.split() for line in lines)}
