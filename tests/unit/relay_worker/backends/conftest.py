"""The stage on which a backend's life is played; see `stage.py`."""

from collections.abc import Callable, Iterator

import pytest

from tests.unit.relay_worker.backends.audience import stages
from tests.unit.relay_worker.backends.stage import Stage

Make = Callable[..., Stage]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    with stages(monkeypatch, Stage) as make:
        yield make
