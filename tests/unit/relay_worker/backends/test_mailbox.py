"""A mailbox under a worker that may be killed between any two stores: nothing that the backend said
is lost, changed or made up, and whoever comes next finds it as the contract says.
"""

import mmap
from collections import deque
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_supervisor.wire.mailbox import HEADER_BYTES, READ_BYTES_MAX, Word
from relay_worker.backends import mailbox as mailboxes
from relay_worker.backends.mailbox import Line, Mailbox, bytes_for, private

LINE_MAX = 30
READ_MAX = 12
HALF = LINE_MAX + READ_MAX + 3
MEMORY_BYTES = HEADER_BYTES + 2 * HALF


class Killed(BaseException):
    """SIGKILL."""


class Fate:
    """Lets so many steps happen; the next one does not."""

    def __init__(self, steps: int = 1 << 60) -> None:
        self.steps = steps

    def step(self) -> None:
        if not self.steps:
            raise Killed
        self.steps -= 1


class Memory(bytearray):
    """Memory like `mmap.mmap`; a store over many bytes may be cut short."""

    fate = Fate()

    def __getitem__(self, key: slice) -> bytes:  # type: ignore[override]
        return bytes(super().__getitem__(key))

    def __setitem__(self, key: slice, value: bytes) -> None:  # type: ignore[override]
        assert len(value) == key.stop - key.start
        half = key.start + len(value) // 2
        self.fate.step()
        super().__setitem__(slice(key.start, half), value[: half - key.start])
        self.fate.step()
        super().__setitem__(slice(half, key.stop), value[half - key.start :])

    def madvise(self, _option: int, start: int, length: int) -> None:
        assert start % mailboxes._PAGE == length % mailboxes._PAGE == 0
        self[start : start + length] = bytes(length)

    def close(self) -> None:
        """It goes on, as the supervisor has it too."""


class Words:
    """The header's words, each store of which is a step."""

    def __init__(self, words: memoryview, fate: Fate) -> None:
        self._words, self._fate = words, fate

    def __getitem__(self, index: int) -> int:
        return int(self._words[index])

    def __setitem__(self, index: int, value: int) -> None:
        self._fate.step()
        self._words[index] = value

    def release(self) -> None:
        self._words.release()


class Watched(Mailbox):
    """A mailbox whose stores are steps."""

    def _attach(self, parsed: int | None) -> None:
        self.words = Words(self.words, self._memory.fate)  # type: ignore[assignment, attr-defined]
        super()._attach(parsed)


class World:
    """What a backend wrote, the memory, and what the supervisor has got by now."""

    def __init__(self, stream: bytes) -> None:
        self.memory = Memory(MEMORY_BYTES)
        self.stream = stream
        self.written = 0
        self.read = 0
        self.got: dict[int, bytes] = {}
        self.dropped: set[tuple[bytes, bytes]] = set()

    def attach(self, fate: Fate, parsed: int | None = None) -> "Worker":
        self.memory.fate = fate
        box = Watched(self.memory, frame_bytes_max=LINE_MAX, parsed=parsed)  # type: ignore[arg-type]
        return Worker(self, box, fate)

    def nothing_lies_about(self) -> None:
        """All is NUL behind what was read, and in the half that is not in use."""
        words = memoryview(self.memory)[: len(Word) * 8].cast("q")
        base, head, tail = words[Word.BASE], words[Word.HEAD], words[Word.TAIL]
        rest = bytes(self.memory)[HEADER_BYTES:]
        other = rest[:HALF] if head - base >= HALF else rest[HALF:]
        behind = rest[tail - base : HALF] if head - base < HALF else rest[tail - base :]
        assert not other.strip(b"\0") and not behind.strip(b"\0")
        assert rest[head - base : tail - base] == self.stream[head:tail]
        assert tail == self.read, "what was read is counted"


