"""How to start the fixture server of tests/fixtures/server, alone or behind the relay."""

import json
import sys
from pathlib import Path
from typing import Any

from tests.harness.rawclient import RawClient

FIXTURE_SERVER = Path(__file__).parents[1] / "fixtures" / "server"


def fixture_argv(*flags: str) -> list[str]:
    """The command line of a fixture server; its flags are in fixtures/server/options.py."""
    return [sys.executable, str(FIXTURE_SERVER), *flags]


def fixture_backend(*flags: str, **settings: Any) -> dict[str, Any]:
    """The same as a backend of relay.yaml; settings are further keys (env, start, enabled ...)."""
    command, *args = fixture_argv(*flags)
    return {"command": command, "args": args, **settings}


def start_fixture(*flags: str) -> RawClient:
    """A client of a fixture server of its own, after a handshake with all capabilities."""
    client = RawClient(fixture_argv(*flags))
    client.initialize(capabilities={"roots": {}, "sampling": {}, "elicitation": {}})
    return client


def side_effects(log: Path, event: str = "count") -> list[dict[str, Any]]:
    """What fixture servers wrote to --log FILE, in order; [] if nothing yet.

    Events: start {argv}, initialize {capabilities}, count {tool, tag, id, count},
    cancelled {id, tool, tag}, end {reason: eof | sigterm}; each with pid. Without an end: killed.
    """
    lines = log.read_bytes().splitlines() if log.exists() else []
    return [entry for entry in map(json.loads, lines) if entry["event"] == event]
