"""The client closes stdin, or dies: all is gone within two seconds, whatever was going on."""

import json
import subprocess
import sys
from pathlib import Path

from tests.faults.ends import (
    EOF_SECONDS,
    STUBBORN,
    all_ready,
    allowed,
    assert_ends_within,
    starting,
    stubborn,
)
from tests.harness import (
    Child,
    Relay,
    RelayHome,
    eventually,
    fixture_backend,
    marked,
    side_effects,
    stopwatch,
    wait_until,
)

# A client that shakes hands, has a call under way, says so, and then lives until it is killed.
DYING_CLIENT = """
import json, signal, subprocess, sys
relay = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
def send(**message):
    relay.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\\n")
    relay.stdin.flush()
info = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "d"}}
send(id=1, method="initialize", params=info)
relay.stdout.readline()
send(method="notifications/initialized")
call = {"name": "fix__counter", "arguments": {"seconds": 600}}
send(id=2, method="tools/call", params=call)
print(relay.pid, flush=True)
signal.pause()
"""


def test_an_idle_relay_ends() -> None:
    """No client ever spoke: stdin ends, and so does the relay with its worker."""
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:

        def has_a_worker() -> None:
            assert relay.worker_pids(), "no worker yet; and before that status knows no such relay"

        eventually(has_a_worker, 20.0)
        assert_ends_within(relay, relay.client.close_stdin, EOF_SECONDS)


def test_a_relay_that_has_only_just_been_started_ends() -> None:
    """stdin is at its end before the relay looks: `mcp-relay </dev/null`."""
    relay = Relay({"backends": {"fix": fixture_backend()}})
    relay.start()
    took = stopwatch()
    assert relay.stop() == 0
    # Python's own start is in it, on a machine that does other things too.
    assert took() < allowed(EOF_SECONDS + 3.0)
    relay.home.remove()


def test_backends_end_by_themselves_where_they_can(tmp_path: Path) -> None:
    """A backend sees the end of its stdin and has the time to go in good order."""
    log = tmp_path / "log"
    with Relay({"backends": {"fix": fixture_backend("--log", str(log))}}) as relay:
        all_ready(relay)
        assert_ends_within(relay, relay.client.close_stdin, EOF_SECONDS, 3)
    assert [end["reason"] for end in side_effects(log, "end")] == ["eof"]


def test_calls_in_flight_do_not_delay_the_end(tmp_path: Path) -> None:
    """Calls that would take for ever, on backends of both kinds."""
    log = tmp_path / "log"
    config = {
        "backends": {
            "good": fixture_backend("--log", str(log)),
            "bad": fixture_backend("--log", str(log), *STUBBORN),
        }
    }
    with Relay(config) as relay:
        all_ready(relay)
        for backend in ("good", "bad"):
            for number in range(8):
                arguments = {"seconds": 600, "tag": f"{number}"}
                relay.client.start_tool(f"{backend}__counter", arguments)
        wait_until(lambda: len(side_effects(log)) == 16, 10.0, "all calls at their backends")
        assert_ends_within(relay, relay.client.close_stdin, EOF_SECONDS, 4)


def test_an_answer_that_is_nearly_there_still_arrives() -> None:
    """`printf … | mcp-relay` gets its answers: the end of stdin is not the end of interest."""
    with Relay({"backends": {"fix": fixture_backend()}}) as relay:
        all_ready(relay)
        slow = relay.client.start_tool("fix__slow", {"seconds": 0.2, "steps": 1})
        assert_ends_within(relay, relay.client.close_stdin, EOF_SECONDS, 3)
        assert "slow" in str(relay.client.response(slow).result)


def test_requests_from_a_file_are_answered_into_a_file(tmp_path: Path) -> None:
    """`mcp-relay < requests > answers`: files, which make nobody wait, and an end at once."""
    home = RelayHome.make()
    try:
        config = home.write_config({"backends": {"fix": fixture_backend()}})
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {}}
        lines = [{"id": 1, "method": "initialize", "params": params}, {"id": 2, "method": "ping"}]
        requests, answers = tmp_path / "requests", tmp_path / "answers"
        requests.write_text("".join(json.dumps({"jsonrpc": "2.0", **e}) + "\n" for e in lines))
        with requests.open() as source, answers.open("w") as sink:
            done = subprocess.run(
                [sys.executable, "-m", "relay_supervisor", "--config", str(config)],
                env=home.environment(),
                cwd=home.project,
                stdin=source,
                stdout=sink,
                stderr=subprocess.PIPE,
                timeout=10.0,
                check=False,
            )
        assert done.returncode == 0, done.stderr.decode()
        assert {json.loads(line)["id"] for line in answers.read_text().splitlines()} == {1, 2}
        assert not home.runtime_leftovers()
    finally:
        home.remove()


def test_stubborn_backends_and_their_grandchildren_are_gone(tmp_path: Path) -> None:
    """Backends that ignore EOF and SIGTERM, with children in and out of their sessions."""
    with Relay({"backends": stubborn(tmp_path)}) as relay:
        all_ready(relay)
        assert_ends_within(relay, relay.client.close_stdin, EOF_SECONDS, 13)


def test_a_backend_that_is_only_just_starting_is_gone_too() -> None:
    """The end comes while backends start: one that does not answer yet, one that never will."""
    with Relay({"backends": starting()}) as relay:
        relay.client.initialize()
        wait_until(lambda: len(marked(relay.mark)) >= 4, 10.0, "backends to be started")
        assert_ends_within(relay, relay.client.close_stdin, EOF_SECONDS, 4)


def test_a_client_that_is_killed_takes_everything_with_it(tmp_path: Path) -> None:
    """SIGKILL for the client: its pipes end, and with them all of the relay, calls or not."""
    home, log = RelayHome.make(), tmp_path / "log"
    backends = {**stubborn(tmp_path / "family"), "fix": fixture_backend("--log", str(log))}
    config = home.write_config({"backends": backends})
    lines: list[bytes] = []
    client = Child(
        [
            *(sys.executable, "-c", DYING_CLIENT),
            *(sys.executable, "-m", "relay_supervisor", "--config", str(config)),
        ],
        on_line=lines.append,
        on_end=lambda: None,
        env=home.environment(),
    )
    try:
        wait_until(lambda: lines and side_effects(log), 20.0, "a call under way")
        wait_until(lambda: len(marked(client.mark)) >= 15, 20.0, "all of the family")
        took = stopwatch()
        client.process.kill()
        wait_until(lambda: not marked(client.mark), 10.0, "everything to be gone")
        assert took() <= allowed(EOF_SECONDS)
        assert not home.runtime_leftovers()
    finally:
        client.kill()
        home.remove()
