"""The ledger says of each call what was last stored, and never more than is true."""

import mmap

import hypothesis.strategies as st
import pytest
from hypothesis import given

from relay_supervisor.wire.ledger import LEDGER_BYTES, SLOTS, WORDS, Ledger, Stage

SMALL_BYTES = 4 * WORDS * 8
"""Room for the header and three calls."""


def memory(size: int = LEDGER_BYTES) -> memoryview:
    return memoryview(bytearray(size))


def test_a_call_goes_through_its_stages() -> None:
    shared = memory()
    worker, supervisor = Ledger(shared), Ledger(shared)
    assert supervisor.read() == {} and supervisor.complete
    worker.take(7)
    assert supervisor.read() == {7: Stage.RECEIVED}
    worker.mark(7, Stage.WRITING)
    worker.take(2**53 - 1)
    assert supervisor.read() == {7: Stage.WRITING, 2**53 - 1: Stage.RECEIVED}
    worker.mark(7, Stage.WRITTEN)
    worker.release(2**53 - 1)
    assert supervisor.read() == {7: Stage.WRITTEN}
    worker.release(7)
    assert supervisor.read() == {}


def test_a_slot_that_is_taken_again_begins_anew() -> None:
    shared = memory(SMALL_BYTES)
    worker, supervisor = Ledger(shared), Ledger(shared)
    for call in range(1, 100):
        worker.take(call)
        assert supervisor.read() == {call: Stage.RECEIVED}
        worker.mark(call, Stage.WRITTEN)
        worker.release(call)
        worker.mark(call, Stage.WRITTEN)
        worker.release(call)
        assert supervisor.read() == {} and supervisor.complete


def test_it_holds_as_many_calls_as_it_has_slots() -> None:
    shared = memory()
    worker = Ledger(shared)
    for call in range(1, SLOTS):
        worker.take(call)
    assert worker.complete and len(worker.read()) == SLOTS - 1
    worker.take(SLOTS)
    assert not Ledger(shared).complete and SLOTS not in Ledger(shared).read()


def test_it_is_complete_again_when_calls_without_a_slot_are_answered() -> None:
    shared = memory(SMALL_BYTES)
    worker, supervisor = Ledger(shared), Ledger(shared)
    for call in range(1, 6):
        worker.take(call)
    worker.mark(5, Stage.WRITTEN)
    worker.release(1)
    assert set(supervisor.read()) == {2, 3} and not supervisor.complete
    worker.release(4)
    assert not supervisor.complete
    worker.release(5)
    assert supervisor.complete
    worker.take(6)
    assert set(supervisor.read()) == {2, 3, 6} and supervisor.complete


def test_a_stage_of_a_newer_worker_counts_as_in_doubt() -> None:
    shared = memory()
    Ledger(shared).take(7)
    shared.cast("Q")[WORDS + 1] = 99
    assert Ledger(shared).read() == {7: Stage.WRITING}


@pytest.mark.parametrize("size", [SMALL_BYTES, LEDGER_BYTES, 2 * LEDGER_BYTES])
def test_either_side_may_have_made_a_memory_of_another_size(size: int) -> None:
    shared = memory(size)
    Ledger(shared).take(1)
    assert Ledger(shared).read() == {1: Stage.RECEIVED}


def test_an_untouched_ledger_takes_no_memory_for_the_calls_to_come() -> None:
    with mmap.mmap(-1, LEDGER_BYTES) as shared:
        view = memoryview(shared)
        ledger = Ledger(view)
        for call in range(1, 1000):
            ledger.take(call)
            ledger.release(call)
        assert not any(shared[2 * WORDS * 8 :]), "the same slot is taken again and again"
        del ledger
        view.release()


@given(st.lists(st.tuples(st.sampled_from("tmr"), st.integers(1, 8)), max_size=60))
def test_it_never_loses_count(steps: list[tuple[str, int]]) -> None:
    shared = memory(SMALL_BYTES)
    worker, supervisor = Ledger(shared), Ledger(shared)
    under_way: dict[int, Stage] = {}
    for what, call in steps:
        if what == "t" and call not in under_way:
            worker.take(call)
            under_way[call] = Stage.RECEIVED
        elif what == "m":
            worker.mark(call, Stage.WRITTEN)
            if call in under_way:
                under_way[call] = Stage.WRITTEN
        elif what == "r":
            worker.release(call)
            under_way.pop(call, None)
        found = supervisor.read()
        assert found.items() <= under_way.items()
        assert supervisor.complete == (found == under_way)
