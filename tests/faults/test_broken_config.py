"""Broken configurations of all kinds: the message names file, line, key and what was expected, and
what is valid is served.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay_supervisor.ctl.main import relayctl
from tests.faults.ends import all_ready, own_status
from tests.harness import Relay, RelayHome, fixture_backend, json_of, wait_until

GOOD = f"backends:\n  good: {json.dumps(fixture_backend())}\n"

# What is appended to line 2, and what the message has to say beside the file: line, key, and what
# was expected or what to do. The backend `good` is served.
PARTLY_BROKEN = {
    "unknown key": ("  bad: {command: x, comand: y}\n", 3, "backends.bad.comand", "command?"),
    "args a text": ("  bad: {command: x, args: hi}\n", 3, "backends.bad.args", "expected a list"),
    "env a list": ("  bad: {command: x, env: [a]}\n", 3, "backends.bad.env", "expected a mapping"),
    "start": (
        "  bad:\n    command: x\n    start: soon\n",
        5,
        "backends.bad.start",
        "eager or lazy",
    ),
    "a word for a truth": (
        "  bad: {command: x, enabled: so}\n",
        3,
        "backends.bad.enabled",
        "true",
    ),
    "a negative time": (
        "  bad: {command: x, idle_stop_seconds: -1}\n",
        3,
        "backends.bad.idle_stop_seconds",
        "0",
    ),
    "neither command nor url": ("  bad: {}\n", 3, "backends.bad", "command, url and llm"),
    "both": ("  bad: {command: x, url: 'http://x'}\n", 3, "backends.bad", "exactly one"),
    "nothing": ("  bad:\n", 3, "backends.bad", "expected a mapping"),
    "an unset variable": (
        "  bad: {command: x, env: {A: 'x${RELAY_TEST_UNSET}'}}\n",
        3,
        "backends.bad.env.A",
        "RELAY_TEST_UNSET",
    ),
    "a key twice": ("  bad: {command: x, command: y}\n", 3, "backends.bad.command", "again"),
    "a backend twice": ("  bad: {command: x}\n  bad: {command: y}\n", 4, "backends.bad", "again"),
    "an unknown section": ("backend: {}\n", 3, "backend", "backends?"),
    "a setting out of range": (
        "relay: {frame_bytes_max: 5}\n",
        3,
        "relay.frame_bytes_max",
        "from 65536",
    ),
    "an unknown setting": ("relay: {drain_secs: 5}\n", 3, "relay.drain_secs", "drain_seconds?"),
}

# The whole text, and what the message has to say. Nothing can be served but the relay's own tool.
WHOLLY_BROKEN = {
    "an open bracket": (GOOD + "  bad: {command: [\n", "4:1", "bracket"),
    "a tab": (GOOD + "\tbad: {command: x}\n", "3:1", "spaces, not tabs"),
    "a list": ("- command: x\n", "1:1", "expected a mapping"),
    "a word": ("hello", "1:1", "expected a mapping"),
    "not UTF-8": (b"backends:\n  b\xff: {}\n", "2:4", "UTF-8"),
    "UTF-16": ("backends: {}\n".encode("utf-16"), "1:1", "UTF-8"),
    "a NUL": (b"back\0ends: {}\n", "1:5", "U+0000"),
    "a Python tag": ("backends: !!python/object/apply:os.abort []\n", "1:11", "Tags"),
    "two documents": (GOOD + "---\nbackends: {}\n", "3:1", "second document"),
    "an alias in itself": ("backends: &x [*x]\n", "1:15", "alias"),
    "JSON with a comma": ('{"mcpServers": {"a": {"command": "x"},,}}', "1:39", "comma"),
    "too large": ("#" * (2 << 20), "", "1048576 bytes"),
}


def assert_told(relay: Relay, *words: str, exit_code: int = 1) -> None:
    """The same message, with all of these words, on stderr, in the status and from relayctl."""

    def one(messages: list[str]) -> bool:
        return any(all(word in message for word in words) for message in messages)

    wait_until(lambda: one(relay.client.child.stderr_text().splitlines()), 10.0, "on stderr")
    problems = own_status(relay)["problems"]
    assert one(problems), problems
    checked = config_check(relay.home.config_path)
    assert one(checked.output.splitlines()), checked.output
    assert checked.exit_code == exit_code
    assert "Traceback" not in relay.client.child.stderr_text()


def config_check(path: Path) -> Result:
    """`relayctl config check`, in this process: it is quicker by far."""
    return CliRunner().invoke(relayctl, ["config", "check", str(path)], catch_exceptions=False)


@pytest.mark.parametrize(
    ("text", "line", "key", "advice"), PARTLY_BROKEN.values(), ids=PARTLY_BROKEN.keys()
)
def test_what_is_valid_is_served_and_the_rest_explained(
    text: str, line: int, key: str, advice: str
) -> None:
    """Backend `good` works; the message has its place, key, and what was expected."""
    with Relay(GOOD + text) as relay:
        relay.client.initialize()
        assert json_of(relay.client.call_tool("good__echo", {"n": 1})) == {"n": 1}
        assert_told(relay, f"{relay.home.config_path}:{line}:", f" {key}:", advice)
        names = [tool["name"] for tool in relay.client.list_all("tools")]
        assert not [name for name in names if name.startswith("bad")]
        assert own_status(relay)["health"] == ("degraded" if "bad:" in text else "ok")


@pytest.mark.parametrize(
    ("text", "place", "advice"), WHOLLY_BROKEN.values(), ids=WHOLLY_BROKEN.keys()
)
def test_a_file_nothing_of_which_can_be_used(text: str | bytes, place: str, advice: str) -> None:
    """The relay starts, says where and why, shows its own tool, and is not well."""
    with Relay(text) as relay:
        relay.client.initialize()
        assert [tool["name"] for tool in relay.client.list_all("tools")] == ["relay__status"]
        assert_told(relay, f"{relay.home.config_path}:{place}", advice)
        assert own_status(relay)["health"] == "degraded"


def test_relayctl_says_that_such_a_relay_is_degraded() -> None:
    """Exit status 4, and the reason in the table."""
    with Relay("backends: [\n") as relay:
        relay.client.initialize()
        done = relay.relayctl("status")
        assert "syntax error" in done.stdout
        assert done.returncode == 4


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "backends:\n", "{}"])
def test_an_empty_configuration_is_valid(text: str) -> None:
    """The beginning of a configuration is no error; an empty file gets a hint what to add."""
    with Relay(text) as relay:
        relay.client.initialize()
        assert [tool["name"] for tool in relay.client.list_all("tools")] == ["relay__status"]
        assert own_status(relay)["health"] == "ok"
        if "{" in text or "backends" in text:
            assert own_status(relay)["problems"] == []
        else:
            assert_told(relay, str(relay.home.config_path), "warning", "backends", exit_code=0)


def a_directory(path: Path) -> str:
    path.mkdir()
    return "expected a file, found a directory"


def nothing(path: Path) -> str:
    return "no such file"


def a_dangling_link(path: Path) -> str:
    path.symlink_to("nowhere")
    return "no such file"


def writable_by_all(path: Path) -> str:
    path.write_text(GOOD)
    path.chmod(0o666)
    return "chmod go-w"


def writable_by_the_group(path: Path) -> str:
    path.write_text(GOOD)
    path.chmod(0o660)
    return "chmod go-w"


def of_another_user(path: Path) -> str:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    path.write_text(GOOD)
    os.chown(path, 65534, 65534)
    return "another user (uid 65534)"


def a_named_pipe(path: Path) -> str:
    os.mkfifo(path)  # nobody ever writes to it
    return "expected a file"


def below_a_file(path: Path) -> str:
    path.parent.rmdir()
    path.parent.write_text("")
    return "cannot be opened"


def unreadable(path: Path) -> str:
    if os.geteuid() == 0:
        pytest.skip("root can read everything")
    path.write_text(GOOD)
    path.chmod(0)
    return "cannot be opened"


@pytest.mark.parametrize(
    "make",
    [
        a_directory,
        nothing,
        a_dangling_link,
        writable_by_all,
        writable_by_the_group,
        of_another_user,
        a_named_pipe,
        below_a_file,
        unreadable,
    ],
    ids=lambda make: make.__name__,
)
@pytest.mark.parametrize("named_by", ["option", "variable"])
def test_a_file_that_cannot_be_read_or_trusted(
    make: Iterator[str], named_by: str, home: RelayHome
) -> None:
    """Asked for by --config or RELAY_CONFIG, so it is an error and not the demonstration."""
    path = home.root / "etc" / "my.yaml"
    path.parent.mkdir()
    said = make(path)
    named = {"RELAY_CONFIG": str(path)} if named_by == "variable" else {}
    args = ["--config", str(path)] if named_by == "option" else []
    relay = Relay(home=home, args=args, env=named)
    with relay:
        relay.client.initialize()
        assert [tool["name"] for tool in relay.client.list_all("tools")] == ["relay__status"]
        (problem,) = own_status(relay)["problems"]
        assert str(path) in problem
        assert said in problem
        relay.client.child.wait_stderr(problem)
        checked = config_check(path)
        assert problem in checked.output
        assert checked.exit_code == 1


@pytest.mark.parametrize("value", ["loud", "trace"])
def test_a_wrong_variable_of_the_environment_is_named_at_once(value: str, home: RelayHome) -> None:
    """RELAY_LOG_LEVEL, RELAY_LOG_FORMAT: a warning with the choices, and the client is served."""
    for name, choices in (("RELAY_LOG_LEVEL", "debug"), ("RELAY_LOG_FORMAT", "json")):
        with Relay(GOOD, home=home, env={name: value}) as relay:
            assert relay.client.initialize()
            for word in (name, value, choices):
                relay.client.child.wait_stderr(word)


def test_a_configuration_that_breaks_while_the_relay_runs_changes_nothing() -> None:
    """The file is overwritten with nonsense and the backend dies: it comes back as it was."""
    with Relay(GOOD) as relay:
        all_ready(relay)
        relay.home.write_config("backends: [\n")
        relay.client.call_tool("good__die")
        assert json_of(relay.client.call_tool("good__echo", {"n": 1})) == {"n": 1}
        assert own_status(relay)["problems"] == []
