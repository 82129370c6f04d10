"""Logging: levels and formats by environment, rotating files, and secrets in none of it."""

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.harness import (
    RawClient,
    Relay,
    RelayHome,
    fixture_backend,
    json_of,
    text_of,
    wait_until,
)

LEVELS = ("debug", "info", "warning", "error")
TEXT_LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z +(\w+) +(supervisor|worker \d+): \S.*"
)
CONFIG = {"backends": {"fix": fixture_backend()}}
POLLUTED = "something else than MCP"
LOST = "worker of generation 1 failed"


def talk(relay: Relay) -> None:
    """Let the relay log at all levels: a polluted stream, a killed worker and how it ended."""
    client = relay.client
    client.initialize()
    client.call_tool("fix__pollute", {"where": "line"})
    if relay.env.get("RELAY_LOG_LEVEL") != "error":
        # What the worker has not handed to the disk dies with it.
        wait_until(lambda: POLLUTED in relay_log(relay.home), 10.0, "the warning in the file")
    kill_worker(relay)
    wait_until(lambda: LOST in relay_log(relay.home), 10.0, "the error in the file")


def kill_worker(relay: Relay) -> None:
    """Kill it, and wait for the next one."""
    status = relay.client.call_tool("relay__status")["structuredContent"]
    os.kill(status["workers"][0]["pid"], signal.SIGKILL)
    wait_until(lambda: "structuredContent" in relay.client.call_tool("relay__status"), 20.0)


def relay_log(home: RelayHome) -> str:
    path = home.state / "logs" / "relay.log"
    return path.read_text() if path.exists() else ""


def level_of(line: str) -> str:
    found = TEXT_LINE.fullmatch(line)
    assert found, f"not a line of the log: {line!r}"
    return found[1].lower()


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_admits_itself_and_what_is_worse(level: str) -> None:
    """On stderr and in the file, from the supervisor and from its workers."""
    admitted = LEVELS[LEVELS.index(level) :]
    with Relay(CONFIG, env={"RELAY_LOG_LEVEL": level}) as relay:
        talk(relay)
        relay.client.child.wait_stderr(LOST)
        stderr = relay.client.child.stderr_text().splitlines()
        for lines in (stderr, relay_log(relay.home).splitlines()):
            levels = {level_of(line) for line in lines}
            assert levels <= set(admitted)
            assert "error" in levels, "the killed worker"
            assert ("warning" in levels) == (level != "error"), "the polluted stream"
            assert ("debug" in levels) == (level == "debug"), "how the worker ended"


def test_the_file_has_what_stderr_has() -> None:
    """Every line on stderr is in the file, by the time the relay has ended."""
    with Relay(CONFIG) as relay:
        talk(relay)
        lines = set(relay.client.child.stderr_text().splitlines())
        assert len(lines) >= 2
        wait_until(lambda: lines <= set(relay_log(relay.home).splitlines()), 10.0, "all lines")


def test_json_is_one_object_a_line_everywhere() -> None:
    """Time, level and message in each; who wrote it, too; on stderr and in the file."""
    with Relay(CONFIG, env={"RELAY_LOG_FORMAT": "json"}) as relay:
        talk(relay)
        stderr = relay.client.child.stderr_text().splitlines()
        for line in [*stderr, *relay_log(relay.home).splitlines()]:
            entry: dict[str, Any] = json.loads(line)
            assert {"time", "level", "message"} <= set(entry)
            assert entry["level"] in LEVELS
            assert ("generation" in entry) or entry["source"] == "supervisor"


def test_a_worker_names_its_generation() -> None:
    """After a worker was replaced the log tells the two apart."""
    with Relay(CONFIG, env={"RELAY_LOG_FORMAT": "json"}) as relay:
        talk(relay)
        relay.client.call_tool("fix__pollute", {"where": "line"})

        def generations() -> set[int]:
            entries = map(json.loads, relay.client.child.stderr_text().splitlines())
            return {entry["generation"] for entry in entries if "generation" in entry}

        wait_until(lambda: generations() == {1, 2}, 5.0, "a line of either worker")


@pytest.mark.parametrize("name", ["RELAY_LOG_LEVEL", "RELAY_LOG_FORMAT"])
def test_the_case_of_a_value_does_not_matter_and_empty_is_the_default(name: str) -> None:
    value = "ERROR" if name.endswith("LEVEL") else "JSON"
    for given in (value, ""):
        with Relay(CONFIG, env={name: given}) as relay:
            assert relay.client.initialize()