class Worker:
    """Whoever has the mailbox: reads, cuts, and passes on when the supervisor takes it."""

    def __init__(self, world: World, box: Mailbox, fate: Fate) -> None:
        self.world, self.box, self.fate = world, box, fate
        self.queue: deque[tuple[list[Line], list[tuple[bytes, bytes]], int]] = deque()
        self.look()

    def do(self, what: str, size: int) -> None:
        world = self.world
        if what == "write":
            world.written = min(len(world.stream), world.written + size)
        elif what == "read" and self.box.has_room():
            room = self.box.room()
            count = min(size, len(room), world.written - world.read)
            if not count:
                return
            self.fate.step()
            room[:count] = world.stream[world.read : world.read + count]
            world.read += count
            self.fate.step()
            at = self.box.tail
            line = self.box.take(count)
            if line is None:
                self.look()
            else:
                assert not self.box.unseen
                self.queue.append(([(at, line)], [], self.box.parsed))
        elif what == "pass on":
            for _ in range(min(size, len(self.queue))):
                self.fate.step()
                lines, dropped, mark = self.queue.popleft()
                world.got |= self.checked(lines)
                world.dropped.update(dropped)
                self.fate.step()
                self.box.advance(mark)

    def look(self) -> None:
        while self.box.unseen:
            lines = self.box.cut()
            dropped, self.box.oversized = self.box.oversized, []
            self.queue.append((lines, dropped, self.box.parsed))

    def checked(self, lines: list[Line]) -> dict[int, bytes]:
        for at, text in lines:
            assert self.world.stream[at : at + len(text) + 1] == text + b"\n", "as it was written"
            assert self.world.got.get(at, text) == text
        return dict(lines)

    def finish(self) -> None:
        """Read and pass on all there is."""
        for _ in range(3 * len(self.world.stream) + 3):
            self.do("write", READ_MAX)
            self.do("read", READ_MAX)
            self.do("pass on", 1)
        self.do("pass on", len(self.queue))


