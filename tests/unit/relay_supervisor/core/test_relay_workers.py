"""A worker comes up by a handshake, and when it goes another follows, however often."""

from typing import Any

import msgspec
import pytest

from relay_supervisor.core import effects, events
from relay_supervisor.core.generation import LIMIT_SECONDS, Life, Source
from relay_supervisor.core.recovery import BACKOFF_SECONDS_FIRST
from relay_supervisor.wire import handshake, v1
from tests.unit.relay_supervisor.core.driver import IDENTITY, SOURCE, Driver, call


def started() -> Driver:
    """A relay whose first worker runs and has been called."""
    relay = Driver()
    relay.do(events.Started())
    relay.do(events.WorkerSpawned(1, 5001))
    return relay


def welcome(relay: Driver, **changes: Any) -> None:
    """The worker's first frame, right but for *changes*."""
    hello = relay.one(handshake.Hello)
    right = {"version": 1, "build": "9.8", "generation": 1, "nonce": hello.nonce, "pid": 5001}
    frame = handshake.Welcome(**{**right, **changes})
    relay.do(events.WorkerFrame(1, msgspec.msgpack.encode(frame), b""))


def state_of(relay: Driver, number: int = 1) -> Life | None:
    """The state of a generation, None when it is forgotten."""
    generation = relay.relay.shared.workers.state.generations.get(number)
    return generation.state if generation else None


def was_killed(relay: Driver, pid: int) -> bool:
    """Whether this process was sent SIGKILL."""
    return (pid, 9) in [(effect.pid, effect.signal) for effect in relay.take(effects.Signal)]


# ---- coming up


def test_the_first_event_starts_a_worker_and_it_is_called_by_number_and_nonce() -> None:
    relay = Driver()
    relay.do(events.Started())
    assert relay.take(effects.SpawnWorker) == [effects.SpawnWorker(1, "/python")]
    relay.do(events.WorkerSpawned(1, 5001))
    hello = relay.one(handshake.Hello)
    assert (hello.versions, hello.build, hello.generation) == ((1,), "9.9", 1)
    assert len(hello.nonce) == 16


def test_after_its_welcome_a_worker_is_configured_with_the_snapshot_of_the_start() -> None:
    relay = started()
    welcome(relay)
    ((_, configure, payload),) = relay.frames(v1.Configure)
    assert configure == v1.Configure(
        "/etc/relay.yaml", "/project", "/state", "i1", "info", "text", has_snapshot=True
    )
    assert payload == SOURCE.config
    assert state_of(relay) is Life.WARMING


def test_without_a_configuration_file_the_worker_serves_the_default() -> None:
    identity = msgspec.structs.replace(IDENTITY, config_required=False)
    relay = Driver(identity=identity, source=Source("/python", ""))
    relay.do(events.Started())
    relay.hatch()
    ((_, configure, payload),) = relay.frames(v1.Configure)
    assert (configure.has_snapshot, configure.default_if_missing, payload) == (False, True, b"")


def test_the_first_generation_is_active_once_it_is_configured_and_ready_later() -> None:
    relay = started()
    hello = relay.relay.shared.workers.state.generations[1].nonce
    welcome(relay)
    assert relay.relay.shared.workers.active() is None
    relay.configure()
    assert state_of(relay) is Life.ACTIVE
    assert relay.take(effects.LimitLines) == [effects.LimitLines(64 << 20)]
    relay.frame(v1.Ready(1, hello))
    assert state_of(relay) is Life.ACTIVE


def test_problems_of_the_configuration_are_kept_for_status() -> None:
    """The worker, which found them, has logged them."""
    relay = started()
    welcome(relay)
    relay.wanted.clear()
    relay.frame(v1.Configured([], v1.Limits(), ["line 3: no such key"]), b"")
    assert relay.state.problems == ["line 3: no such key"]
    assert relay.take(effects.Log) == []


@pytest.mark.parametrize(
    "wrong", [{"nonce": "0" * 16}, {"generation": 2}, {"version": 2}, {"version": 0}]
)
def test_a_welcome_of_another_worker_or_version_is_not_accepted(wrong: dict[str, Any]) -> None:
    relay = started()
    welcome(relay, **wrong)
    assert relay.frames(v1.Configure) == []
    assert state_of(relay) is Life.FAILED
    assert relay.take(effects.ClosePipe) == [effects.ClosePipe(1)]
    assert was_killed(relay, 5001)


@pytest.mark.parametrize("header", [b"", b"\xc1", b"\x91\x01", b"\xff" * 50])
def test_a_first_frame_that_is_no_welcome_costs_that_worker(header: bytes) -> None:
    relay = started()
    relay.do(events.WorkerFrame(1, header, b""))
    assert state_of(relay) is Life.FAILED


