"""Starts the fixture with tasks of 2025-11-25, as a backend of relay.yaml."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TASKS_SERVER = Path(__file__).parents[1] / "fixtures" / "tasks" / "server.py"


@contextmanager
def tasks_backend(kind: str, name: str) -> Iterator[dict[str, Any]]:
    """Give the backend; *kind* is stdio or http, and its tasks' ids begin with *name*."""
    argv = [sys.executable, str(TASKS_SERVER), kind, name]
    if kind == "stdio":
        yield {"command": argv[0], "args": argv[1:]}
        return
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:
        assert one.stdin is not None
        assert one.stdout is not None
        try:
            yield {"url": one.stdout.readline().strip()}
        finally:
            one.kill()
