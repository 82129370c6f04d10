"""A backend that one worker gives back and another takes over: at any moment of its life."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from relay_supervisor import memory_file
from relay_supervisor.wire import custody as custodies
from relay_supervisor.wire import ledger as ledgers
from relay_supervisor.wire import v1
from relay_supervisor.wire.custody import Custody, Unsent
from relay_supervisor.wire.ledger import LEDGER_BYTES, Ledger
from relay_worker.backends.base import State
from relay_worker.backends.mailbox import bytes_for
from relay_worker.backends.movable import MovableBackend
from relay_worker.backends.surroundings import Policy
from tests.unit.relay_worker.backends.stage import Process, Stage

POLICY = Policy(frame_bytes_max=10_000)
CALL = v1.Call(41, "tools/call", "t", v1.LEGACY)
RESULT = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {}}


class Movable(Process):
    """A process whose descriptors can be given out again and again."""

    def __init__(self, pid: int) -> None:
        super().__init__(pid)
        self.mailbox = memory_file.make("test", bytes_for(POLICY.frame_bytes_max))

    def worker_ends(self) -> list[int]:
        return [os.dup(fd) for fd in (*super().worker_ends(), self.mailbox)]

    def end(self) -> None:
        """Close all that is left."""
        self.close()
        for fd in (self.worker_stdin, self.worker_stdout, self.worker_stderr, self.mailbox):
            os.close(fd)


class Worker(Stage):
    """A worker with one backend, and what it tells the supervisor."""

    make_process = Movable

    def __init__(self, monkeypatch: pytest.MonkeyPatch, generation: int, **plan: Any) -> None:
        self.ledger = Ledger(memoryview(bytearray(LEDGER_BYTES)))
        super().__init__(
            monkeypatch,
            POLICY,
            kind=MovableBackend,
            ledger=self.ledger,
            generation=generation,
            **plan,
        )

    @property
    def movable(self) -> MovableBackend:
        assert isinstance(self.backend, MovableBackend)
        return self.backend

    def last(self, kind: type[v1.Message]) -> Any:
        """The last message of a kind."""
        found = [message for message in self.sent if isinstance(message, kind)]
        assert found, f"no {kind.__name__} in {self.sent}"
        return found[-1]

    def leave(self) -> tuple[v1.Frozen, Custody]:
        """Give the backend back."""
        self.movable.freeze()
        self.turn()
        return self.left()

    def left(self) -> tuple[v1.Frozen, Custody]:
        """How it was given back."""
        (found,) = [(m, p) for m, p in self.with_payloads if isinstance(m, v1.Frozen)]
        custody = custodies.decode(found[1])
        assert custody is not None
        return found[0], custody

    def adopt(
        self, process: Process, custody: Custody, *calls: v1.Call, crashed: bool = False
    ) -> v1.Adopted:
        """Take a process over; return what is said of that."""
        self.descriptors.fds[900] = process.worker_ends()
        adopt = v1.Adopt(900, "fix", process.pid, list(calls), crashed)
        self.movable.adopt(adopt, custodies.encode(custody))
        self.turn()
        adopted: v1.Adopted = self.last(v1.Adopted)
        return adopted


Make = Callable[..., Worker]


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes workers, one generation after another."""
    made: list[Worker] = []

    def make(**plan: Any) -> Worker:
        made.append(Worker(monkeypatch, len(made) + 1, **plan))
        return made[-1]

    yield make
    processes = {id(process): process for one in made for process in one.processes}
    for one in made:
        one.processes.clear()
        one.close()
    for process in processes.values():
        assert isinstance(process, Movable)
        process.end()


@pytest.fixture
def taker(worker: Make) -> Make:
    """Makes workers that wait for their backend."""

    def make() -> Worker:
        one = worker(client=False)
        one.movable.wait_for_it()
        one.introduce()
        return one

    return make


def known(one: Worker, other: Worker) -> None:
    """The lists one worker has learned are replayed to another."""
    other.backend.lists = one.backend.lists


