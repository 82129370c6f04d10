"""A release's virtual environment: made, filled by pip, and looked at before it counts."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from relay_supervisor.ctl.command import CommandFailed, run

CREATE_SECONDS_MAX: Final = 300.0
INSTALL_SECONDS_MAX: Final = 1800.0
"""pip may have to build; it has limits of its own for a registry that does not answer."""
CHECK_SECONDS_MAX: Final = 60.0

# Variables that would let the code of another place in, or pip install to another place.
_MISLEADING: Final = {
    *("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE", "VIRTUAL_ENV"),
    *("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON", "PIP_REQUIRE_VIRTUALENV"),
    "__PYVENV_LAUNCHER__",
}

# As the relay starts a worker, but for the last step: whatever a worker imports is imported.
_CHECK: Final = """\
import json, platform, relay_worker, relay_worker.main
print(json.dumps({
    "version": relay_worker.__version__,
    "python": platform.python_version(),
    "file": relay_worker.__file__,
}))
"""


class Found(msgspec.Struct, frozen=True):
    """What an environment holds; `file` is where its code is."""

    version: str
    python: str
    file: str


class Environment(Protocol):
    """How releases get their environments; each step raises CommandFailed."""

    def create(self, directory: Path, keep: int, on_line: Callable[[str], None]) -> None:
        """Make an empty environment in the existing *directory*."""

    def install(
        self, directory: Path, what: Path, keep: int, on_line: Callable[[str], None]
    ) -> None:
        """Install the wheel or source directory *what* with all it needs."""

    def check(self, directory: Path, keep: int) -> Found:
        """Import the worker."""


class Pip:
    """`python -m venv` and the pip in it. *keep* is a descriptor the programs inherit."""

    def create(self, directory: Path, keep: int, on_line: Callable[[str], None]) -> None:
        """Make an empty environment in the existing *directory*.

        Raises:
            CommandFailed: Python has no venv or no pip, or the disk is full.
        """
        argv = [sys.executable, "-I", "-m", "venv", str(directory)]
        _run(argv, directory, keep, CREATE_SECONDS_MAX, on_line)

    def install(
        self, directory: Path, what: Path, keep: int, on_line: Callable[[str], None]
    ) -> None:
        """Install the wheel or source directory *what* with all it needs.

        Raises:
            CommandFailed: pip says why.
        """
        argv = [
            _python(directory),
            "-I",
            "-m",
            "pip",
            "install",
            "--no-input",
            "--progress-bar=off",
        ]
        argv += ["--disable-pip-version-check", "--no-warn-script-location", str(what)]
        _run(argv, directory, keep, INSTALL_SECONDS_MAX, on_line)

    def check(self, directory: Path, keep: int) -> Found:
        """Import the worker, as the relay would start it.

        Raises:
            CommandFailed: it cannot be imported, or is not the one in *directory*.
        """
        argv = [_python(directory), "-I", "-c", _CHECK]
        said = _run(argv, directory, keep, CHECK_SECONDS_MAX, lambda line: None)
        try:
            found = msgspec.json.decode(said[-1], type=Found)
        except (IndexError, msgspec.MsgspecError):
            raise CommandFailed("\n".join(said) or "it says nothing of itself") from None
        if not Path(os.path.realpath(found.file)).is_relative_to(os.path.realpath(directory)):
            raise CommandFailed(f"it imports relay_worker from elsewhere: {found.file}")
        return found


def _python(directory: Path) -> str:
    return str(directory / "bin" / "python")


def _run(
    argv: list[str], cwd: Path, keep: int, seconds_max: float, on_line: Callable[[str], None]
) -> list[str]:
    env = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    return run(argv, env=env, cwd=cwd, keep=[keep], seconds_max=seconds_max, on_line=on_line)