# ---- files ----------------------------------------------------------------------------------


def test_what_a_backend_writes_to_stderr_goes_into_a_file_of_its_own() -> None:
    """Not to the client's stderr, and not into the other backend's file."""
    config = {"backends": {"fix": fixture_backend(), "odd name": fixture_backend()}}
    with Relay(config) as relay:
        relay.client.initialize()
        relay.client.call_tool("fix__stderr_flood", {"bytes": 1000})
        folder = relay.home.state / "logs" / "backends"
        wait_until(lambda: size(folder / "fix.log") == 1000, 10.0, "the backend's log")
        assert "fixture stderr" in (folder / "fix.log").read_text()
        assert "fixture stderr" not in relay.client.child.stderr_text()
        assert [path.name for path in folder.iterdir()] == ["fix.log"]


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def test_log_files_rotate_and_are_never_larger_than_they_may() -> None:
    """50 times log_bytes_max through a backend's log: log_files_max files, the newest lines, all
    readable by nobody else.
    """
    settings = {"log_bytes_max": 64 << 10, "log_files_max": 3}
    with Relay({**CONFIG, "relay": settings}) as relay:
        relay.client.initialize()
        folder = relay.home.state / "logs" / "backends"
        for _ in range(50):
            relay.client.call_tool("fix__stderr_flood", {"bytes": 64 << 10})
        expected = {"fix.log", "fix.log.1", "fix.log.2"}

        wait_until(lambda: {path.name for path in folder.glob("*")} == expected, 10.0)
        relay.stop()  # or one may be renamed while it is looked at
        for path in folder.iterdir():
            assert size(path) <= 64 << 10
            assert path.stat().st_mode & 0o077 == 0
            assert path.read_text().endswith("\n"), "a line was torn"


def test_two_relays_write_one_file_without_tearing_lines() -> None:
    """As two windows of Claude Code do."""
    with Relay(CONFIG) as one:
        with Relay(CONFIG, env={"RELAY_STATE_DIR": str(one.home.state)}) as two:
            for relay in (one, two):
                relay.client.initialize()
                relay.client.call_tool("fix__pollute", {"where": "line"})
            wait_until(lambda: relay_log(one.home).count(POLLUTED) == 2, 10.0, "both of them")
        for line in relay_log(one.home).splitlines():
            level_of(line)


def test_lines_that_stderr_does_not_take_are_counted_and_still_in_the_file() -> None:
    """The client reads no stderr: when its pipe is full, lines are dropped there and only there."""
    bad = "".join(f"  bad{n}: {{command: x, {'y' * 60}: {n}}}\n" for n in range(99))
    with Relay("backends:\n" + bad) as relay:
        relay.client.child.pause_reading_stderr()
        relay.client.initialize()
        for number in range(1, 9):
            kill_worker(relay)
            lost = f"worker of generation {number} failed"
            # In the file, before the worker that writes it is killed in its turn.
            wait_until(lambda lost=lost: lost in relay_log(relay.home), 10.0, lost)
            status = relay.client.call_tool("relay__status")["structuredContent"]
            if status["supervisor"]["stderr_dropped"]:
                break
        else:
            pytest.fail("nothing was dropped: this proves nothing")
        assert relay_log(relay.home).count("bad98") >= number


# ---- secrets --------------------------------------------------------------------------------

SECRETS = {
    "PLAIN": "s3cr3t-plain-0123456789",
    "QUOTED": 's3cr3t "quoted" \\ and \u00fcml\u00e4ut',
    "LINES": "s3cr3t-first-line\ns3cr3t-second-line",
}

# A server that tells everything it was given, on stderr, on stdout, and in its refusal.
TELLTALE = """
import json, os, sys
names = ("A", "B", "C", "SOME_API_KEY")
told = " ".join([*sys.argv, *(os.environ.get(name, "") for name in names)])
print(told, file=sys.stderr, flush=True)
print("banner " + told.replace("\\n", " "), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if request.get("method") == "initialize":
        error = {"code": -32000, "message": "I refuse: " + told}
        answer = {"jsonrpc": "2.0", "id": request["id"], "error": error}
        print(json.dumps(answer), flush=True)
"""