def test_a_call_is_answered_to_the_worker_that_took_over(worker: Make, taker: Make) -> None:
    old, new = worker(), taker()
    process = old.connect()
    assert old.backend.call(41, "tools/call", b"{}") is None
    old.turn()
    (sent,) = process.heard()
    frozen, custody = old.leave()
    assert frozen == v1.Frozen("fix", process.pid, [])
    assert old.backend.state is State.AWAITED and old.backend.pid is None
    assert ("gave back", [41]) in old.told
    known(old, new)
    assert new.adopt(process, custody, CALL) == v1.Adopted("fix", process.pid)
    assert new.backend.state is State.READY and ("took over", [41]) in new.told
    process.say(id=sent["id"], result={})
    new.turn()
    assert ("replied", 41) in [told[:2] for told in new.told]
    assert process.heard() == [], "nothing was asked again"
    assert new.count(v1.Joined) == 1


def test_what_was_half_said_is_heard_whole(worker: Make, taker: Make) -> None:
    line = b'{"jsonrpc":"2.0","id":41,"result":{"text":"half"}}\n'
    for cut in range(len(line) + 1):
        old, new = worker(), taker()
        process = old.connect()
        old.backend.call(41, "tools/call", b"{}")
        old.turn()
        os.write(process.stdout, line[:cut])
        old.turn()
        _, custody = old.leave()
        os.write(process.stdout, line[cut:])
        known(old, new)
        calls = [] if cut == len(line) else [CALL]
        new.adopt(process, custody, *calls)
        answers = [told for told in (*old.told, *new.told) if told[0] == "replied"]
        assert [told[1] for told in answers] == [41], f"cut at {cut}"
        assert answers[0][2] == line.rstrip()


@pytest.mark.parametrize("size", [100, 3000, 9000])
def test_what_was_half_written_is_finished(worker: Make, taker: Make, size: int) -> None:
    old, new = worker(), taker()
    process = old.connect()
    full = 0
    while old.backend.call(100 + full, "tools/call", b'{"x":"%b"}' % (b"y" * size)) is None:
        full += 1
        old.turn()
        if full * size > 200_000:
            break
    frozen, custody = old.leave()
    assert frozen.unsent, "the pipe took everything"
    assert [one.number for one in custody.outbox] == frozen.unsent
    known(old, new)
    calls = [v1.Call(100 + n, "tools/call", "t", v1.LEGACY) for n in range(full)]
    new.adopt(process, custody, *calls)
    stages = new.ledger.read()
    assert {n for n, s in stages.items() if s == ledgers.Stage.RECEIVED} == set(frozen.unsent)
    heard = []
    while len(heard) < full:
        heard += [message["id"] for message in process.heard()]
        new.turn()
    assert heard == [100 + n for n in range(full)]
    assert set(new.ledger.read().values()) == {ledgers.Stage.WRITTEN}


@pytest.mark.parametrize("step", range(5))
def test_at_any_moment_of_its_start(worker: Make, taker: Make, step: int) -> None:
    """It is initialised once, and its lists are asked for once."""
    holders = [worker(), taker()]
    process = holders[0].start_process()
    asked: list[str] = []

    def move() -> None:
        frozen, custody = holders[0].leave()
        assert frozen.pid == process.pid
        holders.reverse()
        holders[0].adopt(process, custody)

    answers: list[dict[str, Any]] = [RESULT, {"tools": []}]
    for moment in range(5):
        if moment == step:
            move()
        for message in process.heard():
            if message["method"] == "notifications/initialized":
                continue
            asked.append(message["method"])
            process.say(id=message["id"], result=answers[len(asked) - 1])
            if moment == step - 1:
                break  # moved with an answer that nobody has read
        else:
            holders[0].turn()
    for holder in holders:
        holder.turn()
    assert asked == ["initialize", "tools/list"]
    assert holders[0].backend.state is State.READY
    assert holders[0].backend.lists is not None


def test_a_process_that_is_on_its_way_is_waited_for(worker: Make, taker: Make) -> None:
    old, new = worker(), taker()
    old.movable.freeze()
    assert old.count(v1.Frozen) == 0
    process = old.start_process()
    frozen, custody = old.left()
    assert frozen.pid == process.pid and custody.phase == "new"
    assert process.heard() == [], "it was spoken to by a worker that has let go of it"
    new.adopt(process, custody)
    assert [m["method"] for m in process.heard()] == ["initialize"]


def test_a_process_that_does_not_come_is_waited_for_too(worker: Make, taker: Make) -> None:
    old = worker()
    old.movable.freeze()
    old.refuse()
    frozen, custody = old.left()
    assert frozen.pid == 0 and "could not be started" in (custody.last_error or "")
    old.wait(1000.0)
    assert old.count(v1.Spawn) == 1, "it was tried again by a worker that has let go of it"