@pytest.fixture(autouse=True, scope="module")
def _small() -> Iterator[None]:
    """Everything small, so that every limit is reached."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mailboxes, "READ_BYTES_MAX", READ_MAX)
        patch.setattr(mailboxes, "ONE_BYTES_MAX", 9)
        patch.setattr(mailboxes, "MANY_BYTES_MAX", 10)
        patch.setattr(mailboxes, "KEEP_BYTES", 7)
        patch.setattr(mailboxes, "PIECE_BYTES", 5)
        patch.setattr(mailboxes, "_PAGE", 4)
        patch.setattr(mailboxes, "_REMOVE", 9)
        patch.setattr(mailboxes, "HINT_BYTES", 6)
        yield


STREAMS = st.lists(
    st.one_of(st.integers(0, 8), st.sampled_from([LINE_MAX - 1, LINE_MAX, LINE_MAX + 1, 50, 120])),
    min_size=1,
    max_size=7,
).map(
    lambda sizes: b"".join(
        bytes(97 + (number * 7 + index) % 25 for index in range(size)) + b"\n"
        for number, size in enumerate(sizes)
    )
)
PROGRAMS = st.lists(
    st.tuples(st.sampled_from(["write", "read", "read", "pass on"]), st.integers(1, READ_MAX)),
    max_size=25,
)


def expected(stream: bytes) -> tuple[dict[int, bytes], list[bytes]]:
    lines, dropped, at = {}, [], 0
    for line in stream.split(b"\n")[:-1]:
        if len(line) > LINE_MAX:
            dropped.append(line)
        elif line:
            lines[at] = line
        at += len(line) + 1
    return lines, dropped


def assert_all_there(world: World) -> None:
    lines, dropped = expected(world.stream)
    assert world.got == lines
    told = {next(line for line in dropped if line.startswith(head)) for head, _ in world.dropped}
    assert told == set(dropped), "each line that was dropped is told of, by its beginning"
    for head, tail in world.dropped:
        assert any(line.startswith(head) and line.endswith(tail) for line in dropped)
        assert len(head) == 6


def run(world: World, program: list[tuple[str, int]], fate: Fate) -> bool:
    """Run a program; tell whether it was killed."""
    try:
        worker = world.attach(fate)
        for what, size in program:
            worker.do(what, size)
    except Killed:
        return True
    return False


@given(STREAMS, PROGRAMS, PROGRAMS, st.integers(0, 40))
def test_a_kill_at_any_store_loses_nothing(
    stream: bytes, first: list[tuple[str, int]], second: list[tuple[str, int]], later: int
) -> None:
    steps, killed = 0, True
    while killed:
        world = World(stream)
        killed = run(world, first, Fate(steps))
        run(world, second, Fate(later))
        last = world.attach(Fate())
        world.nothing_lies_about()
        last.finish()
        assert_all_there(world)
        steps += 1


def test_two_kills_while_a_line_is_dropped_leave_room_to_read_on() -> None:
    """One after the other, at any two stores: also where the half is full by then."""
    stream = b"a" * 60 + b"\nhijklm\n"
    reads = [("write", 60), ("read", 12), ("read", 12), ("read", 12), ("read", 2)]
    for steps in range(30):
        for later in range(12):
            world = World(stream)
            run(world, reads, Fate(steps))
            run(world, [("write", 1), ("read", 9)], Fate(later))
            last = world.attach(Fate())
            world.nothing_lies_about()
            last.finish()
            assert_all_there(world)


@given(STREAMS, st.lists(PROGRAMS, max_size=5))
def test_whoever_it_is_handed_to_goes_on_at_the_same_byte(
    stream: bytes, programs: list[list[tuple[str, int]]]
) -> None:
    world = World(stream)
    worker = world.attach(Fate())
    for program in programs:
        for what, size in program:
            worker.do(what, size)
        # All that was cut is in the pipe before the word that it is handed over.
        for lines, dropped, _ in worker.queue:
            world.got |= worker.checked(lines)
            world.dropped.update(dropped)
        parsed, seen = worker.box.parsed, len(world.got)
        worker.box.close()
        worker.box.advance(parsed)
        worker = world.attach(Fate(), parsed)
        world.nothing_lies_about()
        assert not any(lines for lines, _, _ in worker.queue) and len(world.got) == seen
    worker.finish()
    assert_all_there(world)
    assert worker.box.head == worker.box.tail == len(stream)


@pytest.mark.parametrize(
    ("word", "value"),
    [(Word.HEAD, 5), (Word.TAIL, 5000), (Word.BASE, 1), (Word.BASE, -5000), (Word.SKIPPING, 2)],
)
def test_a_damaged_header_is_refused(word: Word, value: int) -> None:
    memory = Memory(MEMORY_BYTES)
    memoryview(memory)[:64].cast("q")[word] = value
    with pytest.raises(ValueError, match="damaged"):
        Watched(memory, frame_bytes_max=LINE_MAX)  # type: ignore[arg-type]


def test_what_cannot_be_a_mailbox_is_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        Mailbox(mmap.mmap(-1, HEADER_BYTES), frame_bytes_max=LINE_MAX)
    with pytest.raises(ValueError, match="does not fit"):
        Mailbox(mmap.mmap(-1, MEMORY_BYTES), frame_bytes_max=LINE_MAX, parsed=1)


def test_a_limit_that_was_raised_since_is_what_there_is_room_for() -> None:
    world = World(b"x" * 500 + b"\nyes\n")
    world.memory.fate = Fate()
    box = Watched(world.memory, frame_bytes_max=1000)  # type: ignore[arg-type]
    Worker(world, box, Fate()).finish()
    assert list(world.got.values()) == [b"yes"] and len(world.dropped) == 1


def test_memory_of_large_lines_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real limits, and real memory."""
    monkeypatch.undo()
    frame_bytes_max = 8 << 20
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mailboxes, "READ_BYTES_MAX", READ_BYTES_MAX)
        patch.setattr(mailboxes, "KEEP_BYTES", 256 << 10)
        patch.setattr(mailboxes, "_PAGE", mmap.PAGESIZE)
        patch.setattr(mailboxes, "_REMOVE", getattr(mmap, "MADV_REMOVE", None))
        patch.setattr(mailboxes, "PIECE_BYTES", 1 << 20)
        memory = private(frame_bytes_max)
        assert len(memory) == bytes_for(frame_bytes_max)
        box = Mailbox(memory, frame_bytes_max=frame_bytes_max)
        line = b"x" * (6 << 20) + b"\n" + b"rest"
        for start in range(0, len(line), READ_BYTES_MAX):
            piece = line[start : start + READ_BYTES_MAX]
            box.room()[: len(piece)] = piece
            box.count(len(piece))
            for at, text in box.cut():
                assert (at, len(text)) == (0, 6 << 20)
        box.advance(box.parsed)
        assert memory[HEADER_BYTES : HEADER_BYTES + (7 << 20)].count(b"x") == 0
        assert box.tail - box.head == 4 and not box.unseen
        box.close()
