"""A worker killed between any two stores, or within a write: what the ledger says then is true.

The worker is its outbox, its pipe and its ledger, run to each of its steps in turn. What the
backend and the supervisor have got by then is known, and the supervisor's reading is held against
it: nothing that the backend has seen may count as not yet written.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from relay_supervisor.wire import v1
from relay_supervisor.wire.framing import FrameReader
from relay_supervisor.wire.ledger import WORDS, Ledger, Stage
from relay_worker.backends.outbox import Outbox
from relay_worker.pipe import Pipe

SLOTS = 6
CAPACITY = 100
"""Bytes in each of the two kernel pipes: small, so that frames and replies are torn."""

Step = tuple[str, int]

SINGLE = ("call", "flush", "read", "reply", "turn", "take", "stop")
WHOLE_LIFE = ("call", "flush", "reply", "turn")

PROGRAMS = st.lists(
    st.tuples(
        st.one_of(st.sampled_from(SINGLE).map(lambda what: (what,)), st.just(WHOLE_LIFE)),
        st.integers(1, 90),
    ),
    min_size=3,
    max_size=15,
).map(lambda parts: [(what, size) for whats, size in parts for what in whats])


class Killed(BaseException):
    """SIGKILL."""


class Fate:
    """Lets so many steps happen; the next one does not."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def step(self) -> None:
        if not self.steps:
            raise Killed
        self.steps -= 1


class Words:
    """The ledger's memory, each store of which is a step."""

    def __init__(self, words: memoryview, fate: Fate) -> None:
        self._words = words
        self._fate = fate

    def __getitem__(self, index: int) -> int:
        return int(self._words[index])

    def __setitem__(self, index: int, value: int) -> None:
        self._fate.step()
        self._words[index] = value

    def __len__(self) -> int:
        return len(self._words)


