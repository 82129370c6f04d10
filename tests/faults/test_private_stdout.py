"""Descriptor 1 belongs to the client: no print of any library, in any process, reaches it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.ends import SIGNAL_SECONDS, all_ready, own_status, seconds_until_gone
from tests.harness import Relay, RelayHome, fixture_backend, json_of

NOISE = "noise-of-a-library"

# Python runs this at the start of each process that finds it: an import that prints, a thread that
# goes on printing, C code that writes to descriptor 1, a child that inherits it.
IN_THE_WORKER = f"""
import os, sys, threading
if "relay_worker" in sys.orig_argv:
    def noise():
        print("{NOISE} print", flush=True)
        sys.__stdout__.write("{NOISE} write\\n")
        os.write(1, b"{NOISE} descriptor\\n")
    def for_ever():
        while True:
            noise()
            threading.Event().wait(0.005)
    noise()
    os.system("echo {NOISE} child")
    threading.Thread(target=for_ever, daemon=True).start()
"""

# In the supervisor the same may happen once it has begun: at each process it starts.
IN_THE_SUPERVISOR = f"""
import os, sys
if "relay_supervisor" in sys.orig_argv:
    def hook(event, args):
        if event == "os.posix_spawn":
            print("{NOISE} print", flush=True)
            os.write(1, b"{NOISE} descriptor\\n")
            os.system("echo {NOISE} child; cat >/dev/null")
    sys.addaudithook(hook)
"""


def noisy(folder: Path, code: str) -> dict[str, str | None]:
    """The environment in which every Python first runs this code."""
    (folder / "sitecustomize.py").write_text(code)
    repository = Path(__file__).parents[2]
    return {"PYTHONPATH": f"{folder}:{repository}"}


@pytest.mark.parametrize("code", [IN_THE_WORKER, IN_THE_SUPERVISOR], ids=["worker", "supervisor"])
def test_what_a_process_of_the_relay_prints_never_reaches_the_client(
    code: str, tmp_path: Path
) -> None:
    """The client sees answers only (the harness checks every line), and stderr has the noise."""
    config = {"backends": {"fix": fixture_backend()}}
    with Relay(config, env=noisy(tmp_path, code)) as relay:
        all_ready(relay)
        for number in range(50):
            assert json_of(relay.client.call_tool("fix__echo", {"n": number})) == {"n": number}
        relay.client.child.wait_stderr(NOISE)
        assert not [frame for frame in relay.client.frames if NOISE.encode() in frame.raw]
        relay.client.assert_clean()


def test_descriptor_0_is_private_too(tmp_path: Path) -> None:
    """A library that reads stdin gets nothing: it would take requests away from the relay."""
    config = {"backends": {"fix": fixture_backend()}}
    thief = "import sys\nsys.addaudithook(lambda e, a: e == 'os.posix_spawn' and sys.stdin.read())"
    with Relay(config, env=noisy(tmp_path, thief)) as relay:
        all_ready(relay)
        assert json_of(relay.client.call_tool("fix__echo", {"a": 1})) == {"a": 1}


def test_a_backend_that_prints_at_its_start_and_beside_its_answers_is_understood(
    tmp_path: Path,
) -> None:
    """A banner and debug output on a backend's stdout: skipped, counted, never passed on."""
    code = (
        f"import sys\nif 'server' in sys.orig_argv[1]:\n    print('{NOISE} banner', flush=True)\n"
    )
    config = {"backends": {"fix": fixture_backend()}}
    with Relay(config, env=noisy(tmp_path, code)) as relay:
        all_ready(relay)
        relay.client.call_tool("fix__pollute", {"where": "line", "junk": NOISE})
        assert not [frame for frame in relay.client.frames if NOISE.encode() in frame.raw]
        (fix,) = [b for b in own_status(relay)["backends"] if b["name"] == "fix"]
        assert fix["skipped_lines"] == 2


@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full", "2>/dev/null"])
def test_stderr_may_be_closed_full_or_nowhere(closed: str) -> None:
    """A client that gives the relay no stderr gets its answers all the same."""
    relay = Relay({"backends": {"fix": fixture_backend("--name", "x")}})
    interpreter = relay.home.root / "python"
    interpreter.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@" {closed}\n')
    interpreter.chmod(0o755)
    relay.python = str(interpreter)
    with relay:
        all_ready(relay)
        flood = relay.client.call_tool("fix__stderr_flood", {"bytes": 200_000})
        assert "flooded" in str(flood)
        took = seconds_until_gone(relay, lambda: relay.client.child.send_signal(2), 3)
        assert took <= SIGNAL_SECONDS


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_without_stdin_or_stdout_it_ends_at_once_and_leaves_nothing(closed: str) -> None:
    """There can be no client; no other file may be taken for it, and nothing may run on."""
    home = RelayHome.make()
    try:
        config = home.write_config({"backends": {"fix": fixture_backend()}})
        command = f'exec "{sys.executable}" -m relay_supervisor --config "{config}" {closed}'
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            env=home.environment(),
            cwd=home.project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10.0,
            check=False,
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        assert not home.runtime_leftovers()
    finally:
        home.remove()
