"""Servers that are not ours, from npm and PyPI, behind the relay and on their own."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.harness import (
    RawClient,
    fixture_backend,
    server_everything,
    server_filesystem,
    server_time,
)
from tests.integration.through import CAPABILITIES, configuration

TOOLS_MIN = 97
"""So many tools the issue wants behind one relay."""

QUESTIONS: dict[str, Any] = {
    "sampling/createMessage": {
        "role": "assistant",
        "content": {"type": "text", "text": "sampled"},
        "model": "m",
        "stopReason": "endTurn",
    },
    "elicitation/create": {"action": "accept", "content": {"name": "Ada", "check": True}},
}


def backend(argv: list[str], **settings: Any) -> dict[str, Any]:
    """A command line as a backend."""
    return {"command": argv[0], "args": argv[1:], **settings}


def servers(folder: Path) -> dict[str, list[str]]:
    """The real servers' command lines; skips the test where one is missing."""
    return {
        "everything": server_everything(),
        "files": server_filesystem(folder),
        "time": server_time(),
    }


def all_at_once(folder: Path) -> dict[str, Any]:
    """The configuration with all of them."""
    real = {name: backend(argv) for name, argv in servers(folder).items()}
    return configuration({**real, "fixture": fixture_backend("--tools", "30")})


def answering(client: RawClient, folder: Path) -> RawClient:
    """The client after a handshake with everything, which answers what it is asked."""
    roots = {"roots": [{"uri": folder.as_uri(), "name": "folder"}]}
    for method, answer in (QUESTIONS | {"roots/list": roots}).items():
        client.on_request(method, lambda frame, answer=answer: answer)
    client.initialize(capabilities=CAPABILITIES, seconds=60)
    return client


TIMES = re.compile(r"\d{4}-\d{2}-\d{2}T[\d:.]+(Z|[+-]\d\d:\d\d)|\d{1,2}:\d\d:\d\d( [AP]M)?")


def without_times(result: Mapping[str, Any]) -> Any:
    """A result with every point in time taken out."""
    return json.loads(TIMES.sub("TIME", json.dumps(result)))


def outcome(client: RawClient, name: str, arguments: Mapping[str, Any]) -> Any:
    """Result or error of a call, comparable."""
    frame = client.response(client.start_tool(name, arguments, progress_token=f"p-{name}"))
    return frame.error or without_times(frame.result)
