"""Signals become calls in the loop: never in the middle of something, and never lost."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from relay_supervisor.adapters.loop import Loop
from relay_supervisor.adapters.signals import STOP, Signals
from tests.unit.relay_supervisor.adapters.descriptors import exists

HANDLED = (*STOP, signal.SIGCHLD)


class Heard:
    """A loop with Signals in it, and what they called."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.stops: list[int] = []
        self.children = 0
        self.signals = Signals(self.loop, self.stops.append, self._child)

    def _child(self) -> None:
        self.children += 1


@pytest.fixture
def heard() -> Iterator[Heard]:
    before = {number: signal.getsignal(number) for number in HANDLED}
    wakeup = signal.set_wakeup_fd(-1)
    heard = Heard()
    yield heard
    signal.set_wakeup_fd(wakeup)
    for number, handler in before.items():
        signal.signal(number, handler)
    for fd in (heard.signals._read, heard.signals._write):
        assert exists(fd)
        os.close(fd)


@pytest.mark.parametrize("number", STOP)
def test_a_signal_is_met_in_the_loop_and_not_before(heard: Heard, number: int) -> None:
    os.kill(os.getpid(), number)
    assert heard.stops == []
    heard.loop.turn(5.0)
    assert heard.stops == [number]
    heard.loop.turn(0)
    assert heard.stops == [number]


def test_two_in_a_row_are_two(heard: Heard) -> None:
    """The second one means that the first was not fast enough."""
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    heard.loop.turn(5.0)
    assert len(heard.stops) >= 2 and set(heard.stops) == {signal.SIGINT, signal.SIGTERM}


def test_a_signal_ends_a_wait_of_the_loop(heard: Heard) -> None:
    """Without the byte on the pipe this would take as long as pytest lets it."""
    program = f"import os; os.kill({os.getpid()}, {int(signal.SIGHUP)})"
    child = subprocess.Popen([sys.executable, "-c", program])
    while not heard.stops:
        heard.loop.turn(None)
    assert heard.stops == [signal.SIGHUP]
    child.wait(20)


def test_the_end_of_a_child_is_told(heard: Heard) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    heard.loop.turn(20.0)
    assert heard.children == 1 and heard.stops == []
    child.wait(20)


def test_a_flood_of_signals_never_blocks(heard: Heard) -> None:
    for _ in range(70_000):
        os.kill(os.getpid(), signal.SIGCHLD)
    heard.loop.turn(0)
    assert heard.children >= 1