@pytest.mark.parametrize("how", ["stopped", "fallen", "gone"])
def test_a_process_at_its_end_is_waited_for(worker: Make, taker: Make, how: str) -> None:
    old = worker(idle_stop_seconds=1)
    process = old.connect()
    if how == "stopped":
        old.wait(2.0)
        assert old.backend.state is State.STOPPING
    elif how == "fallen":
        process.close("stdout")
        old.turn()
        assert old.backend.state is State.FALLEN
    if how != "gone":
        old.movable.freeze()
        assert old.count(v1.Frozen) == 0
    old.exit(1)
    if how == "gone":
        old.movable.freeze()
    frozen, _ = old.left()
    assert frozen.pid == 0
    old.wait(1000.0)
    assert old.count(v1.Spawn) == 1


def test_what_is_granted_without_a_process_is_started(worker: Make, taker: Make) -> None:
    new = taker()
    new.backend.want()
    assert new.count(v1.Spawn) == 0 and not new.backend.learning
    left = custodies.encode(Custody(restarts=3, last_error="it fell"))
    new.movable.adopt(v1.Adopt(0, "fix", 0), left)
    assert new.count(v1.Spawn) == 1
    assert (new.backend.restarts, new.backend.last_error) == (3, "it fell")


@pytest.mark.parametrize(
    ("payload", "words"),
    [(b"\xc1", "nothing can be made"), (custodies.encode(Custody("ready")), "cannot be read")],
)
def test_what_cannot_be_taken_over_is_refused(
    worker: Make, taker: Make, payload: bytes, words: str
) -> None:
    old, new = worker(), taker()
    process = old.connect()
    old.leave()
    new.descriptors.fds[900] = process.worker_ends() if "read" in words else []
    new.movable.adopt(v1.Adopt(900, "fix", process.pid), payload)
    assert words in new.last(v1.Adopted).refusal


def test_without_its_descriptors_it_is_refused(worker: Make, taker: Make) -> None:
    new = taker()
    new.movable.adopt(v1.Adopt(900, "fix", 77), custodies.encode(Custody("ready")))
    assert "none came" in new.last(v1.Adopted).refusal


def test_after_a_crash_its_lists_are_asked_for_again_and_nothing_else_changes(
    worker: Make,
    taker: Make,
) -> None:
    """Nobody knows what the dead one had heard of changes."""
    old, new = worker(), taker()
    process = old.connect(tools=({"name": "t"},))
    old.backend.set_level("info")
    old.turn()
    process.heard()
    joined = [custodies.decode(p) for m, p in old.with_payloads if isinstance(m, v1.Joined)][-1]
    assert joined is not None
    known(old, new)
    os.write(process.stdout, b'{"jsonrpc":"2.0","id":41,"result":{}}\n')  # for nobody's ears yet
    new.adopt(process, joined, CALL, crashed=True)
    assert ("replied", 41) in [told[:2] for told in new.told]
    (asked,) = process.heard()
    assert asked["method"] == "tools/list"
    times = new.learned_times
    process.say(id=asked["id"], result={"tools": [{"name": "t"}]})
    new.turn()
    assert new.learned_times == times and new.backend.state is State.READY


def test_an_errand_is_told_when_it_is_written_by_whoever_writes_it(
    worker: Make, taker: Make
) -> None:
    old, new = worker(), taker()
    process = old.connect()
    custody = old.leave()[1]
    known(old, new)
    frame = b'{"jsonrpc":"2.0","id":"q","result":{}}\n'
    carried = Custody(**{**_fields(custody), "outbox": [Unsent(55, frame)]})
    new.adopt(process, carried)
    assert process.heard()[0]["id"] == "q"
    assert ("done", 55) in new.told


def test_stderr_that_nobody_read_comes_with_it(worker: Make, taker: Make) -> None:
    old, new = worker(), taker()
    process = old.connect()
    custody = old.leave()[1]
    known(old, new)
    new.adopt(process, custody)
    new.movable.stderr(v1.Stderr("fix", process.pid), b"meanwhile\n")
    new.movable.stderr(v1.Stderr("fix", 1), b"of another process\n")
    assert [told for told in new.told if told[0] == "stderr"] == [("stderr", b"meanwhile\n")]


def _fields(custody: Custody) -> dict[str, Any]:
    return {name: getattr(custody, name) for name in custody.__struct_fields__}
