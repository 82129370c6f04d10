"""Backends are children of the relay's: started for a worker, reported to it, ended without it."""

import pytest

from relay_supervisor.core import effects, events
from relay_supervisor.wire import v1
from tests.unit.relay_supervisor.core.driver import Driver, call

SPAWN = v1.Spawn(9, "files", ["server", "--x"], {"A": "b"}, "/project")


@pytest.fixture
def relay() -> Driver:
    driver = Driver()
    driver.serve()
    return driver


def test_a_backend_is_started_for_the_worker_that_asked_and_its_pid_told(relay: Driver) -> None:
    relay.frame(SPAWN)
    assert relay.take(effects.SpawnBackend) == [effects.SpawnBackend(1, SPAWN)]
    relay.do(events.BackendSpawned(1, 9, "files", 61))
    assert relay.to_worker(v1.Spawned) == [(1, v1.Spawned(9, "files", 61))]


def test_a_backend_that_cannot_be_started_is_refused_with_the_reason(relay: Driver) -> None:
    relay.frame(SPAWN)
    relay.do(events.BackendSpawnFailed(1, 9, "files", "no room"))
    assert relay.one(v1.SpawnRefused) == v1.SpawnRefused(9, "files", "no room")
    assert relay.relay.shared.workers.state.active == 1


@pytest.mark.parametrize("status", [0, 3, -9])
def test_its_end_is_reported_to_the_worker(relay: Driver, status: int) -> None:
    relay.do(events.BackendSpawned(1, 9, "files", 61))
    relay.do(events.ProcessExited(61, status))
    assert relay.one(v1.Exited) == v1.Exited("files", 61, status)


def test_an_orphan_that_was_adopted_and_reaped_is_nobodys_business(relay: Driver) -> None:
    relay.do(events.ProcessExited(777, 0))
    assert relay.wanted == []


def test_a_worker_ends_a_backend_patiently_and_only_that_one(relay: Driver) -> None:
    relay.do(events.BackendSpawned(1, 9, "files", 61))
    relay.do(events.BackendSpawned(1, 10, "slow", 62))
    relay.wanted.clear()
    relay.frame(v1.StopBackend("files", 62))
    relay.frame(v1.StopBackend("files", 5001))
    relay.frame(v1.StopBackend("", 5001))
    relay.frame(v1.StopBackend("files", 999))
    assert relay.take(effects.CloseStdin) == []
    relay.frame(v1.StopBackend("files", 61))
    assert relay.take(effects.CloseStdin) == [effects.CloseStdin(61)]
    relay.wait(4.0)
    assert [(e.pid, e.signal) for e in relay.take(effects.Signal)] == [(61, 15), (61, 9)]


def test_a_backend_that_starts_after_its_worker_died_is_ended(relay: Driver) -> None:
    relay.frame(SPAWN)
    relay.do(events.WorkerPipeFailed(1, "gone"))
    relay.wanted.clear()
    relay.do(events.BackendSpawned(1, 9, "files", 61))
    assert relay.take(effects.CloseStdin) == [effects.CloseStdin(61)]


def test_a_worker_cannot_end_the_relay_by_naming_itself_as_a_backend(relay: Driver) -> None:
    relay.frame(v1.StopBackend("", 4000))
    assert relay.take(effects.Signal) == []


def test_only_the_active_workers_word_on_a_configured_backend_counts(relay: Driver) -> None:
    relay.frame(v1.BackendState("files", "ready", 61, 12, 1, "once", 3))
    relay.frame(v1.BackendState("unheard of", "ready"))
    files = relay.state.backends["files"]
    assert (files.state, files.pid, files.tools, files.restarts) == ("ready", 61, 12, 1)
    assert (files.last_error, files.skipped_lines) == ("once", 3)
    assert set(relay.state.backends) == {"files", "slow"}
    relay.do(events.WorkerPipeFailed(1, "gone"))
    files = relay.state.backends["files"]
    assert (files.state, files.pid) == ("lost", None)


def test_counts_of_a_backend_outlive_its_worker_and_go_with_its_configuration(
    relay: Driver,
) -> None:
    relay.line(call(1))
    relay.reply(1, b'"error":{"code":1,"message":"no"}}', outcome=v1.OUTCOME_BACKEND_ERROR)
    relay.do(events.WorkerPipeFailed(1, "gone"))
    relay.wait(1)
    relay.hatch(2)
    relay.configure(2, backends=[v1.BackendInfo("files", "http", 5.0)])
    files = relay.state.backends["files"]
    assert (files.calls, files.errors) == (1, 1)
    assert (files.kind, files.call_timeout_seconds) == ("http", 5.0)
    assert set(relay.state.backends) == {"files"}
