"""A worker killed between any two stores, or within a write: what ledger and mailbox say is true.

The worker is its outbox, its pipe, its ledger and its record, run to each of its steps in turn.
What the backend and the supervisor have got by then is known, and the supervisor's reading is held
against it; then the next worker goes on, and no call may have run twice, or never.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from relay_supervisor.wire import mailbox, v1
from relay_supervisor.wire.framing import FrameReader
from relay_supervisor.wire.ledger import WORDS, Ledger, Stage
from relay_supervisor.wire.mailbox import Fate, Word, record
from relay_worker import pipe as pipes
from relay_worker.backends import outbox as outboxes
from relay_worker.backends.outbox import Outbox
from relay_worker.pipe import Pipe

SLOTS = 6
SMALL_BYTES = 40
"""What a write to a pipe takes whole or not at all: less than a frame may have."""

CAPACITY = 100
"""Bytes in each of the two kernel pipes: small, so that frames and replies are torn."""

Step = tuple[str, int]

SINGLE = ("call", "post", "flush", "read", "reply", "answer", "turn", "take", "stop")
WHOLE_LIFE = ("call", "flush", "reply", "turn")
SMALL_LIFE = ("post", "answer", "turn")

PROGRAMS = st.lists(
    st.tuples(
        st.one_of(
            st.sampled_from(SINGLE).map(lambda what: (what,)),
            st.sampled_from((WHOLE_LIFE, SMALL_LIFE)),
        ),
        st.integers(1, 90),
    ),
    min_size=3,
    max_size=15,
).map(lambda parts: [(what, size) for whats, size in parts for what in whats])


class Killed(BaseException):
    """SIGKILL."""


class Steps:
    """Lets so many steps happen; the next one does not."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def step(self) -> None:
        if not self.steps:
            raise Killed
        self.steps -= 1


class Words:
    """The ledger's memory, each store of which is a step."""

    def __init__(self, words: memoryview, steps: Steps) -> None:
        self._words = words
        self._steps = steps

    def __getitem__(self, index: int) -> int:
        return int(self._words[index])

    def __setitem__(self, index: int, value: int) -> None:
        self._steps.step()
        self._words[index] = value

    def __len__(self) -> int:
        return len(self._words)


