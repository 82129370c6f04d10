"""A child is brought to its end rung by rung, at every pace, and nobody else is signalled."""

from signal import SIGKILL, SIGTERM

import pytest

from relay_supervisor.core import effects
from relay_supervisor.core.outbox import Outbox
from relay_supervisor.core.processes import WAIT_SECONDS, Pace, Processes, Rung
from relay_supervisor.core.timers import Timers

PID = 70
CLOSE = effects.CloseStdin(PID)
TERM = effects.Signal(PID, int(SIGTERM))
KILL = effects.Signal(PID, int(SIGKILL))


class Ladder:
    """One child, and the clock that takes it down."""

    def __init__(self) -> None:
        self.timers, self.out = Timers(), Outbox()
        self.processes = Processes({}, self.timers, self.out)
        self.processes.add(PID, 1, "files")

    def end(self, pace: Pace, now: float) -> list[effects.AnyEffect]:
        self.processes.end(PID, pace, now)
        return self.out.take()

    def to_the_end(self) -> list[tuple[float, effects.AnyEffect]]:
        """Keep every deadline; return what was done when."""
        done = []
        while (when := self.timers.earliest()) is not None:
            for name in self.timers.due(when):
                self.processes.climb(int(name.removeprefix("process#")), when)
            done += [(when, effect) for effect in self.out.take()]
        return done

    @property
    def rung(self) -> Rung:
        return self.processes.by_pid[PID].rung


@pytest.fixture
def ladder() -> Ladder:
    return Ladder()


@pytest.mark.parametrize(
    ("pace", "at_once", "later"),
    [
        (Pace.PATIENT, [CLOSE], [(12.0, TERM), (14.0, KILL)]),
        (Pace.HURRIED, [CLOSE], [(10.3, TERM), (10.8, KILL)]),
        (Pace.URGENT, [CLOSE, TERM], [(10.12, KILL)]),
        (Pace.AT_ONCE, [CLOSE, TERM, KILL], []),
    ],
)
def test_each_pace_takes_every_rung_in_order_and_in_its_time(
    ladder: Ladder, pace: Pace, at_once: list[object], later: list[tuple[float, object]]
) -> None:
    assert ladder.end(pace, 10.0) == at_once
    done = ladder.to_the_end()
    assert [effect for _, effect in done] == [effect for _, effect in later]
    assert [when for when, _ in done] == pytest.approx([when for when, _ in later])
    assert ladder.rung is Rung.KILLED


def test_the_end_is_in_time_for_a_client_that_kills() -> None:
    """All gone within 2 s of a closed stdin, and 0.4 s of a signal."""
    assert sum(WAIT_SECONDS[Pace.HURRIED].values()) < 2.0
    assert sum(WAIT_SECONDS[Pace.URGENT].values()) < 0.4


@pytest.mark.parametrize("first", Pace)
@pytest.mark.parametrize("second", Pace)
def test_an_end_can_be_hurried_and_never_slowed_down(first: Pace, second: Pace) -> None:
    alone, both = Ladder(), Ladder()
    alone.end(first, 10.0)
    both.end(first, 10.0)
    both.end(second, 10.1)
    last_alone = max([10.0, *(when for when, _ in alone.to_the_end())])
    last_both = max([10.1, *(when for when, _ in both.to_the_end())])
    assert last_both <= max(last_alone, 10.1)
    assert both.rung is Rung.KILLED


def test_asking_for_the_same_end_again_changes_nothing(ladder: Ladder) -> None:
    ladder.end(Pace.PATIENT, 10.0)
    assert ladder.end(Pace.PATIENT, 11.0) == []
    assert ladder.timers.earliest() == 12.0


def test_each_rung_is_taken_once_when_an_end_is_hurried(ladder: Ladder) -> None:
    done = ladder.end(Pace.PATIENT, 10.0) + ladder.end(Pace.AT_ONCE, 10.5)
    assert done == [CLOSE, TERM, KILL]
    assert ladder.to_the_end() == []


def test_a_child_that_is_dead_is_not_signalled_again(ladder: Ladder) -> None:
    ladder.end(Pace.PATIENT, 10.0)
    gone = ladder.processes.exited(PID)
    assert gone is not None and gone.backend == "files"
    assert ladder.to_the_end() == []
    assert ladder.end(Pace.AT_ONCE, 11.0) == []
    ladder.processes.climb(PID, 12.0)
    assert ladder.out.take() == []


def test_a_pid_that_is_not_ours_is_never_signalled(ladder: Ladder) -> None:
    ladder.processes.end(1, Pace.AT_ONCE, 10.0)
    ladder.processes.climb(1, 10.0)
    assert ladder.out.take() == []
    assert ladder.processes.exited(1) is None


def test_the_backends_of_a_generation_are_its_own_and_no_worker(ladder: Ladder) -> None:
    ladder.processes.add(71, 1)
    ladder.processes.add(72, 2, "other")
    assert [process.pid for process in ladder.processes.backends_of(1)] == [PID]
    assert [process.pid for process in ladder.processes.backends_of(2)] == [72]
    assert ladder.processes.backends_of(3) == []
