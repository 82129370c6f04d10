"""Directories of the test's own, that relayctl is pointed at."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Empty, 0700, and short enough for a socket's path, which pytest's own folders are not."""
    with tempfile.TemporaryDirectory(prefix="rl-") as folder:
        monkeypatch.setenv("RELAY_RUNTIME_DIR", folder)
        yield Path(folder)


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A state directory that relayctl uses, not made yet, and no configuration file."""
    folder = tmp_path / "state"
    monkeypatch.setenv("RELAY_STATE_DIR", str(folder))
    monkeypatch.setenv("RELAY_CONFIG", str(tmp_path / "relay.yaml"))
    return folder


@pytest.fixture
def utc() -> Iterator[None]:
    """The clock on the wall is Greenwich's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()
