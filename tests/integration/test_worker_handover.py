"""Two real workers, and one backend that goes from one to the other, alive or dead, with its calls."""

import json
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_supervisor.wire import custody as custodies
from relay_supervisor.wire import mailbox, v1
from relay_supervisor.wire.custody import Custody
from relay_supervisor.wire.ledger import Stage
from relay_supervisor.wire.mailbox import Fate
from tests.harness.fixture import fixture_backend, side_effects
from tests.integration.fake_supervisor import FakeSupervisor

FIX = {"backends": {"fix": fixture_backend()}}
TEXT_BYTES = 300_000


@pytest.fixture
def old(tmp_path: Path) -> Iterator[FakeSupervisor]:
    with FakeSupervisor(tmp_path) as one:
        yield one


@pytest.fixture
def new(tmp_path: Path) -> Iterator[FakeSupervisor]:
    with FakeSupervisor(tmp_path, generation=4) as one:
        yield one


def pid_of(worker: FakeSupervisor) -> int:
    return worker.spawned[-1][1]


def await_it(new: FakeSupervisor, old: FakeSupervisor, config: dict[str, Any] = FIX) -> None:
    """Configure a worker that is to have the backend of another one."""
    configured = new.configure(config)
    assert configured.adopts and all(
        bool(info.spec_hash) == (info.kind == "stdio") for info in configured.backends
    )
    learned, payload = next(
        (message, payload) for message, payload in old.inbox if isinstance(message, v1.LearnedLists)
    )
    new.send(v1.KnownLists(learned.backend, learned.spec_hash), payload)
    new.send(v1.Await([learned.backend]))
    new.session()
    new.expect(v1.Ready)
    assert new.spawned == []


def freeze(worker: FakeSupervisor) -> tuple[v1.Frozen, bytes]:
    worker.send(v1.Freeze(["fix"]))
    return worker.expect(v1.Frozen)


def adopt(
    worker: FakeSupervisor, of: FakeSupervisor, payload: bytes, *calls: int, crashed: bool = False
) -> v1.Adopted:
    """Give a worker the backend that another one had."""
    pid = pid_of(of)
    worker.children[pid], worker.mailboxes[pid] = of.children[pid], os.dup(of.mailboxes[pid])
    worker.pass_ends(77, pid)
    under_way = [v1.Call(call, "tools/call", "fix__any", v1.LEGACY) for call in calls]
    worker.send(v1.Adopt(77, "fix", pid, under_way, crashed), payload)
    return worker.expect(v1.Adopted)[0]


def kill(worker: FakeSupervisor) -> None:
    worker.worker.kill()
    worker.worker.wait()
    worker.last_replies()


def test_it_goes_to_another_worker_and_back(old: FakeSupervisor, new: FakeSupervisor) -> None:
    old.ready(FIX)
    old.tool(5, "fix__counter")
    assert old.structured(5)["count"] == 1
    await_it(new, old)
    new.tool(6, "fix__counter")
    old.tool(7, "fix__slow", seconds=0.5, steps=3)
    old.until(lambda: old.stages() == {7: Stage.WRITTEN})
    frozen, payload = freeze(old)
    assert frozen == v1.Frozen("fix", pid_of(old))
    old.until(lambda: old.stages() == {})
    assert adopt(new, old, payload, 7) == v1.Adopted("fix", pid_of(old))
    assert new.structured(6)["count"] == 2 and "result" in new.reply(7)
    assert new.expect(v1.Joined)[0].pid == pid_of(old)
    _, payload = freeze(new)
    assert adopt(old, old, payload).refusal == ""
    old.tool(8, "fix__counter")
    assert old.structured(8)["count"] == 3 and old.spawned == [("fix", pid_of(old))]


