"""Starts the SDK's server that speaks the modern era only, as a backend of relay.yaml."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MODERN_SERVER = Path(__file__).parents[1] / "fixtures" / "modern" / "server.py"


@contextmanager
def modern_backend(kind: str, log: Path) -> Iterator[dict[str, Any]]:
    """Give the backend; *kind* is stdio or http, *log* gets a line for each leg of its calls."""
    argv = [sys.executable, str(MODERN_SERVER), kind, str(log)]
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


def legs(log: Path) -> list[Any]:
    """The states that calls have come with, in order."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [json.loads(line)["state"] for line in lines]
