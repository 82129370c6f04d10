"""Which commit of this repository is tested. It asks git, and says so where git does not know."""

import subprocess
from pathlib import Path
from typing import Final

UNKNOWN: Final = "no commit known"
CHANGED: Final = " + changes"


def commit_of(repository: Path, *, but: Path) -> str:
    """The commit that is checked out, and whether anything is changed since, but for one file."""
    name = _git(repository, "rev-parse", "--short=12", "HEAD")
    if not name:
        return UNKNOWN
    rest = f":(exclude){but.relative_to(repository)}"
    changes = _git(repository, "status", "--porcelain", "--", ".", rest)
    return name if changes == "" else name + CHANGED


def is_certain(commit: str) -> bool:
    """Whether two trees of this name are the same tree."""
    return commit != UNKNOWN and not commit.endswith(CHANGED)


def _git(repository: Path, *words: str) -> str | None:
    """What git says, or None if it says nothing or is not there."""
    try:
        done = subprocess.run(
            ["git", "-C", repository, *words], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