class KernelPipe:
    """Takes bytes in two halves, so that a kill may come before, between and after them."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate
        self.content = b""
        self.taken = 0

    def write(self, data: bytes) -> int:
        self._fate.step()
        size = min(len(data), CAPACITY - (len(self.content) - self.taken))
        if not size:
            raise BlockingIOError
        half = (size + 1) // 2
        self.content += bytes(data[:half])
        self._fate.step()
        self.content += bytes(data[half:size])
        self._fate.step()
        return size

    def read(self, size: int) -> None:
        self.taken = min(len(self.content), self.taken + size)


class OneTurn:
    """A loop whose turns end when the test says so."""

    def __init__(self) -> None:
        self._ends: list[Callable[[], None]] = []
        self._writable: Callable[[int], None] | None = None

    def watch(self, _fd: int, _mask: int, ready: Callable[[int], None], *_: object) -> None:
        self._writable = ready

    def unwatch(self, _fd: int) -> None:
        self._writable = None

    def at_turn_end(self, callback: Callable[[], None]) -> None:
        self._ends.append(callback)

    def turn(self) -> None:
        if self._writable:
            self._writable(0)
        ends, self._ends = self._ends, []
        for end in ends:
            end()


class World:
    """A worker, the backend it writes to and the supervisor it replies to."""

    def __init__(self, fate: Fate, null: tuple[int, int, int]) -> None:
        self.memory = memoryview(bytearray(SLOTS * WORDS * 8))
        self.ledger = Ledger(self.memory)
        self.ledger._words = Words(self.ledger._words, fate)  # type: ignore[assignment]
        self.backend, self.supervisor = KernelPipe(fate), KernelPipe(fate)
        pipe_in, self.to_supervisor, self.to_backend = null
        self.pipes = {self.to_supervisor: self.supervisor, self.to_backend: self.backend}
        self.loop = OneTurn()
        self.pipe = Pipe(
            self.loop,  # type: ignore[arg-type]
            pipe_in,
            self.to_supervisor,
            on_frame=lambda _header, _payload: None,
            on_end=pytest.fail,
            on_full=lambda _full: None,
            ledger=self.ledger,
        )
        self.loop._writable = None
        self.outbox = Outbox(self.ledger)
        self.frames: dict[int, tuple[int, int]] = {}
        """Where in all that the backend gets each call begins and ends."""
        self.answered: set[int] = set()
        self.cancelled: set[int] = set()

    def do(self, step: Step) -> None:
        what, size = step
        if what == "call":
            call = len(self.frames) + 1
            start = max((end for _, end in self.frames.values()), default=0)
            self.frames[call] = (start, start + size)
            self.ledger.take(call)
            frame = (b"x" * size,) if size % 2 else (b"x" * (size // 2), b"y" * (size // 2))
            self.outbox.append(call, *frame)
        elif what == "flush":
            self.outbox.flush(self.to_backend)
        elif what == "read":
            self.backend.read(size)
        elif what == "reply" and (ready := self.whole() - self.answered - self.cancelled):
            call = min(ready)
            self.answered.add(call)
            self.pipe.send(v1.Reply(call, 0), b"r" * size)
        elif what == "turn":
            self.loop.turn()
        elif what == "take":
            self.supervisor.read(size)
        elif what == "stop" and (open_ := self.frames.keys() - self.answered - self.cancelled):
            call = max(open_)
            self.cancelled.add(call)
            self.ledger.release(call)

    def touched(self) -> set[int]:
        seen = len(self.backend.content)
        return {call for call, (start, _) in self.frames.items() if start < seen}

    def whole(self) -> set[int]:
        seen = len(self.backend.content)
        return {call for call, (_, end) in self.frames.items() if end <= seen}

    def delivered(self) -> set[int]:
        frames = FrameReader().feed(self.supervisor.content)
        messages: list[Any] = [v1.decode_to_supervisor(header) for header, _ in frames]
        return {message.call for message in messages}

    def open(self) -> set[int]:
        """The calls the supervisor has to decide about."""
        return self.frames.keys() - self.delivered() - self.cancelled


@pytest.fixture(scope="module")
def null() -> Iterator[tuple[int, int, int]]:
    """Three descriptors that stand for pipes."""
    fds = (os.open(os.devnull, os.O_RDWR), os.open(os.devnull, os.O_RDWR), *os.pipe())
    yield fds[:3]
    for fd in fds:
        os.close(fd)


def run(program: list[Step], steps: int, null: tuple[int, int, int]) -> tuple[World, bool]:
    """Run the program for so many steps of the worker's; tell whether it was killed."""
    world = World(Fate(steps), null)
    real_write = os.write
    with pytest.MonkeyPatch.context() as patch:

        def write(fd: int, data: bytes) -> int:
            return world.pipes[fd].write(data) if fd in world.pipes else real_write(fd, data)

        patch.setattr(os, "write", write)
        try:
            for step in program:
                world.do(step)
        except Killed:
            return world, True
    return world, False


@given(PROGRAMS)
def test_a_kill_at_any_step_leaves_the_truth(
    null: tuple[int, int, int], program: list[Step]
) -> None:
    steps, killed = 0, True
    while killed:
        world, killed = run(program, steps, null)
        found = Ledger(world.memory)
        stages = found.read()
        touched, whole = world.touched(), world.whole()
        if found.complete:
            for call in world.open():
                stage = stages.get(call, Stage.RECEIVED)
                assert stage is not Stage.RECEIVED or call not in touched, "it would run twice"
                assert stage is not Stage.WRITTEN or call in whole, "it would never run"
        steps += 1


@given(PROGRAMS)
def test_between_its_writes_a_worker_leaves_no_doubt(
    null: tuple[int, int, int], program: list[Step]
) -> None:
    for length in range(len(program) + 1):
        world, killed = run(program[:length], 1_000_000, null)
        assert not killed
        found = Ledger(world.memory)
        touched, whole = world.touched(), world.whole()
        for call, stage in found.read().items():
            exact = Stage.WRITTEN if call in whole else Stage.WRITING
            assert stage is (exact if call in touched else Stage.RECEIVED)
        if found.complete:
            assert found.read().keys() == world.open()