def test_calls_that_wait_are_returned_before_anything_is_frozen(
    old: FakeSupervisor, new: FakeSupervisor
) -> None:
    config = {"backends": {"fix": fixture_backend("--start-delay=1")}}
    old.configure(config)
    old.session()
    old.tool(5, "fix__echo")
    old.expect(v1.Spawn)
    old.until(lambda: 5 in old.stages())
    frozen, payload = freeze(old)
    returned = [message for message, _ in old.inbox if isinstance(message, v1.Returned)]
    assert returned == [v1.Returned([5])] and frozen.pid == pid_of(old)
    assert custodies.decode(payload)
    old.until(lambda: old.stages() == {})
    new.configure(config)
    new.send(v1.Await(["fix"]))
    new.session()
    new.tool(5, "fix__echo", n=1)
    adopt(new, old, payload)
    assert new.structured(5) == {"n": 1}
    assert len(old.spawned) == 1 and new.spawned == []


@pytest.mark.parametrize("held_back", [1, 2, 50, 70_000])
def test_large_frames_go_over_in_the_middle(
    old: FakeSupervisor, new: FakeSupervisor, held_back: int
) -> None:
    """A stopped backend has read nothing of one call; the answers to others wait in its pipe."""
    old.ready(FIX)
    pid = pid_of(old)
    os.kill(pid, signal.SIGSTOP)
    texts = {call: chr(90 + call) * (TEXT_BYTES + held_back) for call in (7, 8)}
    for call, text in texts.items():
        old.tool(call, "fix__echo", text=text)
    old.until(lambda: mailbox.read(old.mailboxes[pid]) is not None)
    await_it(new, old)
    frozen, payload = freeze(old)
    left = custodies.decode(payload)
    assert left is not None and frozen.unsent == [7, 8]
    assert 0 < left.sent < TEXT_BYTES
    adopt(new, old, payload, 7, 8)
    os.kill(pid, signal.SIGCONT)
    for call, text in texts.items():
        assert new.structured(call)["text"] == text
    _, payload = freeze(new)
    adopt(old, old, payload)
    old.tool(9, "fix__violations")
    assert old.structured(9) == {"violations": []}


@pytest.mark.parametrize("size", [10, TEXT_BYTES])
def test_a_killed_worker_leaves_no_call_in_the_dark(
    old: FakeSupervisor, new: FakeSupervisor, tmp_path: Path, size: int
) -> None:
    """Ledger and mailbox say what has become of each; the next worker delivers what was given."""
    log = tmp_path / "effects"
    config = {"backends": {"fix": fixture_backend(f"--log={log}")}}
    old.ready(config)
    pid = pid_of(old)
    joined = old.expect(v1.Joined)[1]
    for call in range(1, 21):
        old.tool(call, "fix__counter", tag=f"{call} {'x' * size}")
    old.expect(v1.Reply)
    await_it(new, old, config)
    kill(old)
    answered = {message.call for message, _ in old.inbox if isinstance(message, v1.Reply)} | {1}
    stages, record = old.stages(), mailbox.read(old.mailboxes[pid])
    left = set(range(1, 21)) - answered
    going = {call for call in left if stages.get(call) is Stage.WRITTEN}
    unsure = set()
    if record is not None and record.number in left:
        going.discard(record.number)
        if record.fate is Fate.WHOLE:
            going.add(record.number)
        elif record.fate is Fate.UNSURE:
            unsure.add(record.number)
    again = left - going - unsure
    adopt(new, old, joined, *going, crashed=True)
    for call in again:
        new.tool(100 + call, "fix__counter", tag=f"{call} {'x' * size}")
    for call in [*going, *(100 + call for call in again)]:
        assert "result" in new.reply(call)
    ran = [int(entry["tag"].split()[0]) for entry in side_effects(log)]
    assert len(ran) == len(set(ran)) and set(ran) | unsure == set(range(1, 21))


