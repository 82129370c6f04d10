"""The stage on which a backend's life is played; see `stage.py`."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from relay_worker.backends import backoff
from relay_worker.backends.surroundings import Policy
from tests.unit.relay_worker.backends.stage import FRAME_BYTES_MAX, Stage

POLICY = Policy(
    frame_bytes_max=FRAME_BYTES_MAX,
    list_timeout_seconds=30.0,
    restart_delay_seconds=1.0,
    restart_delay_max_seconds=4.0,
    restart_reset_seconds=60.0,
    restart_attempts_max=3,
)
Make = Callable[..., Stage]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setattr(backoff.random, "uniform", lambda _low, high: high)
    made: list[Stage] = []

    def make(**plan: Any) -> Stage:
        made.append(Stage(monkeypatch, POLICY, **plan))
        return made[-1]

    yield make
    for one in made:
        one.close()
