"""The poll loop: what is ready and due is called, in order, and nothing a callback does ends it."""

import os
import select
import threading
from collections.abc import Iterator

import pytest

from relay_worker import loop as loops
from relay_worker.loop import READ, WRITE, Loop


class Recorder:
    """What a loop reported."""

    def __init__(self) -> None:
        self.reports: list[str] = []

    def __call__(self, where: str, error: Exception) -> None:
        self.reports.append(f"{where}: {error}")


@pytest.fixture(params=["epoll", "poll"])
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    if request.param == "poll":
        monkeypatch.delattr(select, "epoll", raising=False)
    elif not hasattr(select, "epoll"):
        pytest.skip("no epoll on this platform")
    one = Loop(Recorder())
    yield one
    one.close()


def reports(loop: Loop) -> list[str]:
    recorder = loop._report
    assert isinstance(recorder, Recorder)
    return recorder.reports


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    for fd in ends:
        os.set_blocking(fd, False)
    yield ends
    for fd in ends:
        os.close(fd)


def test_a_descriptor_is_served_while_it_is_watched(loop: Loop, pipe: tuple[int, int]) -> None:
    got: list[bytes] = []
    loop.watch(pipe[0], READ, lambda _: got.append(os.read(pipe[0], 1)))
    os.write(pipe[1], b"abc")
    loop.turn(0)
    loop.turn(0)
    loop.unwatch(pipe[0])
    loop.unwatch(pipe[0])
    loop.turn(0)
    assert got == [b"a", b"b"]


def test_a_mask_decides_what_is_reported(loop: Loop, pipe: tuple[int, int]) -> None:
    events: list[int] = []
    loop.watch(pipe[1], WRITE, events.append)
    loop.turn(0)
    loop.mask(pipe[1], 0)
    loop.mask(pipe[1], 0)
    loop.turn(0)
    assert events == [WRITE]
    loop.mask(pipe[1], WRITE)
    loop.turn(0)
    assert events == [WRITE, WRITE]


def test_a_later_watch_takes_the_place_of_the_first(loop: Loop, pipe: tuple[int, int]) -> None:
    called: list[str] = []
    loop.watch(pipe[1], WRITE, lambda _: called.append("first"))
    loop.watch(pipe[1], WRITE, lambda _: called.append("second"))
    loop.turn(0)
    assert called == ["second"]


def test_an_exception_ends_that_watch_alone_and_its_owner_is_told(
    loop: Loop, pipe: tuple[int, int]
) -> None:
    told: list[Exception] = []
    called: list[int] = []

    def broken(_events: int) -> None:
        called.append(1)
        raise ValueError("boom")

    second = os.dup(pipe[1])
    loop.watch(pipe[1], WRITE, broken, told.append)
    loop.watch(second, WRITE, lambda _: called.append(2))
    loop.turn(0)
    loop.turn(0)
    loop.unwatch(second)
    os.close(second)
    assert sorted(called) == [1, 2, 2]
    assert [str(error) for error in told] == ["boom"]
    assert len(reports(loop)) == 1 and "broken" in reports(loop)[0]


def test_who_was_unwatched_by_another_callback_is_not_called(
    loop: Loop, pipe: tuple[int, int]
) -> None:
    called: list[int] = []
    fds = [os.dup(pipe[1]), os.dup(pipe[1])]

    def only_one(fd: int) -> None:
        called.append(fd)
        for other in fds:
            loop.unwatch(other)

    for fd in fds:
        loop.watch(fd, WRITE, lambda _events, fd=fd: only_one(fd))  # type: ignore[misc]
    loop.turn(0)
    for fd in fds:
        os.close(fd)
    assert len(called) == 1


def test_timers_run_in_order_unless_cancelled(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(loops.time, "monotonic", lambda: clock[0])
    called: list[str] = []
    loop.at(103, lambda: called.append("third"))
    loop.at(102, lambda: called.append("second"))
    loop.at(102, lambda: called.append("after it"))
    gone = loop.at(101, lambda: called.append("never"))
    gone.cancel()
    gone.cancel()
    loop.turn(0)
    assert called == []
    clock[0] = 102.5
    loop.turn(None)
    assert called == ["second", "after it"]
    clock[0] = 200.0
    loop.turn(None)
    assert called == ["second", "after it", "third"]


def test_a_timer_that_raises_does_not_stop_the_next(loop: Loop) -> None:
    called: list[int] = []

    def broken() -> None:
        raise ValueError("boom")

    loop.after(0, broken)
    loop.after(0, lambda: called.append(1))
    loop.turn(1)
    loop.turn(0)
    assert called == [1] and "boom" in reports(loop)[0]


def test_the_end_of_a_turn_comes_after_its_events_and_once(
    loop: Loop, pipe: tuple[int, int]
) -> None:
    called: list[str] = []

    def ready(_events: int) -> None:
        os.read(pipe[0], 1)
        loop.at_turn_end(lambda: called.append("end"))
        called.append("event")

    def twice() -> None:
        called.append("twice")
        if called.count("twice") < 2:
            loop.at_turn_end(twice)

    loop.watch(pipe[0], READ, ready)
    os.write(pipe[1], b"x")
    loop.at_turn_end(twice)
    loop.turn(0)
    loop.turn(0)
    assert called == ["event", "twice", "end", "twice"]


def test_it_says_whether_an_event_is_alone_in_its_turn(loop: Loop, pipe: tuple[int, int]) -> None:
    found: list[bool] = []
    second = os.dup(pipe[1])
    loop.watch(pipe[1], WRITE, lambda _: found.append(loop.alone))
    loop.turn(0)
    loop.watch(second, WRITE, lambda _: found.append(loop.alone))
    loop.turn(0)
    loop.unwatch(second)
    os.close(second)
    assert found == [True, False, False]


def test_a_thread_can_wake_it(loop: Loop) -> None:
    ran_in: list[threading.Thread] = []

    def job() -> None:
        ran_in.append(threading.current_thread())
        loop.stop()

    thread = threading.Thread(target=lambda: loop.call_from_thread(job))
    thread.start()
    loop.run()
    thread.join()
    assert ran_in == [threading.current_thread()]


def test_waking_a_full_pipe_does_not_block(loop: Loop) -> None:
    for _ in range(100_000):
        loop.wake()
    loop.turn(0)


def test_a_job_that_raises_does_not_lose_the_next(loop: Loop) -> None:
    called: list[int] = []

    def broken() -> None:
        raise ValueError("boom")

    loop.call_from_thread(broken)
    loop.call_from_thread(lambda: called.append(1))
    loop.turn(0)
    assert called == [1] and "boom" in reports(loop)[0]


def test_it_waits_for_ever_when_there_is_nothing_to_do(loop: Loop) -> None:
    assert loop._wait_seconds(None) is None
    timer = loop.after(1000, lambda: None)
    assert loop._wait_seconds(None) == pytest.approx(1000, abs=5)
    timer.cancel()
    assert loop._wait_seconds(None) is None, "a cancelled timer wakes nobody"
