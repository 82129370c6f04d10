"""Starts MCP servers behind HTTP as processes: the SDK's, in any of its kinds, and one from npm."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.external import npm_command

SDK_SERVER = Path(__file__).parents[1] / "fixtures" / "http" / "sdk_server.py"


@contextmanager
def sdk_server(kind: str) -> Iterator[str]:
    """Run `sdk_server.py` and give its URL; *kind* is http, stateless, json or sse."""
    argv = [sys.executable, str(SDK_SERVER), kind]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:
        assert one.stdin is not None
        assert one.stdout is not None
        try:
            yield one.stdout.readline().strip()
        finally:
            one.kill()


@contextmanager
def everything_server(kind: str, port: int) -> Iterator[str]:
    """Run @modelcontextprotocol/server-everything and give its URL; *kind* is http or sse."""
    word = {"http": "streamableHttp", "sse": "sse"}[kind]
    argv = [*npm_command("servers", "mcp-server-everything"), word]
    environment = {**os.environ, "PORT": str(port)}
    with subprocess.Popen(
        argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as one:
        assert one.stderr is not None
        try:
            while f"port {port}" not in (line := one.stderr.readline()):
                assert line, "it ended"
            yield f"http://127.0.0.1:{port}/{'mcp' if kind == 'http' else 'sse'}"
        finally:
            one.kill()


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
