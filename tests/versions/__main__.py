"""`python -m tests.versions COMMIT`: keep one more released version for the tests to come."""

import sys

from tests.versions.archive import FOLDER, SUFFIX, pack, version_of


def main(commit: str) -> None:
    """Make the archive of *commit*, unless its version is kept already."""
    packed = pack(commit)
    path = FOLDER / f"{version_of(packed)}{SUFFIX}"
    if path.exists() and path.read_bytes() != packed:
        sys.exit(f"{path.name} was made of another commit, and is never changed")
    path.write_bytes(packed)
    print(path)


main(sys.argv[1])
