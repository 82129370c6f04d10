"""`python -m tests.versions COMMIT`: keep one more released version for the tests to come."""

import sys
from pathlib import Path

from tests.versions import archive, golden, record


def main(commit: str) -> None:
    """Keep what there is of *commit*."""
    packed = archive.pack(commit)
    version = archive.version_of(packed)
    keep(archive.FOLDER / f"{version}{archive.SUFFIX}", packed)
    keep(golden.RELEASED / f"{version}.txt", golden.gather(commit).encode())
    transcript = archive.FOLDER / f"{version}.jsonl"
    if not transcript.exists():  # no two are the same
        keep(transcript, record.record(version).encode())


def keep(path: Path, content: bytes) -> None:
    """Write a file, once."""
    if path.exists() and path.read_bytes() != content:
        sys.exit(f"{path} was made of another commit, and is never changed")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    print(path.relative_to(archive.REPOSITORY))


main(sys.argv[1])
