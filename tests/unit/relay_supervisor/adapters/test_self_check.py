"""Other code is tried in a child, which says whether it can go on; its silence is a no."""

import os
from collections.abc import Callable, Iterator

import pytest

from relay_supervisor import memory_file
from relay_supervisor.adapters.loop import Loop
from relay_supervisor.adapters.self_check import OUTPUT_BYTES_MAX, SelfCheck
from relay_supervisor.core.events import AnyEvent, SupervisorChecked
from relay_supervisor.errors import SpawnFailed
from tests.unit.relay_supervisor.adapters.descriptors import few_descriptors, open_fds

PID = 4711


class Trial:
    """A SelfCheck, whose child the test plays."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.events: list[AnyEvent] = []
        self.killed: list[tuple[int, int]] = []
        self.state = b""
        self.output = -1
        self.refusal = ""
        self.check = SelfCheck(
            self.loop, self.events.append, self._spawn, lambda *args: self.killed.append(args)
        )

    def _spawn(self, python: str, state: int, output: int) -> int:
        if self.refusal:
            raise SpawnFailed(self.refusal)
        self.state, self.output = memory_file.read(state), os.dup(output)
        return PID

    def begin(self) -> None:
        self.check.begin("/python", b"the state")

    def says(self, data: bytes) -> None:
        os.write(self.output, data)
        self.loop.turn(0)

    def ends(self) -> SupervisorChecked:
        """The child exits; returns what is made of what it said."""
        os.close(self.output)
        self.loop.turn(0)
        (event,) = self.events
        assert isinstance(event, SupervisorChecked)
        return event


@pytest.fixture
def trial() -> Iterator[Trial]:
    before = open_fds()
    trial = Trial()
    yield trial
    trial.loop._poller.close()  # type: ignore[union-attr]
    assert open_fds() <= before, "descriptors are left open"


def test_its_word_is_taken(trial: Trial) -> None:
    trial.begin()
    assert trial.state == b"the state"
    trial.says(b'{"self_check":1,"version":"1.2"')
    trial.says(b',"newer":true}\n')
    assert trial.events == [], "it may still say more"
    assert trial.ends() == SupervisorChecked("1.2")


def test_its_refusal_too(trial: Trial) -> None:
    trial.begin()
    trial.says(b'noise of a site package\n{"self_check":1,"version":"1.2","refusal":"too old"}\n')
    assert trial.ends() == SupervisorChecked("1.2", "too old")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"", "it failed: it said nothing"),
        (b"Traceback ...\nImportError: no x\n\n", "it failed: ImportError: no x"),
        (b'{"version":"1.2"}\n', 'it failed: {"version":"1.2"}'),
        (b"\xff\n", "it failed: \ufffd"),
    ],
)
def test_anything_else_is_a_no_with_its_last_words(trial: Trial, said: bytes, reason: str) -> None:
    trial.begin()
    trial.says(said) if said else None
    assert trial.ends() == SupervisorChecked("", reason)


def test_one_that_talks_without_end_costs_no_memory(trial: Trial) -> None:
    trial.begin()
    for _ in range(3 * OUTPUT_BYTES_MAX // 4096):
        trial.says(b"x" * 4096)
    assert len(trial.check._said) == OUTPUT_BYTES_MAX
    trial.ends()


def test_it_is_ended_when_nobody_wants_to_know(trial: Trial) -> None:
    trial.begin()
    trial.check.stop()
    trial.check.stop()
    assert trial.killed == [(PID, 9)] and trial.events == []
    os.close(trial.output)


def test_one_that_is_dead_is_not_signalled(trial: Trial) -> None:
    trial.begin()
    trial.check.reaped(PID)
    trial.check.stop()
    assert trial.killed == []
    os.close(trial.output)


def test_one_that_cannot_be_started_says_no_at_once(trial: Trial) -> None:
    trial.refusal = "there is no such file"
    trial.begin()
    assert trial.events == [SupervisorChecked("", "there is no such file")]
    trial.check.stop()
    assert trial.killed == []


@pytest.mark.parametrize("spare", [0, 1, 2])
def test_without_descriptors_it_is_a_no(trial: Trial, spare: int) -> None:
    with few_descriptors(spare):
        trial.begin()
    (event,) = trial.events
    assert isinstance(event, SupervisorChecked) and "Too many open files" in event.refusal


@pytest.fixture
def made() -> Iterator[Callable[[bytes], int]]:
    """Files in memory, closed at the end."""
    fds: list[int] = []

    def make(data: bytes) -> int:
        fds.append(memory_file.write("test", data))
        return fds[-1]

    yield make
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize("data", [b"", b"x", bytes(3 << 20)])
def test_a_file_in_memory_holds_what_was_written(made: Callable[[bytes], int], data: bytes) -> None:
    fd = made(data)
    assert memory_file.read(fd) == memory_file.read(fd) == data
    assert not os.get_inheritable(fd)
