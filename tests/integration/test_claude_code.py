"""The real Claude Code adds the relay and finds it healthy; no account is needed for that.

Skipped, with the reason, where it is not installed.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness import (
    EXIT_SECONDS_MAX,
    MARK_VARIABLE,
    RelayHome,
    claude_code,
    describe,
    fixture_backend,
    kill_marked,
    new_mark,
    side_effects,
    wait_gone,
)
from tests.integration.through import configuration

COMMAND_SECONDS_MAX = 90.0
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "TERM": "dumb",
}


@dataclass(frozen=True, slots=True)
class Claude:
    """Claude Code with a home directory of its own, and the relay's directories."""

    argv: list[str]
    home: RelayHome
    mark: str

    def run(self, *args: str, **env: str) -> str:
        """Run a command of it; what it printed."""
        kept = {
            name: value
            for name, value in self.home.environment().items()
            if not name.startswith(("ANTHROPIC", "CLAUDE", "MCP_"))
        }
        own = {"HOME": str(self.home.root), "CLAUDE_CONFIG_DIR": str(self.home.root / "claude")}
        done = subprocess.run(
            [*self.argv, *args],
            env={**kept, **QUIET, **own, MARK_VARIABLE: self.mark, **env},
            cwd=self.home.project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )
        assert done.returncode == 0, f"{args}: {done.stdout}\n{done.stderr}\n{self.home.logs()}"
        return done.stdout

    def assert_nothing_left(self) -> None:
        """No process of it lives, and no socket is there."""
        left = wait_gone(self.mark, EXIT_SECONDS_MAX)
        assert not left, f"left behind:\n{describe(left)}"
        assert not self.home.runtime_leftovers()

    @property
    def effects(self) -> Path:
        """What the fixture server behind the relay has noted."""
        return self.home.project / "effects"


@pytest.fixture
def claude() -> Iterator[Claude]:
    """Claude Code, and a configuration with a fixture server for the relay."""
    argv, home, mark = claude_code(), RelayHome.make(), new_mark()
    home.write_config(configuration({"a": fixture_backend("--log", "effects")}))
    try:
        yield Claude(argv, home, mark)
    finally:
        kill_marked(mark)
        home.remove()


@pytest.mark.parametrize("negotiation", ["auto", "legacy"])
def test_add_and_list_show_the_relay_connected(claude: Claude, negotiation: str) -> None:
    """`claude mcp add` with one line, then `list` and `get`: connected, tools fetched, all gone."""
    relay = [sys.executable, "-m", "relay_supervisor", "--config", str(claude.home.config_path)]
    claude.run("mcp", "add", "--scope", "user", "relay", "--", *relay)
    for command in (("list",), ("get", "relay")):
        shown = claude.run("mcp", *command, MCP_PROTOCOL_NEGOTIATION=negotiation)
        (line,) = [one for one in shown.splitlines() if "Connected" in one]
        assert "✔" in line and "fail" not in shown.lower(), shown
        claude.assert_nothing_left()
    # The second relay may have been done, from its cache, before its backend was up.
    assert side_effects(claude.effects, "initialize"), "no backend was ever asked"
