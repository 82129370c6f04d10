"""The stage on which a remote backend's life is played; see `stage.py`."""

from collections.abc import Callable, Iterator

import pytest

from tests.unit.relay_worker.backends.audience import stages
from tests.unit.relay_worker.backends.remote.stage import RemoteStage

Make = Callable[..., RemoteStage]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    with stages(monkeypatch, RemoteStage) as make:
        yield make
