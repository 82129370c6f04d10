"""How long to wait before a backend is started again."""

import random

import pytest

from relay_worker.backends import backoff
from relay_worker.backends.backoff import BackOff, exit_text
from relay_worker.backends.surroundings import Policy

POLICY = Policy(
    restart_delay_seconds=0.5,
    restart_delay_max_seconds=3.0,
    restart_reset_seconds=60.0,
    restart_attempts_max=5,
)


@pytest.fixture
def ceilings(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seen: list[float] = []

    def longest(low: float, high: float) -> float:
        assert low == 0
        seen.append(high)
        return high

    monkeypatch.setattr(backoff.random, "uniform", longest)
    return seen


def test_the_ceiling_doubles_up_to_its_maximum_then_it_is_given_up(ceilings: list[float]) -> None:
    back_off = BackOff(POLICY)
    assert [back_off.fell(0.0) for _ in range(7)] == [0.5, 1.0, 2.0, 3.0, 3.0, None, None]
    assert ceilings == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_only_a_start_that_lasted_ends_the_row(ceilings: list[float]) -> None:
    back_off = BackOff(POLICY)
    for _ in range(3):
        back_off.fell(0.0)
    back_off.ready(100.0)
    assert back_off.fell(159.0) == 3.0
    assert back_off.fell(1000.0) == 3.0, "it had not been ready in between"
    back_off.ready(2000.0)
    assert back_off.fell(2060.0) == 0.5


def test_delays_are_spread_over_all_of_the_range() -> None:
    random.seed(1)
    delays = [BackOff(POLICY).fell(0.0) or 0.0 for _ in range(1000)]
    assert 0 <= min(delays) < 0.05 and 0.45 < max(delays) <= 0.5


def test_no_number_of_attempts_overflows(ceilings: list[float]) -> None:
    back_off = BackOff(Policy(restart_attempts_max=1_000_000))
    back_off.failures = 900_000
    assert back_off.fell(0.0) == 30.0


def test_no_attempts_means_none() -> None:
    assert BackOff(Policy(restart_attempts_max=0)).fell(0.0) is None


@pytest.mark.parametrize(
    ("status", "text"),
    [(0, "exited with status 0"), (-9, "was ended by SIGKILL"), (-200, "was ended by signal 200")],
)
def test_ends_are_put_into_words(status: int, text: str) -> None:
    assert exit_text(status) == text
