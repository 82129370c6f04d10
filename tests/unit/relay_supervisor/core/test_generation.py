"""The life of a worker: every state with every step, as the table says or not at all."""

import pytest

from relay_supervisor.core.generation import (
    COMING,
    GONE,
    LIMIT_SECONDS,
    TRANSITIONS,
    Generation,
    Life,
    Source,
    Step,
)
from relay_supervisor.errors import LocalProtocolError

# Written down again on purpose: a change of the table has to be made twice.
ALLOWED = {
    (Life.SPAWNING, Step.SPAWNED): Life.HANDSHAKING,
    (Life.SPAWNING, Step.FAILED): Life.FAILED,
    (Life.HANDSHAKING, Step.WELCOMED): Life.WARMING,
    (Life.HANDSHAKING, Step.FAILED): Life.FAILED,
    (Life.WARMING, Step.REPORTED_READY): Life.READY,
    (Life.WARMING, Step.PROMOTED): Life.ACTIVE,
    (Life.WARMING, Step.FAILED): Life.FAILED,
    (Life.READY, Step.PROMOTED): Life.ACTIVE,
    (Life.READY, Step.FAILED): Life.FAILED,
    (Life.ACTIVE, Step.REPORTED_READY): Life.ACTIVE,
    (Life.ACTIVE, Step.SUPERSEDED): Life.STANDBY,
    (Life.ACTIVE, Step.RETIRED): Life.DRAINING,
    (Life.ACTIVE, Step.FAILED): Life.FAILED,
    (Life.STANDBY, Step.REPORTED_READY): Life.STANDBY,
    (Life.STANDBY, Step.PROMOTED): Life.ACTIVE,
    (Life.STANDBY, Step.RETIRED): Life.DRAINING,
    (Life.STANDBY, Step.FAILED): Life.FAILED,
    (Life.DRAINING, Step.REPORTED_READY): Life.DRAINING,
    (Life.DRAINING, Step.EMPTIED): Life.RETIRED,
    (Life.DRAINING, Step.FAILED): Life.FAILED,
}


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("state", Life)
def test_every_state_with_every_step(state: Life, step: Step) -> None:
    generation = Generation(3, "nonce", Source("/python", ""), state=state)
    if (state, step) in ALLOWED:
        generation.advance(step)
        assert generation.state is ALLOWED[state, step]
        return
    with pytest.raises(LocalProtocolError, match="generation 3"):
        generation.advance(step)
    assert generation.state is state, "a refused step must change nothing"


def test_every_living_state_is_either_on_its_way_or_known_by_name() -> None:
    assert {*COMING, *GONE} == {*Life} - {Life.ACTIVE, Life.STANDBY, Life.DRAINING}


def test_every_state_is_in_the_table_and_every_living_one_can_fail() -> None:
    assert set(TRANSITIONS) == set(Life)
    for state, steps in TRANSITIONS.items():
        assert (state in GONE) == (Step.FAILED not in steps)
        assert (state in GONE) == (not steps)


def test_states_before_the_worker_has_spoken_are_limited_in_time() -> None:
    assert set(LIMIT_SECONDS) == {Life.SPAWNING, Life.HANDSHAKING, Life.WARMING}
    assert all(seconds > 0 for seconds in LIMIT_SECONDS.values())
