"""Under load with real processes: every call answered once, with its own payload, run once."""

import os
import signal
from pathlib import Path

from tests.harness import (
    Relay,
    fixture_backend,
    json_of,
    open_fds,
    resident_bytes,
    side_effects,
    wait_until,
)
from tests.integration.load import MIB, Load

SEED = int(os.environ.get("LOAD_SEED", "20261123"))
"""Another one for another run: LOAD_SEED=7 make test ARGS="-k load"."""

CALLS = int(os.environ.get("LOAD_CALLS", "800"))
GROWTH_BYTES_MAX = 6 * MIB

GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""glibc then gives large blocks back at once, and what stays is what somebody holds."""


def status(relay: Relay) -> dict[str, object]:
    """The relay's status by its own tool."""
    answer: dict[str, object] = relay.client.call_tool("relay__status")["structuredContent"]
    return answer


def test_64_calls_in_flight_over_four_backends(tmp_path: Path) -> None:
    """Up to 10 MB both ways, replies out of order, progress, cancels at random. Afterwards neither
    descriptors nor memory have grown, and the backends saw nothing wrong.
    """
    log = tmp_path / "log"
    names = ["one", "two", "three", "four"]
    config = {"backends": {name: fixture_backend("--log", str(log)) for name in names}}
    with Relay(config, env={**GIVE_BACK}) as relay:
        client = relay.client
        client.initialize()
        load = Load(client, names, SEED)
        (worker,) = status(relay)["workers"]
        pids = (relay.pid, worker["pid"])
        load.run(CALLS // 4)
        fds = {pid: open_fds(pid) for pid in pids}
        memory = {pid: resident_bytes(pid) for pid in pids}
        load.run(CALLS)
        assert load.answered >= CALLS
        assert load.cancelled > CALLS // 40
        load.check_effects(log)
        done = {entry["tag"] for entry in side_effects(log)}
        wait_until(lambda: status(relay)["calls"]["in_flight"] == 1, 10.0, "nothing under way")
        for pid in pids:
            assert open_fds(pid) <= fds[pid]
            grown = resident_bytes(pid) - memory[pid]
            assert grown < GROWTH_BYTES_MAX, f"process {pid} grew by {grown / MIB:.1f} MiB"
        assert len(done) > CALLS // 10
        for name in names:
            assert json_of(client.call_tool(f"{name}__violations")) == {"violations": []}
        client.assert_clean()
        client.assert_all_answered()


def test_a_backend_killed_again_and_again_under_load(tmp_path: Path) -> None:
    """Eight SIGKILLs for one of three: its calls are answered, rightly or with an error that names
    it, none runs twice; the other two are not touched; the list stays the same, byte for byte.
    """
    log = tmp_path / "log"
    config = {
        "backends": {
            name: fixture_backend("--log", str(log)) for name in ("fragile", "solid", "sound")
        },
        "relay": {"restart_delay_seconds": 0.1, "restart_delay_max_seconds": 0.2},
    }
    with Relay(config) as relay:
        client = relay.client
        client.initialize()
        client.call_tool("fragile__echo")
        before = client.response(client.start("tools/list")).raw.partition(b"result")[2]
        killed: list[int] = []

        def kill_now_and_then(done: int) -> None:
            if done % (CALLS // 10) == 0 and len(killed) < 8:
                pid = json_of(client.call_tool("fragile__pid"))["pid"]
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

        load = Load(client, ["fragile", "solid", "sound"], SEED, frozenset({"fragile"}))
        load.run(CALLS, kill_now_and_then)
        assert len(set(killed)) == 8
        assert load.lost > 0, "no call was lost with its backend: this proves nothing"
        load.check_effects(log)
        assert json_of(client.call_tool("fragile__echo", {"n": 1})) == {"n": 1}
        after = client.response(client.start("tools/list")).raw.partition(b"result")[2]
        assert after == before
        assert client.notifications("notifications/tools/list_changed") == []
        client.assert_clean()
        client.assert_all_answered()
