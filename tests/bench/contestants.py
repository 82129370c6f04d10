"""Who is measured: how each contestant is started in front of the echo backend."""

import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def module(name: str) -> list[str]:
    """The command that runs a module of this package."""
    return [sys.executable, "-m", f"tests.bench.{name}"]


BACKEND = module("echo_backend")


def environment(folder: Path) -> dict[str, str]:
    """Our environment, with the repository importable and Relay's directories in `folder`."""
    return {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "RELAY_STATE_DIR": str(folder / "state"),
        "RELAY_RUNTIME_DIR": str(folder / "run"),
    }