def everything_written(relay: Relay) -> dict[str, bytes]:
    """All that the relay put anywhere: stderr, files, status in all its forms."""
    texts = {
        "stderr": relay.client.child.stderr_text().encode(),
        "status": relay.relayctl("status").stdout.encode(),
        "status --json": relay.relayctl("status", "--json").stdout.encode(),
        "config check": relay.relayctl(
            "config", "check", str(relay.home.config_path)
        ).stdout.encode(),
        "the client's stdout": b"\n".join(frame.raw for frame in relay.client.frames),
    }
    for folder in (relay.home.state, relay.home.runtime):
        for path in folder.rglob("*"):
            if path.is_file():
                texts[str(path)] = path.read_bytes()
    return texts


def assert_no_secret(texts: dict[str, bytes]) -> None:
    # As it is, as JSON writes it, and each line of it; nothing else begins with this word.
    for name, text in texts.items():
        found = re.findall(rb".{0,60}s3cr3t.{0,30}", text)
        assert not found, f"{name}: {found[0]!r}"


@pytest.mark.parametrize("level", ["info", "debug"])
def test_expanded_secrets_are_written_nowhere(level: str, tmp_path: Path) -> None:
    """From variables in command, env and args, and one written out under a name that tells what it
    is; of backends that tell them on stderr, on stdout and in errors,
    of one that is not found, of one that works: not in any log, file, status or answer.
    """
    script = tmp_path / "telltale.py"
    script.write_text(TELLTALE)
    env = {"A": "${PLAIN}", "B": "${QUOTED}", "C": "x${LINES}y"}
    python = fixture_backend()["command"]
    config = {
        "backends": {
            "fix": fixture_backend(env=env),
            "telltale": {
                "command": python,
                "args": [str(script), "--token=${PLAIN}"],
                "env": {**env, "SOME_API_KEY": "s3cr3t-written-out"},
            },
            "lost": {"command": "/nowhere/${PLAIN}", "args": ["${QUOTED}"]},
            "unset": {"command": "x", "env": {"A": "${PLAIN}${RELAY_TEST_UNSET}"}},
            "dies": {"command": python, "args": ["-c", "raise SystemExit('${PLAIN}')"]},
        },
        "relay": {"restart_delay_seconds": 0.1, "restart_attempts_max": 2},
    }
    with Relay(config, env={**SECRETS, "RELAY_LOG_LEVEL": level}) as relay:
        client = relay.client
        client.initialize()
        assert_the_backend_has_them(client)
        log = relay.home.state / "logs" / "backends" / "telltale.log"
        wait_until(lambda: size(log) > 0, 10.0, "the telltale's log")
        assert "***" in log.read_text(), "nothing was hidden: this proves nothing"
        wait_until(
            lambda: all(
                backend["last_error"]
                for backend in relay.status()["backends"]
                if backend["name"] in {"telltale", "lost", "unset", "dies"}
            ),
            20.0,
            "their errors",
        )
        for name in ("telltale", "lost", "unset", "dies"):
            client.response(client.start_tool(f"{name}__tool"))
        texts = everything_written(relay)
        assert len(texts) > 8
        config_file = texts.pop(str(relay.home.config_path), b"")
        assert not config_file, "the configuration is not in the state directory"
        assert_no_secret(texts)


def assert_the_backend_has_them(client: RawClient) -> None:
    """Hidden from the logs, not from the server they are for. (Compared here, and not printed.)"""
    told = json_of(client.call_tool("fix__env", {"names": ["A", "B", "C"]}))["env"]
    assert told["A"] == SECRETS["PLAIN"]
    assert told["B"] == SECRETS["QUOTED"]
    assert told["C"] == f"x{SECRETS['LINES']}y"
    client._record.frames[:] = [f for f in client._record.frames if b"s3cr3t" not in f.raw]


def test_a_short_value_hides_nothing_else() -> None:
    """PORT=80 is no secret: hiding it would blot out half of every log."""
    config = {"backends": {"fix": fixture_backend(env={"A": "${RELAY_TEST_SHORT}"})}}
    with Relay(config, env={"RELAY_TEST_SHORT": "fix"}) as relay:
        relay.client.initialize()
        assert text_of(relay.client.call_tool("fix__pollute", {"where": "line"})) == "polluted"
        relay.client.child.wait_stderr("backend=fix")
