"""The stage on which a remote backend's life is played; see `stage.py`."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from relay_worker.backends import backoff
from relay_worker.backends.surroundings import Policy
from tests.unit.relay_worker.backends.remote.stage import RemoteStage

POLICY = Policy(
    list_timeout_seconds=30.0,
    restart_delay_seconds=1.0,
    restart_delay_max_seconds=4.0,
    restart_reset_seconds=60.0,
    restart_attempts_max=3,
)
Make = Callable[..., RemoteStage]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setattr(backoff.random, "uniform", lambda _low, high: high)
    made: list[RemoteStage] = []

    def make(**plan: Any) -> RemoteStage:
        made.append(RemoteStage(monkeypatch, POLICY, **plan))
        return made[-1]

    yield make
    for one in made:
        one.close()
