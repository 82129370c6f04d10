"""The launcher of the harness, tried on stand-ins for the relay: good ones, and ones that leak."""

from pathlib import Path

import pytest

from tests.harness import FIXTURE_SERVER, Relay, RelayHome, alive, wait_until

# Stands where relay_supervisor is looked for: a fixture server, its flags taken from the config.
STAND_IN = f"""
import json, os, pathlib, runpy, sys
config = json.loads(pathlib.Path(sys.argv[2]).read_text()) if len(sys.argv) > 2 else {{}}
if config.get("runtime_file"):
    pathlib.Path(os.environ["RELAY_RUNTIME_DIR"], "socket").touch()
if config.get("log"):
    pathlib.Path(os.environ["RELAY_STATE_DIR"], "relay.log").write_text(config["log"])
print("stand-in started", file=sys.stderr, flush=True)
sys.argv[1:] = config.get("flags", [])
runpy.run_path({str(FIXTURE_SERVER)!r}, run_name="__main__")
"""


@pytest.fixture
def stand_in(tmp_path: Path) -> dict[str, str | None]:
    """The environment in which `-m relay_supervisor` is the stand-in."""
    package = tmp_path / "relay_supervisor"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(STAND_IN)
    return {"PYTHONPATH": str(tmp_path)}


def test_a_clean_relay_passes_and_its_home_is_removed(stand_in: dict[str, str | None]) -> None:
    with Relay({"flags": ["--name", "x"]}, env=stand_in) as relay:
        assert relay.client.initialize()["serverInfo"]["name"] == "x"
        home = relay.home
        seen = relay.client.call_tool("env", {"names": ["RELAY_STATE_DIR", "RELAY_RUNTIME_DIR"]})
        assert seen["structuredContent"] == {
            "env": {"RELAY_STATE_DIR": str(home.state), "RELAY_RUNTIME_DIR": str(home.runtime)},
            "cwd": str(home.project),
        }
    assert not home.root.exists()


def test_it_may_be_stopped_and_started_again_in_one_home(stand_in: dict[str, str | None]) -> None:
    home = RelayHome.make()
    try:
        relay = Relay(None, home=home, env=stand_in)
        first = relay.start().pid
        assert relay.stop() == 0
        with relay:
            assert relay.client.initialize()
            assert relay.pid != first
        assert home.root.exists()
    finally:
        home.remove()


def test_a_file_left_in_the_runtime_directory_is_found(stand_in: dict[str, str | None]) -> None:
    relay = Relay({"runtime_file": True}, env=stand_in)
    relay.start().initialize()
    with pytest.raises(AssertionError, match=r"runtime directory: .*socket"):
        relay.__exit__(None, None, None)


@pytest.mark.parametrize("how", ["stop", "interrupt"])
def test_a_process_left_behind_is_found_and_killed(
    stand_in: dict[str, str | None], tmp_path: Path, how: str
) -> None:
    pid_file = tmp_path / "pid"
    flags = ["--spawn-grandchild", str(pid_file), "--grandchild-session"]
    relay = Relay({"flags": flags}, env=stand_in)
    relay.start().initialize()
    pid = int(pid_file.read_text())
    with pytest.raises(AssertionError, match=f"left behind by the relay:\n{pid} "):
        getattr(relay, how)(seconds=0.5)
    wait_until(lambda: not alive(pid), 5.0)
    relay.home.remove()


def test_a_relay_that_does_not_end_is_found_and_killed(stand_in: dict[str, str | None]) -> None:
    relay = Relay({"flags": ["--ignore-stdin-eof"]}, env=stand_in)
    relay.start().initialize()
    with pytest.raises(TimeoutError, match="still runs"):
        relay.stop(seconds=0.3)
    assert not alive(relay.pid)
    relay.home.remove()


def test_a_relay_that_died_by_itself_is_looked_at_too(stand_in: dict[str, str | None]) -> None:
    relay = Relay({"runtime_file": True}, env=stand_in)
    relay.start().initialize()
    relay.client.start_tool("die")
    relay.client.wait_exit()
    with pytest.raises(AssertionError, match="runtime directory"):
        relay.__exit__(None, None, None)


def test_a_broken_rule_is_found(stand_in: dict[str, str | None]) -> None:
    relay = Relay({}, env=stand_in)
    relay.start().initialize()
    relay.client.call_tool("stray", {"kind": "unknown_answer"})
    with pytest.raises(AssertionError, match="broke the protocol"):
        relay.__exit__(None, None, None)


def test_stderr_and_logs_are_attached_to_a_failure(stand_in: dict[str, str | None]) -> None:
    def fail() -> None:
        with Relay({"log": "a line of the log"}, env=stand_in) as relay:
            relay.client.initialize()
            raise ValueError("the test failed")

    with pytest.raises(ValueError, match="the test failed") as failure:
        fail()
    notes = "\n".join(failure.value.__notes__)
    assert "stand-in started" in notes
    assert "a line of the log" in notes