class KernelPipe:
    """Takes large writes in two halves, so that a kill comes before, between and after them."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self.content = b""
        self.taken = 0

    def write(self, data: bytes) -> int:
        self._steps.step()
        size = min(len(data), CAPACITY - (len(self.content) - self.taken))
        whole = len(data) <= SMALL_BYTES
        if not size or (whole and size < len(data)):
            raise BlockingIOError
        half = size if whole else (size + 1) // 2
        self.content += bytes(data[:half])
        self._steps.step()
        self.content += bytes(data[half:size])
        self._steps.step()
        return size

    def read(self, size: int) -> None:
        self.taken = min(len(self.content), self.taken + size)


class OneTurn:
    """A loop whose turns end when the test says so."""

    def __init__(self) -> None:
        self.ends: list[Callable[[], None]] = []
        self.alone = False
        self._writable: Callable[[int], None] | None = None

    def watch(self, _fd: int, _mask: int, ready: Callable[[int], None], *_: object) -> None:
        self._writable = ready

    def unwatch(self, _fd: int) -> None:
        self._writable = None

    def turn(self) -> None:
        if self._writable:
            self._writable(0)
        for end in self.ends:
            end()
        self.ends.clear()


def frame_of(call: int, size: int) -> bytes:
    return b'{"call":%d,"more":"%b"}\n' % (call, b"x" * size)


class World:
    """A worker, the backend it writes to and the supervisor it replies to."""

    def __init__(self, steps: Steps, null: tuple[int, int, int]) -> None:
        self.steps = steps
        self.memory = memoryview(bytearray(SLOTS * WORDS * 8))
        self.ledger = Ledger(self.memory)
        self.ledger._words = Words(self.ledger._words, steps)  # type: ignore[assignment]
        self.backend, self.supervisor = KernelPipe(steps), KernelPipe(steps)
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
        self.record = memoryview(bytearray(len(Word) * 8))
        self.outbox = Outbox(self.ledger, Words(self.record.cast("q"), steps))  # type: ignore[arg-type]
        self.frames: dict[int, tuple[int, int]] = {}
        """Where in all that the backend gets each call begins and ends."""
        self.answered: set[int] = set()
        self.cancelled: set[int] = set()

    def do(self, step: Step) -> None:
        what, size = step
        if what in {"call", "post"}:
            call = len(self.frames) + 1
            start = max((end for _, end in self.frames.values()), default=0)
            self.ledger.take(call)
            frame = frame_of(call, size)
            self.frames[call] = (start, start + len(frame))
            if what == "call":
                parts = (frame,) if size % 2 else (frame[:size], frame[size:])
                self.outbox.append(call, *parts)
            elif self.outbox.size or not self.outbox.post(self.to_backend, call, frame):
                self.outbox.append(call, frame)
        elif what == "flush":
            self.outbox.flush(self.to_backend)
        elif what == "read":
            self.backend.read(size)
        elif what in {"reply", "answer"} and (ready := self.unanswered()):
            call = min(ready)
            self.answered.add(call)
            if what == "reply":
                self.pipe.send(v1.Reply(call, 0), b"r" * size)
            else:
                self.loop.alone = size % 2 == 0
                self.pipe.reply(call, 0, b"r" * size)
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

    def unanswered(self) -> set[int]:
        return self.whole() - self.answered - self.cancelled

    def whole(self) -> set[int]:
        seen = len(self.backend.content)
        return {call for call, (_, end) in self.frames.items() if end <= seen}

    def ran(self) -> list[int]:
        """The calls the backend has carried out: what it makes of the lines it got."""
        calls = []
        for line in self.backend.content.split(b"\n"):
            try:
                calls.append(int(json.loads(line)["call"]))
            except ValueError:
                continue  # nothing, or torn
        return calls

    def fates(self) -> dict[int, Fate]:
        """What the supervisor takes for true of each call it has to decide about."""
        found = Ledger(self.memory)
        stages, left = found.read(), record(self.record)
        fates = {
            call: Fate.WHOLE if stages.get(call) is Stage.WRITTEN else Fate.CUT
            for call in self.open()
            if call in stages or found.complete
        }
        if left is not None and left.number in fates:
            fates[left.number] = left.fate
        return fates

    def go_on(self, calls: list[int]) -> None:
        """Have the next worker give these to the backend."""
        self.outbox = Outbox(self.ledger, self.record.cast("q"))
        self.outbox.resume([], 0, ())
        for call in calls:
            self.outbox.append(call, frame_of(call, 50))
        while self.outbox.size:
            self.backend.read(CAPACITY)
            self.outbox.flush(self.to_backend)

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


@contextlib.contextmanager
def kernel(world: World) -> Iterator[None]:
    """Have the world's pipes in place of the kernel's."""
    real_write = os.write

    def write(fd: int, data: bytes) -> int:
        return world.pipes[fd].write(data) if fd in world.pipes else real_write(fd, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", write)
        patch.setattr(os, "writev", lambda fd, parts: write(fd, b"".join(parts)))
        patch.setattr(outboxes, "PIPE_BUF", SMALL_BYTES)
        patch.setattr(mailbox, "PIPE_BUF", SMALL_BYTES)
        patch.setattr(pipes, "PIPE_BUF", SMALL_BYTES)
        yield


def run(world: World, program: list[Step]) -> bool:
    """Run the program; tell whether the worker was killed."""
    try:
        for step in program:
            world.do(step)
    except Killed:
        return True
    return False


@given(PROGRAMS)
def test_a_kill_at_any_step_leaves_the_truth(
    null: tuple[int, int, int], program: list[Step]
) -> None:
    steps, killed = 0, True
    while killed:
        world = World(Steps(steps), null)
        with kernel(world):
            killed = run(world, program)
            fates, ran, touched = world.fates(), world.ran(), world.touched()
            unsure = [call for call, fate in fates.items() if fate is Fate.UNSURE]
            assert len(unsure) <= 1, "one per backend and kill"
            for call, fate in fates.items():
                assert fate is not Fate.CUT or call not in ran, "it would run twice"
                assert fate is not Fate.WHOLE or call in ran, "it would never run"
            torn = [call for call in touched if call not in ran]
            left = record(world.record)
            assert not torn or (left is not None and left.torn), "a newline is due"
            world.steps.steps = 1 << 60  # the next worker lives
            again = [call for call, fate in fates.items() if fate is Fate.CUT]
            world.go_on(again)
            after = world.ran()
        assert len(after) == len(set(after)), "it has run twice"
        assert set(after) >= {call for call in fates if call not in unsure}, "it has never run"
        steps += 1


@given(PROGRAMS)
def test_between_its_writes_a_worker_leaves_no_doubt(
    null: tuple[int, int, int], program: list[Step]
) -> None:
    for length in range(len(program) + 1):
        world = World(Steps(1 << 60), null)
        with kernel(world):
            assert not run(world, program[:length])
            found = Ledger(world.memory)
            fates, whole = world.fates(), world.whole()
        for call, fate in fates.items():
            assert fate is (Fate.WHOLE if call in whole else Fate.CUT)
        if found.complete:
            assert found.read().keys() == world.open()
