"""A directory for control sockets, and an open one in it.

Tests of adapters that can be written down are run twice: as they are, and with the adapter written
and made anew before each turn of the loop, as when the code is replaced. That must be invisible.
"""

import gc
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.relay_supervisor.adapters.door import Door


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests whose adapter cannot be written down are run once."""
    if _helpers(metafunc.module) and "resumed" in metafunc.fixturenames:
        metafunc.parametrize("resumed", ["", "resumed"], indirect=True)


@pytest.fixture(autouse=True)
def resumed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the adapter anew before each turn, if that is wanted."""
    if not getattr(request, "param", ""):
        return
    for helper in _helpers(request.module):
        monkeypatch.setattr(helper, "turn", _resuming(helper.turn))


@pytest.fixture(autouse=True)
def nothing_is_collected() -> Iterator[None]:
    """What earlier tests have left to the collector must not be closed while a test here counts
    the descriptors of this process.
    """
    gc.disable()
    yield
    gc.enable()


def _helpers(module: ModuleType) -> list[Any]:
    kinds = [thing for thing in vars(module).values() if isinstance(thing, type)]
    return [kind for kind in kinds if hasattr(kind, "reexec")]


def _resuming(turn: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def resuming(helper: Any) -> Any:
        helper.reexec()
        return turn(helper)

    return resuming


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
