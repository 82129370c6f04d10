"""What goes on from one worker to the next and back: ids, counts of restarts, errands for a backend
that is elsewhere, and lines nobody can take in.
"""

import itertools

import pytest

from relay_supervisor.wire import v1
from relay_worker.backends import mailbox as mailboxes
from relay_worker.backends.base import State
from relay_worker.backends.mailbox import Mailbox, private
from tests.unit.relay_worker.backends.handing import Make, custody_of, hand, heir
from tests.unit.relay_worker.backends.stage import Process, Stage


def changed(stage: Stage, process: Process) -> str:
    """The backend says that its tools have changed; returns the id it is asked for them with."""
    process.say(method="notifications/tools/list_changed")
    stage.turn()
    (request,) = [one for one in process.heard() if one["method"] == "tools/list"]
    process.say(id=request["id"], result={"tools": []})
    stage.turn()
    return str(request["id"])


def test_no_id_of_a_request_comes_twice_in_the_life_of_a_process(stage: Make) -> None:
    """Also of a worker that gets it back, as after a rollback."""
    one, two = stage(), heir(stage)
    process = one.connect()
    ids = [changed(one, process)]
    for giver, taker in itertools.pairwise([one, two, one, two, one]):
        hand(giver, taker, process)
        ids.append(changed(taker, process))
    assert len(set(ids)) == len(ids)


# ---- restarts -----------------------------------------------------------------------------------


def test_a_process_that_fell_under_the_last_worker_is_restarted_by_the_next(stage: Make) -> None:
    one, two = stage(), heir(stage)
    one.connect()
    one.exit(3)
    assert one.backend.state is State.BACKING_OFF and one.freeze().pid == 0
    two.backend.adopt(v1.Adopt(0, "fix", 0), one.payloads[v1.Frozen])
    assert two.count(v1.Spawn) == 1 and two.backend.restarts == 1
    two.connect()
    assert two.freeze() and not custody_of(two).fallen


def test_a_process_that_was_not_needed_is_not_restarted(stage: Make) -> None:
    one, two = stage(lazy=True, idle_stop_seconds=5.0), heir(stage)
    one.connect()
    one.exit(3)
    one.backend.want()
    one.wait(30.0)
    one.connect()  # well again; its last error is shown all the same
    one.wait(10.0)
    one.exit()
    assert one.backend.state is State.IDLE and one.backend.restarts == 1
    assert one.backend.last_error == "it exited with status 3"
    one.freeze()
    two.backend.adopt(v1.Adopt(0, "fix", 0), one.payloads[v1.Frozen])
    two.backend.want()
    assert two.count(v1.Spawn) == 1 and two.backend.restarts == 1


def test_one_that_is_well_again_is_not_restarted_when_it_is_next_needed(stage: Make) -> None:
    one = stage(lazy=True, idle_stop_seconds=5.0)
    one.connect()
    one.exit(3)
    one.wait(30.0)
    one.connect()
    one.wait(10.0)
    one.exit()
    one.backend.want()
    assert one.count(v1.Spawn) == 3 and one.backend.restarts == 1


# ---- errands ------------------------------------------------------------------------------------


def test_an_errand_for_a_backend_that_is_elsewhere_is_void_at_once(stage: Make) -> None:
    """Or it would keep its place in the ledger for ever."""
    one = heir(stage)
    assert not one.backend.cancel(5, b"{}", 6)
    assert not one.backend.answer(5000, b'"q"', b'"result":{}', 7)


# ---- lines over the limit -----------------------------------------------------------------------

LIMIT = 100


@pytest.mark.parametrize("piece", [1, 7, 60, 150])
@pytest.mark.parametrize("killed_at", range(0, 620, 31))
def test_two_long_lines_in_a_row_are_both_told_of_after_a_kill(
    piece: int, killed_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was passed on when the worker was killed: the next one finds both beginnings."""
    monkeypatch.setattr(mailboxes, "READ_BYTES_MAX", 256)
    lines = [b'{"id":1,' + b"x" * 290, b'{"id":2,' + b"y" * 290]
    stream = b"\n".join(lines) + b"\n"
    memory = private(LIMIT)
    copy = private(LIMIT)
    one = Mailbox(memory, frame_bytes_max=LIMIT)
    found = list[bytes]()
    at = 0

    def read(mailbox: Mailbox, until: int, *, passed_on: bool) -> int:
        place = at
        while place < until and mailbox.has_room():
            room = mailbox.room()
            part = stream[place : min(place + piece, place + len(room), until)]
            room[: len(part)] = part
            mailbox.count(len(part))
            place += len(part)
            while mailbox.unseen:
                mailbox.cut()
            if passed_on:
                found.extend(head[:8] for head, _ in mailbox.oversized)
                mailbox.oversized.clear()
                mailbox.advance(mailbox.parsed)
        return place

    at = read(one, killed_at, passed_on=False)
    copy[:] = memory[:]
    two = Mailbox(copy, frame_bytes_max=LIMIT)
    while two.unseen:
        two.cut()
    found += [head[:8] for head, _ in two.oversized]
    two.oversized.clear()
    two.advance(two.parsed)
    assert read(two, len(stream), passed_on=True) == len(stream)
    assert found == [b'{"id":1,', b'{"id":2,']
    one.close()
    two.close()
