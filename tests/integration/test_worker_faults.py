"""A real worker process with backends that die, hang, babble, and with a supervisor that goes."""

import json
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from relay_supervisor.wire import v1
from tests.harness.fixture import fixture_backend, side_effects
from tests.harness.processes import wait_until
from tests.integration.fake_supervisor import FakeSupervisor
from tests.integration.two_backends import QUICK, other_backend_works, two_backends

# ---- death ------------------------------------------------------------------------------------


def test_calls_in_flight_are_answered_when_their_backend_dies(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends())
    supervisor.tool(5, "fix__hang")
    params = {"ref": {"type": "ref/prompt", "name": "fix__greet"}, "argument": {}}
    supervisor.tool(6, "fix__die", code=7)
    supervisor.call(7, "completion/complete", params)
    for call in (5, 6):
        message, payload = supervisor.expect(v1.Reply, lambda m, call=call: m.call == call)
        result = json.loads(b"{" + payload)["result"]
        assert message.outcome == v1.OUTCOME_RELAY_ERROR and result["isError"] is True
        text = result["content"][0]["text"]
        assert "'fix' died" in text and "status 7" in text and "may have run" in text
    # It has died with the others; or was not read, and the next process has refused it.
    assert supervisor.reply(7)["error"]["code"] in (-32000, -32602)
    other_backend_works(supervisor)


def test_a_dead_backend_comes_back_and_waiting_calls_are_served(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends())
    supervisor.tool(5, "fix__die", signal=int(signal.SIGKILL))
    assert "SIGKILL" in supervisor.text(5)
    for call in range(10, 20):
        supervisor.tool(call, "fix__echo", n=call)
    for call in range(10, 20):
        assert supervisor.structured(call) == {"n": call}
    state, _ = supervisor.expect(v1.BackendState, lambda m: m.backend == "fix" and m.restarts == 1)
    assert state.last_error is not None and "SIGKILL" in state.last_error
    catalogues = [m for m, _ in supervisor.inbox if isinstance(m, v1.Catalogue)]
    assert len({m.digest for m in catalogues}) <= 2, "its tools stayed listed"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="told by Linux only")
def test_a_call_that_meets_a_dying_backend_is_sent_to_the_next(
    supervisor: FakeSupervisor, tmp_path: Path
) -> None:
    log = tmp_path / "effects"
    supervisor.ready(two_backends(f"--log={log}"))
    for turn in (1, 2, 3):
        pid = [pid for name, pid in supervisor.spawned if name == "fix"][-1]
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED)
        supervisor.tool(10 * turn, "fix__counter", tag=str(turn))
        supervisor.tool(10 * turn + 1, "fix__echo", turn=turn)
        supervisor.send(v1.Ping(turn))
        supervisor.expect(v1.Pong)  # so both are written
        os.kill(pid, signal.SIGKILL)
        assert supervisor.structured(10 * turn)["count"] == 1
        assert supervisor.structured(10 * turn + 1) == {"turn": turn}
    assert [entry["tag"] for entry in side_effects(log)] == ["1", "2", "3"]


@pytest.mark.parametrize("torn", [False, True])
def test_the_last_words_of_a_backend_are_heard(supervisor: FakeSupervisor, torn: bool) -> None:
    supervisor.ready(two_backends())
    if torn:
        supervisor.tool(5, "fix__die", torn=True)
        assert "died" in supervisor.text(5)
    else:
        supervisor.tool(5, "fix__die_after")
        assert supervisor.text(5) == "last words"
        supervisor.expect(v1.BackendState, lambda m: m.backend == "fix" and m.last_error)
    supervisor.tool(6, "fix__echo", back=True)
    assert supervisor.structured(6) == {"back": True}


