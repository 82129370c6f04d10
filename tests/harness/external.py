"""The commands of servers and clients that are not ours: from npm, from PyPI.

A missing one skips the test with the reason `make node` left. Nothing is looked for on PATH, so
that a test means the same on every machine.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
NODE = REPOSITORY / ".node"


def npm_command(folder: str, command: str) -> list[str]:
    """The argv of a command in .node/FOLDER (servers, claude_code), or a skip with the reason."""
    binary = NODE / folder / "node_modules" / ".bin" / command
    if binary.exists():
        return [str(binary)]
    missing = NODE / folder / "missing"
    reason = missing.read_text().strip() if missing.exists() else "run `make node` first"
    pytest.skip(f"{command}: {reason}")


def server_everything() -> list[str]:
    """@modelcontextprotocol/server-everything on stdio."""
    return [*npm_command("servers", "mcp-server-everything"), "stdio"]


def server_filesystem(*folders: Path) -> list[str]:
    """@modelcontextprotocol/server-filesystem for these folders."""
    return [*npm_command("servers", "mcp-server-filesystem"), *map(str, folders)]


def claude_code() -> list[str]:
    """The real Claude Code."""
    return npm_command("claude_code", "claude")


def server_time() -> list[str]:
    """mcp-server-time from PyPI, in this Python's environment."""
    if find_spec("mcp_server_time") is None:
        pytest.skip("mcp-server-time is not installed in this environment: use .venv (make setup)")
    return [sys.executable, "-m", "mcp_server_time"]
