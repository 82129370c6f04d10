"""`relayctl swap --supervisor`: other code in the same process, and nobody notices."""

import json
import sys
from pathlib import Path

import psutil
import pytest

from tests.faults.ends import all_ready, own_status, worker_pid
from tests.faults.succession import descriptors, reexec, supervisor_release
from tests.harness import (
    Relay,
    RelayHome,
    fixture_backend,
    json_of,
    open_fds,
    resident_bytes,
    text_of,
    wait_until,
)

TIMES = 30
GROWTH_BYTES_MAX = 4 << 20


def test_a_call_goes_on_over_thirty_of_them_and_nothing_grows() -> None:
    """Same process, same client, same worker and backend, one answer, each progress once."""
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:
        relay.client.initialize(capabilities={"roots": {}})
        relay.client.call_tool("fix__echo")
        before, tools = own_status(relay), relay.client.list_all("tools")
        # One that ends when this test wants it to, and one that tells of its progress.
        asking = relay.client.start_tool("fix__roots")
        question = relay.client.wait_request("roots/list")
        slow = {"seconds": 5, "steps": 20, "tag": "long"}
        walking = relay.client.start_tool("fix__slow", slow, progress_token="p")
        assert reexec(relay)["outcome"] == "committed"
        relay.client.call_tool("fix__echo")  # the connection that asked is closed by then
        memory, fds, kinds = resident_bytes(relay.pid), open_fds(relay.pid), descriptors(relay)
        for n in range(TIMES - 1):
            assert reexec(relay)["outcome"] == "committed"
            assert json_of(relay.client.call_tool("fix__echo", {"n": n})) == {"n": n}
        assert open_fds(relay.pid) == fds and descriptors(relay) == kinds
        signalled = {one["signalled_by"] for one in own_status(relay)["workers"]}
        assert signalled == {"pidfd" if sys.platform == "linux" else "pid"}
        assert resident_bytes(relay.pid) - memory < GROWTH_BYTES_MAX
        assert not relay.client.answered(asking)
        relay.client.answer(question, {"roots": []})
        assert json_of(relay.client.response(asking).result) == {"roots": []}
        assert text_of(relay.client.response(walking).result) == "slow long"
        steps = [m["progress"] for m in relay.client.notifications("notifications/progress")]
        assert len(steps) >= 19 and steps == sorted(set(steps)), "each step once, in order"
        after = own_status(relay)
        assert after["supervisor"]["reexecs"] == TIMES
        assert after["supervisor"]["pid"] == before["supervisor"]["pid"]
        assert after["supervisor"]["uptime_s"] > before["supervisor"]["uptime_s"]
        assert [w["pid"] for w in after["workers"]] == [w["pid"] for w in before["workers"]]
        assert [b["pid"] for b in after["backends"]] == [b["pid"] for b in before["backends"]]
        assert relay.client.list_all("tools") == tools
        assert relay.client.notifications("notifications/tools/list_changed") == []
        children = psutil.Process(relay.pid).children()
        assert [c.status() for c in children if c.status() == psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_a_line_that_is_half_read_is_gone_on_with(share: float) -> None:
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:
        all_ready(relay)
        arguments = {"text": "x" * 200_000, "end": "\u00e9"}
        params = {"name": "fix__echo", "arguments": arguments}
        line = json.dumps(
            {"jsonrpc": "2.0", "id": "half", "method": "tools/call", "params": params}
        )
        data = line.encode() + b"\n"
        relay.client.expect("half", "tools/call")
        cut = round(share * (len(data) - 1))
        relay.client.child.write(data[:cut])
        assert reexec(relay)["outcome"] == "committed"
        relay.client.child.write(data[cut:])
        assert json_of(relay.client.response("half").result) == arguments


def test_another_release_takes_over_and_the_first_one_again() -> None:
    """Forth and back; the message of relayctl ends with what serves."""
    home = RelayHome.make()
    with Relay({"backends": {"fix": fixture_backend()}}, home=home) as relay:
        all_ready(relay)
        supervisor_release(home, "other")
        done = relay.relayctl("swap", "--supervisor", "other")
        assert (done.returncode, done.stderr) == (0, "")
        assert "Now serving: supervisor 9.9.9 (release other), worker 0.1.0" in done.stdout
        supervisor = own_status(relay)["supervisor"]
        assert (supervisor["version"], supervisor["release"]) == ("9.9.9", "other")
        assert json_of(relay.client.call_tool("fix__echo", {"n": 1})) == {"n": 1}
        done = relay.relayctl("swap", "--supervisor", "installed", "--json")
        result = json.loads(done.stdout)["instances"][0]["result"]
        assert (result["kind"], result["outcome"]) == ("supervisor", "committed")
        assert (result["from"]["build"], result["to"]["build"]) == ("9.9.9", "0.1.0")
        assert own_status(relay)["supervisor"]["release"] == ""
        told = relay.relayctl("history").stdout
        assert told.count("swap of the supervisor") == 2
        assert "# Swap of the supervisor" in relay.relayctl("report").stdout
    home.remove()


def test_all_goes_on_afterwards(tmp_path: Path) -> None:
    """Swaps, deaths of workers, questions to the client, and the end with all its orphans."""
    grandchild = fixture_backend("--spawn-grandchild", str(tmp_path / "a"), "--grandchild-session")
    with Relay({"backends": {"fix": fixture_backend(), "parent": grandchild}}) as relay:
        relay.client.initialize(capabilities={"roots": {}})
        wait_until(
            lambda: all(b["state"] == "ready" for b in own_status(relay)["backends"]), 20.0, "ready"
        )
        asking = relay.client.start_tool("fix__roots")
        question = relay.client.wait_request("roots/list")
        assert reexec(relay)["outcome"] == "committed"
        relay.client.answer(question, {"roots": []})
        assert json_of(relay.client.response(asking).result) == {"roots": []}
        assert relay.relayctl("swap", "--no-wait").returncode == 0
        psutil.Process(worker_pid_of_active(relay)).kill()
        wait_until(lambda: healthy(relay), 20.0, "another worker")
        assert reexec(relay)["outcome"] in {"committed", "refused"}
        assert json_of(relay.client.call_tool("fix__echo", {"n": 2})) == {"n": 2}


def worker_pid_of_active(relay: Relay) -> int:
    """The pid of the worker that serves."""
    (pid,) = [w["pid"] for w in own_status(relay)["workers"] if w["state"] == "active"]
    return int(pid)


def healthy(relay: Relay) -> bool:
    """Whether somebody serves, and all backends are up."""
    status = own_status(relay)
    ready = all(backend["state"] == "ready" for backend in status["backends"])
    return ready and any(worker["state"] == "active" for worker in status["workers"])


def test_a_swap_under_way_is_left_alone() -> None:
    """The supervisor is replaced before or after a swap and not during one."""
    relay = Relay(
        {"backends": {"fix": fixture_backend()}, "relay": {"probation_seconds": 60}},
    )
    with relay:
        all_ready(relay)
        assert relay.relayctl("swap", "--no-wait").returncode == 0
        done = relay.relayctl("swap", "--supervisor")
        assert done.returncode == 1 and "on probation" in done.stdout
        assert "Now serving: supervisor 0.1.0, worker 0.1.0" in done.stdout
        assert worker_pid_of_active(relay) != 0 and own_status(relay)["supervisor"]["reexecs"] == 0


def test_a_relay_without_a_client_can_be_replaced_too() -> None:
    """The client says its first word to the new code."""
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:
        wait_until(lambda: any(relay.home.runtime.glob("*.sock")), 10.0, "the control socket")
        assert reexec(relay)["outcome"] == "committed"
        all_ready(relay)
        assert worker_pid(relay) > 0