CLOSES_STDOUT = """
import os, sys, json
for line in sys.stdin:
    message = json.loads(line)
    if message["method"] == "initialize":
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                  "serverInfo": {"name": "x", "version": "1"}}
    elif message["method"] == "tools/list":
        result = {"tools": [{"name": "close", "inputSchema": {"type": "object"}}]}
    elif message["method"] == "tools/call":
        os.close(1 if message["params"]["arguments"]["what"] == "stdout" else 0)
        if message["params"]["arguments"]["what"] == "stdin":
            print("closed", file=sys.stderr, flush=True)
        import signal; signal.pause()
    else:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""


def test_a_backend_that_closes_its_output_counts_as_dead(supervisor: FakeSupervisor) -> None:
    backend = {"command": "python3", "args": ["-c", CLOSES_STDOUT]}
    supervisor.ready({"backends": {"mute": backend}, "relay": QUICK})
    supervisor.tool(5, "mute__close", what="stdout")
    text = supervisor.text(5)
    assert "closed its output" in text and "SIGTERM" in text
    supervisor.tool(6, "mute__close", what="stdin")
    supervisor.expect(v1.BackendState, lambda m: m.state == "ready" and m.restarts == 1)
    # Nobody reads stdin any more: a write larger than any pipe fails, and that is its death.
    supervisor.tool(7, "mute__close", what="x" * (2 << 20))
    assert "closed its input" in supervisor.text(6) and "has not run" in supervisor.text(7)


# ---- starts that fail -------------------------------------------------------------------------


def test_a_command_that_is_not_there_fails_at_once_and_says_so(supervisor: FakeSupervisor) -> None:
    broken = {"command": "no-such-program", "env": {"PATH": "/nowhere"}}
    supervisor.ready({"backends": {"broken": broken, "two": fixture_backend()}, "relay": QUICK})
    state, _ = supervisor.expect(
        v1.BackendState, lambda m: m.backend == "broken" and m.state == "failed"
    )
    assert state.last_error is not None and "'no-such-program' was not found" in state.last_error
    supervisor.tool(5, "broken__anything")
    assert state.last_error in supervisor.text(5)
    other_backend_works(supervisor)


def test_a_missing_folder_is_named(supervisor: FakeSupervisor, tmp_path: Path) -> None:
    supervisor.ready(two_backends(cwd=str(tmp_path / "missing")))
    state, _ = supervisor.expect(
        v1.BackendState, lambda m: m.backend == "fix" and m.state == "failed"
    )
    assert state.last_error is not None and "missing' does not exist (cwd)" in state.last_error


def test_after_so_many_failed_starts_only_a_call_tries_again(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends(relay={"restart_attempts_max": 2}))
    path = supervisor.state_dir / "gone"
    supervisor.refuse = "the machine says no"
    supervisor.tool(5, "fix__die")
    supervisor.reply(5)
    supervisor.expect(v1.BackendState, lambda m: m.backend == "fix" and m.state == "failed")
    spawns = [m for m, _ in supervisor.inbox if isinstance(m, v1.Spawn) and m.backend == "fix"]
    assert len(spawns) == 3, "the first and two attempts"
    supervisor.tool(6, "fix__echo")
    text = supervisor.text(6)
    assert "'fix' is not ready (failed)" in text and "the machine says no" in text
    supervisor.refuse = None
    supervisor.tool(7, "fix__echo", back=True)
    assert supervisor.structured(7) == {"back": True}
    assert not path.exists()


def test_a_failed_start_is_told_with_the_last_lines_of_stderr(supervisor: FakeSupervisor) -> None:
    code = "import sys; sys.stderr.write('first\\nlicence key missing\\n'); sys.exit(3)"
    broken = {"command": "python3", "args": ["-c", code]}
    supervisor.configure(
        {"backends": {"broken": broken}, "relay": {**QUICK, "restart_attempts_max": 1}}
    )
    supervisor.session()
    supervisor.expect(v1.BackendState, lambda m: m.state == "failed")
    supervisor.expect(v1.Catalogue, lambda m: m.settled)
    supervisor.call(5, "resources/read", {"uri": "x://y"})
    assert supervisor.reply(5)["error"]["code"] == -32002
    supervisor.tool(6, "broken__tool")
    text = supervisor.text(6)
    assert "'broken' is not ready (failed): it exited with status 3" in text
    assert text.endswith("\nfirst\nlicence key missing")
    folder = supervisor.state_dir / "logs" / "backends"

    def logged() -> bool:
        return any("licence key missing" in path.read_text() for path in folder.glob("broken*"))

    wait_until(logged, 10.0, "the backend's last words in its log")


@pytest.mark.parametrize(
    ("flag", "reason"),
    [
        ("--init-error", "refused initialize"),
        ("--list-error", "tools/list failed"),
        ("--protocol=2099-01-01", "speaks MCP 2099-01-01"),
        ("--deaf", "did not answer initialize and its lists within 0.5 s"),
        ("--exit-at-start=9", "exited with status 9"),
    ],
)
def test_why_a_start_failed_is_known(supervisor: FakeSupervisor, flag: str, reason: str) -> None:
    limits = {"restart_attempts_max": 0}
    patience = 0.5 if flag == "--deaf" else 30.0
    supervisor.configure(two_backends(flag, relay=limits, start_timeout_seconds=patience))
    supervisor.session()
    state, _ = supervisor.expect(
        v1.BackendState, lambda m: m.backend == "fix" and m.state == "failed"
    )
    assert state.last_error is not None and reason in state.last_error
    other_backend_works(supervisor)


def test_a_call_does_not_wait_longer_than_the_start_may_take(supervisor: FakeSupervisor) -> None:
    supervisor.configure(two_backends("--start-delay=60", start_timeout_seconds=0.3))
    supervisor.session()
    supervisor.tool(5, "fix__echo")
    assert "'fix' is not ready" in supervisor.text(5)
    supervisor.expect(v1.Catalogue, lambda m: m.settled)
    assert supervisor.expect(v1.Ready)[0].generation == 3


@pytest.mark.parametrize("fault", ["endless", "loop", "empty_cursor"])
def test_odd_paging_ends(supervisor: FakeSupervisor, fault: str) -> None:
    supervisor.ready(
        two_backends(f"--page-fault={fault}", "--page-size=50", relay={"list_pages_max": 20})
    )
    supervisor.tool(5, "fix__echo", paged=True)
    assert supervisor.structured(5) == {"paged": True}


# ---- lazy and idle ----------------------------------------------------------------------------


def test_an_idle_backend_is_stopped_and_started_by_a_call(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends(start="lazy", idle_stop_seconds=0.2))
    assert sorted(name for name, _ in supervisor.spawned) == ["fix", "two"], "to learn its lists"
    supervisor.tool(5, "fix__pid")
    first = supervisor.structured(5)["pid"]
    supervisor.inbox.clear()
    supervisor.expect(v1.BackendState, lambda m: m.backend == "fix" and m.state == "idle")
    supervisor.tool(6, "fix__pid")
    assert supervisor.structured(6)["pid"] != first
    state, _ = supervisor.expect(
        v1.BackendState, lambda m: m.backend == "fix" and m.state == "ready"
    )
    assert state.restarts == 0 and state.last_error is None


def test_a_lazy_backend_with_known_lists_is_not_started(
    supervisor: FakeSupervisor, tmp_path: Path
) -> None:
    supervisor.ready(two_backends(start="lazy"))
    learned, payload = supervisor.expect(v1.LearnedLists, lambda m: m.backend == "fix")
    (tmp_path / "next").mkdir()
    with FakeSupervisor(tmp_path / "next") as second:
        second.configure(two_backends(start="lazy"))
        second.send(v1.KnownLists("fix", learned.spec_hash), payload)
        second.session()
        second.expect(v1.Catalogue, lambda m: m.settled)
        assert [name for name, _ in second.spawned] == ["two"]
        second.tool(5, "fix__echo", wake="up")
        assert second.structured(5) == {"wake": "up"}


# ---- bad output -------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["line", "before", "after", "both", "blank", "crlf"])
def test_pollution_is_skipped_and_counted(supervisor: FakeSupervisor, where: str) -> None:
    supervisor.ready(two_backends())
    supervisor.tool(5, "fix__pollute", where=where)
    assert supervisor.text(5) == "polluted"
    if where in {"blank", "crlf"}:
        return
    state, _ = supervisor.expect(v1.BackendState, lambda m: m.skipped_lines > 0)
    assert state.backend == "fix" and state.state == "ready"


@pytest.mark.parametrize("tool", ["bad_utf8", "lone_surrogate"])
def test_broken_text_is_repaired(supervisor: FakeSupervisor, tool: str) -> None:
    supervisor.ready(two_backends())
    supervisor.tool(5, f"fix__{tool}")
    assert supervisor.text(5) == "before \ufffd after"


@pytest.mark.parametrize("others", [0, 2])
def test_an_oversized_answer_is_an_error_of_its_call(
    supervisor: FakeSupervisor, others: int
) -> None:
    supervisor.ready(two_backends(relay={"frame_bytes_max": 100_000}))
    for number in range(others):
        supervisor.tool(100 + number, "fix__hang")
    supervisor.tool(5, "fix__big", bytes=5_000_000)
    assert "frame_bytes_max" in supervisor.text(5)
    supervisor.tool(6, "fix__big", bytes=99_000)
    assert len(supervisor.text(6)) == 99_000


def test_large_frames_pass_both_ways(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends("--chunk-bytes=4000"))
    text = "x" * 10_000_000
    supervisor.tool(5, "fix__echo", text=text)
    assert supervisor.structured(5)["text"] == text


def test_many_calls_of_all_sizes_get_their_own_answers(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends())
    sizes = [10, 1000, 70_000, 300_000]
    for call in range(64):
        backend = ("fix", "two")[call % 2]
        arguments = {"group": "g", "size": 32, "n": call, "text": "y" * sizes[call % 4]}
        supervisor.tool(100 + call, f"{backend}__reply_out_of_order", **arguments)
    for call in range(64):
        answer = supervisor.structured(100 + call)
        assert answer["n"] == call and len(answer["text"]) == sizes[call % 4]


def test_a_backend_that_does_not_read_gets_no_more(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends())
    pid = dict(supervisor.spawned)["fix"]
    os.kill(pid, signal.SIGSTOP)
    large = "x" * 7_000_000
    for call in range(10, 20):
        supervisor.tool(call, "fix__echo", text=large)
    assert "does not read its input" in supervisor.text(19)
    other_backend_works(supervisor)
    os.kill(pid, signal.SIGCONT)
    for call in range(10, 19):
        assert len(supervisor.structured(call)["text"]) == len(large)


def test_a_flood_on_stderr_freezes_nothing_and_is_kept(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends())
    supervisor.tool(5, "fix__stderr_flood", bytes=3_000_000)
    assert supervisor.text(5) == "flooded"
    assert supervisor.retire() == 0
    logs = list((supervisor.state_dir / "logs" / "backends").glob("fix*"))
    assert any("fixture stderr" in path.read_text() for path in logs)


def test_a_supervisor_that_does_not_read_stops_the_backends(supervisor: FakeSupervisor) -> None:
    supervisor.ready(two_backends())
    size, calls = 2_000_000, 30
    for call in range(100, 100 + calls):
        supervisor.tool(call, "fix__big", bytes=size)
    worker = psutil.Process(supervisor.worker.pid)
    supervisor.tool(5, "two__echo")  # answered after at least one of the others was
    supervisor.until(lambda: worker.memory_info().rss > 20 << 20)
    for call in range(100, 100 + calls):
        assert len(supervisor.text(call)) == size
    assert worker.memory_info().rss < 150 << 20
