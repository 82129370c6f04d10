"""How to start the fixture server of tests/fixtures/server, alone or behind the relay."""

import sys
from pathlib import Path
from typing import Any

FIXTURE_SERVER = Path(__file__).parents[1] / "fixtures" / "server"


def fixture_argv(*flags: str) -> list[str]:
    """The command line of a fixture server; its flags are in fixtures/server/options.py."""
    return [sys.executable, str(FIXTURE_SERVER), *flags]


def fixture_backend(*flags: str, **settings: Any) -> dict[str, Any]:
    """The same as a backend of relay.yaml; settings are further keys (env, start, enabled ...)."""
    command, *args = fixture_argv(*flags)
    return {"command": command, "args": args, **settings}