@pytest.mark.parametrize("cut", [0, 1, 40, 5000, -1])
def test_a_reply_that_a_killed_worker_has_half_read_is_delivered(
    old: FakeSupervisor, new: FakeSupervisor, cut: int
) -> None:
    """The backend's last line is only in part in the mailbox, the rest is still in the pipe."""
    old.ready(FIX)
    joined = old.expect(v1.Joined)[1]
    old.tool(7, "fix__hang")
    old.until(lambda: old.stages() == {7: Stage.WRITTEN})
    await_it(new, old)
    line = json.dumps({"jsonrpc": "2.0", "id": 7, "result": {"text": "x" * 9000}}).encode() + b"\n"
    cut %= len(line)
    pid = pid_of(old)
    write = os.open(f"/proc/{pid}/fd/1", os.O_WRONLY)
    os.write(write, line[:cut])
    old.until(lambda: read_bytes(old, pid) >= cut)
    kill(old)
    os.write(write, line[cut:])
    os.close(write)
    adopt(new, old, joined, 7, crashed=True)
    assert new.reply(7)["result"] == {"text": "x" * 9000}


def read_bytes(worker: FakeSupervisor, pid: int) -> int:
    """How much of the backend's stdout lies in the mailbox."""
    words = memoryview(os.pread(worker.mailboxes[pid], 64, 0)).cast("q")
    return int(words[mailbox.Word.TAIL] - words[mailbox.Word.HEAD])


def test_the_last_words_of_a_dead_backend_are_heard(
    old: FakeSupervisor, new: FakeSupervisor
) -> None:
    old.ready(FIX)
    pid = pid_of(old)
    await_it(new, old)
    old.tool(7, "fix__slow", seconds=0.3, steps=1)
    old.tool(8, "fix__hang")
    old.until(lambda: old.stages() == dict.fromkeys((7, 8), Stage.WRITTEN))
    _, payload = freeze(old)
    child = old.children[pid]
    old.until(lambda: bool(select.select([child.stdout], [], [], 0)[0]))
    child.kill()
    old.until(lambda: child.poll() is not None)
    adopt(new, old, payload, 7, 8)
    new.send(v1.Exited("fix", pid, -9))
    assert "result" in new.reply(7)
    assert new.reply(8)["result"]["isError"]
    assert new.expect(v1.Spawn)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [(b"\xc1", "cannot be read"), (custodies.encode(Custody(parsed=1 << 40)), "does not fit")],
)
def test_what_cannot_be_used_is_refused(
    old: FakeSupervisor, new: FakeSupervisor, payload: bytes, reason: str
) -> None:
    old.ready(FIX)
    await_it(new, old)
    _, right = freeze(old)
    assert reason in adopt(new, old, payload).refusal
    assert adopt(new, old, right).refusal == "", "and the process is none the worse for it"
    new.tool(5, "fix__echo", n=1)
    assert new.structured(5) == {"n": 1}


def test_a_backend_nobody_knows_is_given_back_at_once(old: FakeSupervisor) -> None:
    old.ready(FIX)
    old.send(v1.Freeze(["nobody"]))
    assert old.expect(v1.Frozen)[0] == v1.Frozen("nobody", 0)
    old.send(v1.Adopt(5, "nobody", 4711))
    assert "not in the configuration" in old.expect(v1.Adopted)[0].refusal


def test_errands_are_done_once(old: FakeSupervisor) -> None:
    old.ready(FIX)
    old.tool(5, "fix__hang")
    old.until(lambda: old.stages() == {5: Stage.WRITTEN})
    old.send(v1.Cancel(5, errand=6))
    assert old.expect(v1.Done)[0] == v1.Done(6)
    old.send(v1.ClientAnswer("fix", b'"nobody"', 1, errand=7), b'"result":{}}')
    assert old.expect(v1.Done)[0] == v1.Done(7)
    old.until(lambda: old.stages() == {})
    old.tool(8, "fix__seen")
    assert [one["id"] for one in old.structured(8)["cancelled"]] == [5]


def test_progress_and_notifications_say_where_they_come_from(old: FakeSupervisor) -> None:
    old.ready(FIX)
    arguments = {"seconds": 0.2, "steps": 3}
    params = {"name": "fix__slow", "arguments": arguments, "_meta": {"progressToken": 1}}
    old.call(5, "tools/call", params)
    old.reply(5)
    said = [message for message, _ in old.inbox if isinstance(message, v1.Progress)]
    assert {message.pid for message in said} == {pid_of(old)} and len(said) >= 2
    places = [message.at for message in said]
    assert places == sorted(set(places)) and places[0] > 0
