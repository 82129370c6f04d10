"""Who holds which descriptor, and that after a long day nobody holds more than at its beginning."""

import os
import signal
import sys

import psutil
import pytest

from tests.faults.ends import all_ready, own_status, worker_pid
from tests.harness import (
    Relay,
    alive,
    descendants,
    fixture_backend,
    inherited_fds,
    json_of,
    open_fds,
    resident_bytes,
    text_of,
    wait_until,
)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def zombies(relay: Relay) -> list[psutil.Process]:
    """Children of the supervisor that are dead and not reaped."""
    return [p for p in descendants(relay.pid) if p.status() == psutil.STATUS_ZOMBIE]


def test_a_backend_inherits_its_three_pipes_and_nothing_else() -> None:
    """Also the second and the third, started while other pipes are open, and after a restart."""
    config = {"backends": {f"fix{n}": fixture_backend() for n in range(3)}}
    with Relay(config) as relay:
        all_ready(relay)
        for name in config["backends"]:
            assert json_of(relay.client.call_tool(f"{name}__pid"))["fds"] == [0, 1, 2]
        relay.client.call_tool("fix0__die")
        assert json_of(relay.client.call_tool("fix0__pid"))["fds"] == [0, 1, 2]


@linux_only
def test_what_is_inherited_belongs_to_the_backend_alone() -> None:
    """Its stdin is written by supervisor and worker only: no other backend keeps it open."""
    config = {"backends": {f"fix{n}": fixture_backend() for n in range(3)}}
    with Relay(config) as relay:
        all_ready(relay)
        pids = {n: json_of(relay.client.call_tool(f"{n}__pid"))["pid"] for n in config["backends"]}
        family = {process.pid for process in descendants(relay.pid)} | {relay.pid}
        for name, pid in pids.items():
            ours = set(inherited_fds(pid).values())
            assert len(ours) == 3
            holders = {other for other in family if ours & set(inherited_fds(other).values())}
            assert holders == {pid, relay.pid, worker_pid(relay)}, name


@linux_only
def test_the_clients_pipes_are_the_supervisors_alone() -> None:
    """If a worker or backend held them, the client would wait for an end that never comes."""
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:
        all_ready(relay)
        process = relay.client.child.process
        assert process.stdin is not None and process.stdout is not None
        clients = {
            os.readlink(f"/proc/self/fd/{stream.fileno()}")
            for stream in (process.stdin, process.stdout)
        }
        assert clients <= set(inherited_fds(relay.pid).values())
        for child in descendants(relay.pid):
            assert not clients & set(inherited_fds(child.pid).values()), child


@linux_only
def test_a_worker_inherits_its_own_pipes_and_nothing_else() -> None:
    """Nothing of the client's, of the control socket, of backends or of the worker before it."""
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:
        all_ready(relay)
        first = worker_pid(relay)
        before = inherited_fds(first)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: not alive(first), 5.0)
        relay.client.call_tool("fix__echo")
        wait_until(lambda: relay.client.call_tool("fix__echo").get("isError") is None, 10.0)
        second = worker_pid(relay)
        assert second != first
        wait_until(lambda: len(inherited_fds(second)) <= len(before), 5.0, "as few as before")
        foreign = [
            target
            for target in inherited_fds(second).values()
            if target in inherited_fds(relay.pid).values() and target.startswith("socket:")
        ]
        assert foreign == [], "it holds a socket of the supervisor's"


def test_many_restarts_of_a_backend_leave_nothing_behind() -> None:
    """Thirty crashes: no zombie, no descriptor more, in supervisor and worker."""
    config = {
        "backends": {"fix": fixture_backend(), "other": fixture_backend()},
        "relay": {
            "restart_delay_seconds": 0.1,
            "restart_delay_max_seconds": 0.1,
            "restart_attempts_max": 0,
        },
    }
    with Relay(config) as relay:
        all_ready(relay)
        crash(relay, 3)  # what is opened once, is opened now
        worker = worker_pid(relay)
        before = open_fds(relay.pid), open_fds(worker)
        crash(relay, 30)
        wait_until(lambda: (open_fds(relay.pid), open_fds(worker)) <= before, 5.0, "as few fds")
        wait_until(lambda: not zombies(relay), 5.0, "no zombie")
        (fix,) = [one for one in own_status(relay)["backends"] if one["name"] == "fix"]
        assert fix["restarts"] >= 33
        assert len(descendants(relay.pid)) == 3


