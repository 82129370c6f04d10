"""relayctl as a whole: what it offers, what it imports, how it starts."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from relay_supervisor import __version__
from relay_supervisor.ctl.main import relayctl

COMMANDS = {
    *("status", "config", "logs", "backend"),
    *("swap", "rollback", "history", "report", "releases", "release"),
}


def start(*args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run it as a process."""
    return subprocess.run(
        [sys.executable, *args], capture_output=True, text=True, timeout=60, check=False, env=env
    )


def test_only_what_exists_is_offered() -> None:
    assert set(relayctl.commands) == COMMANDS


@pytest.mark.parametrize(
    "args", [("--help",), ("-h",), *((name, "--help") for name in sorted(COMMANDS))]
)
def test_every_command_explains_itself(args: tuple[str, ...]) -> None:
    result = CliRunner().invoke(relayctl, args)
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ") and "-h, --help" in result.stdout


def test_the_help_names_every_command_and_the_first_steps() -> None:
    text = CliRunner().invoke(relayctl, ["--help"]).stdout
    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert "First steps:" in text


def test_the_version() -> None:
    result = CliRunner().invoke(relayctl, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"relayctl, version {__version__}\n")


def test_without_a_command_it_shows_the_help_and_counts_as_a_wrong_command_line() -> None:
    result = CliRunner().invoke(relayctl, [])
    assert result.exit_code == 2 and "First steps:" in result.output


def test_what_is_slow_to_import_is_not_imported_for_every_command() -> None:
    slow = "rich", "psutil", "mcp", "asyncio", "portalocker"
    code = "import sys, relay_supervisor.ctl.main; print(*sys.modules)"
    assert not set(slow) & set(start("-c", code).stdout.split())


def test_a_terminal_that_knows_only_ascii_is_no_reason_to_fail() -> None:
    env = {"PYTHONIOENCODING": "ascii", "RELAY_RUNTIME_DIR": "/missing/rélay-\u2014-missing"}
    env["PYTHONPATH"] = ":".join(path for path in sys.path if path)
    env["PYTHONUTF8"] = "1"  # file names
    result = start("-m", "relay_supervisor.ctl", "status", env=env)
    assert result.returncode == 3 and "?" in result.stdout, result.stderr
