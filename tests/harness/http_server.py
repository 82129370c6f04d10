"""Starts an MCP server behind HTTP as a process: the SDK's, in any of its kinds."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