def crash(relay: Relay, times: int) -> None:
    """Let the backend `fix` die and come back so many times."""
    for number in range(times):
        assert relay.client.call_tool("fix__die", {"code": number % 3})["isError"]
        assert json_of(relay.client.call_tool("fix__echo", {"n": number})) == {"n": number}


def test_orphans_that_backends_leave_are_reaped() -> None:
    """A backend that leaves children behind again and again: the supervisor adopts and reaps them
    when they end; and those that do not end are gone with the relay.
    """
    leaves_orphans = (
        "import os, sys\n"
        "for _ in range(20):\n"
        "    if not os.fork():\n"
        "        if not os.fork():\n"
        "            os._exit(0)\n"
        "        os._exit(0)\n"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    backend = fixture_backend()
    wrapped = {
        "command": sys.executable,
        "args": ["-c", leaves_orphans, backend["command"], *backend["args"]],
    }
    with Relay({"backends": {"fix": wrapped}}) as relay:
        all_ready(relay)

        def own_zombies() -> list[psutil.Process]:
            # The backend never waits for its own children; those are its zombies, not ours.
            fix = json_of(relay.client.call_tool("fix__pid"))["pid"]
            return [process for process in zombies(relay) if process.ppid() != fix]

        wait_until(lambda: not own_zombies(), 5.0, "no orphan left as a zombie")


def test_many_workers_leave_nothing_behind() -> None:
    """Four killed workers (a fifth would be a crash loop) with two backends each: the supervisor
    holds what it held before.
    """
    config = {"backends": {"fix": fixture_backend(), "other": fixture_backend()}}
    with Relay(config) as relay:
        all_ready(relay)
        before = open_fds(relay.pid)
        for _ in range(4):
            worker = worker_pid(relay)
            os.kill(worker, signal.SIGKILL)
            wait_until(lambda worker=worker: not alive(worker), 5.0)
            wait_until(
                lambda: relay.client.call_tool("fix__echo").get("isError") is None, 20.0, "recovery"
            )
            relay.client.call_tool("other__echo")
        wait_until(lambda: open_fds(relay.pid) <= before, 5.0, "as few descriptors as before")
        wait_until(lambda: len(descendants(relay.pid)) == 3, 5.0, "one worker, two backends")
        wait_until(lambda: not zombies(relay), 5.0, "no zombie")


def test_a_day_of_calls_leaves_nothing_behind() -> None:
    """Three thousand calls, some large, some failing, some cancelled: descriptors as before, and
    memory within a few MiB.
    """
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:
        all_ready(relay)
        worker = worker_pid(relay)
        work(relay, 500)
        fds = open_fds(relay.pid), open_fds(worker)
        memory = resident_bytes(relay.pid), resident_bytes(worker)
        work(relay, 2500)
        wait_until(lambda: (open_fds(relay.pid), open_fds(worker)) <= fds, 5.0)
        for now, then in zip((relay.pid, worker), memory, strict=True):
            assert resident_bytes(now) - then < 6 << 20
        assert own_status(relay)["calls"]["in_flight"] <= 1


def work(relay: Relay, calls: int) -> None:
    """So many calls of mixed kinds, fifty at a time."""
    for _ in range(calls // 50):
        asked = [relay.client.start_tool("fix__echo", {"n": n}) for n in range(40)]
        asked += [relay.client.start_tool("fix__error") for _ in range(4)]
        asked += [relay.client.start_tool("fix__big", {"bytes": 300_000})]
        hanging = [relay.client.start_tool("fix__hang") for _ in range(5)]
        for call in asked:
            answer = relay.client.response(call)
            assert answer.error or text_of(answer.result)
        for call in hanging:
            relay.client.cancel(call)
