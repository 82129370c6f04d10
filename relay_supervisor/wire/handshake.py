"""The first two frames of every worker pipe. Frozen for ever: they decide what comes after.

The supervisor, which may be the older side, says what it speaks; the worker adapts or exits
with `EXIT_INCOMPATIBLE`, and the old generation goes on serving.
"""

from typing import Final

import msgspec

VERSIONS: Final = (1,)
"""Pipe protocol versions this release speaks, oldest first."""

EXIT_INCOMPATIBLE: Final = 64
"""Exit status of a worker that speaks none of the supervisor's versions."""


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """Supervisor to worker, the first frame: who calls, and what it speaks."""

    versions: tuple[int, ...]
    build: str
    generation: int
    nonce: str


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag="welcome"):
    """Worker to supervisor, the first frame: the version both will use."""

    version: int
    build: str
    generation: int
    nonce: str
    pid: int


def choose(offered: tuple[int, ...]) -> int | None:
    """Return the highest version both sides speak, or None."""
    return max(set(offered) & set(VERSIONS), default=None)