@pytest.mark.parametrize("wrong", [v1.Ready(1, "another nonce"), v1.Ready(2, "")])
def test_a_worker_that_reports_another_one_ready_is_not_trusted(wrong: v1.Ready) -> None:
    relay = Driver()
    relay.serve()
    relay.frame(wrong)
    assert state_of(relay) is Life.FAILED


def test_messages_of_a_newer_worker_are_skipped() -> None:
    relay = Driver()
    relay.serve()
    header = msgspec.msgpack.encode([200, "whatever", {"a": 1}])
    relay.do(events.WorkerFrame(1, header, b"x"))
    assert state_of(relay) is Life.ACTIVE
    assert relay.client() == []


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (b"\xc1", b""),
        (b"", b""),
        (msgspec.msgpack.encode([68, "no number", 0]), b""),
        (msgspec.msgpack.encode([66, "digest", True]), b"no catalogue"),
    ],
)
def test_a_broken_message_costs_that_worker_and_no_more(header: bytes, payload: bytes) -> None:
    relay = Driver()
    relay.serve()
    relay.line(call(1))
    relay.do(events.WorkerFrame(1, header, payload))
    assert state_of(relay) is Life.FAILED
    relay.die()
    assert [answer["id"] for answer in relay.client()] == [1]
    relay.revive()
    relay.line(call(2))
    assert relay.to_worker(v1.Call)[-1][0] == 2


# ---- going


def test_of_a_lost_worker_only_the_answers_still_count_until_its_death_is_proven() -> None:
    relay = Driver()
    relay.serve()
    relay.line(call(1))
    relay.line(call(2))
    relay.do(events.WorkerPipeFailed(1, "gone"))
    relay.wanted.clear()
    relay.reply(1)
    assert [answer["id"] for answer in relay.client()] == [1], "it is what the backend said"
    relay.catalogue(digest="late")
    relay.frame(v1.StatusRequest(1))
    relay.frame(v1.Progress(2), b"{}")
    relay.do(events.WorkerPipeFailed(1, "gone"))
    assert relay.wanted == []
    assert relay.relay.shared.registry.digest == "d1"
    relay.die()
    assert [answer["id"] for answer in relay.client()] == [2]
    relay.wanted.clear()
    relay.reply(2)
    assert relay.wanted == []


def test_a_worker_whose_pipe_fails_is_killed_and_its_backends_ended() -> None:
    relay = Driver()
    pid = relay.serve()
    relay.do(events.BackendSpawned(1, 9, "files", 61))
    relay.wanted.clear()
    relay.do(events.WorkerPipeFailed(1, "gone"))
    assert relay.take(effects.ClosePipe) == [effects.ClosePipe(1)]
    assert [effect.pid for effect in relay.take(effects.CloseStdin)] == [61, pid]
    assert was_killed(relay, pid)
    relay.wait(0.9)
    assert was_killed(relay, 61)


def test_a_worker_that_exits_is_lost_and_forgotten_and_says_how() -> None:
    for status, word in ((3, "status 3"), (64, "speaks pipe version 1"), (-9, "signal 9")):
        relay = Driver()
        pid = relay.serve()
        relay.do(events.ProcessExited(pid, status))
        assert state_of(relay) is None
        assert any(word in effect.text for effect in relay.take(effects.Log))
        assert relay.relay.shared.workers.active() is None


@pytest.mark.parametrize("state", LIMIT_SECONDS)
def test_a_worker_that_does_not_speak_in_time_is_given_up(state: Life) -> None:
    relay = Driver()
    relay.do(events.Started())
    if state is not Life.SPAWNING:
        relay.spawned()
    if state is Life.WARMING:
        relay.welcome()
    relay.wait(LIMIT_SECONDS[state] - 0.001)
    assert state_of(relay) is state
    relay.wait(0.001)
    assert state_of(relay) in {Life.FAILED, None}


def test_a_worker_may_take_as_long_as_it_needs_once_its_configuration_is_read() -> None:
    relay = started()
    welcome(relay)
    relay.configure()
    relay.wait(3600.0)
    assert state_of(relay) is Life.ACTIVE


def test_a_worker_that_cannot_be_started_is_tried_again() -> None:
    relay = Driver()
    relay.do(events.Started())
    relay.do(events.WorkerSpawnFailed(1, "no room"))
    assert state_of(relay) is None
    relay.take(effects.SpawnWorker)
    relay.wait(BACKOFF_SECONDS_FIRST)
    assert relay.take(effects.SpawnWorker) == [effects.SpawnWorker(2, "/python")]
