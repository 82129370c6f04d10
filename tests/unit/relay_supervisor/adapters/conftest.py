"""A directory for control sockets, and an open one in it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.relay_supervisor.adapters.door import Door


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A short directory of our own, not there yet."""
    with tempfile.TemporaryDirectory(prefix="rl-") as folder:
        yield Path(folder) / "run"


@pytest.fixture
def door(runtime: Path) -> Iterator[Door]:
    door = Door(runtime)
    door.socket.open()
    with door.peers:
        yield door
    door.socket.close()
