"""Who is measured: how each contestant is started in front of the echo backend."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

REPOSITORY = Path(__file__).resolve().parents[2]
TOOL_COUNT = 97
MANY_BACKENDS, MANY_TOOLS = 50, 100


def module(name: str) -> list[str]:
    """The command that runs a module of this package."""
    return [sys.executable, "-m", f"tests.bench.{name}"]


BACKEND_MODULE = "tests.bench.echo_backend"
BACKEND = [sys.executable, "-m", BACKEND_MODULE]


def environment(folder: Path) -> dict[str, str]:
    """Our environment, with the repository importable and Relay's directories in `folder`."""
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("RELAY_")},
        "PYTHONPATH": str(REPOSITORY),
        "RELAY_STATE_DIR": str(folder / "state"),
        "RELAY_RUNTIME_DIR": str(folder / "run"),
    }


@dataclass(frozen=True)
class Contestant:
    """Something that speaks MCP on stdio in front of echo backends.

    `command` gets a folder of its own to put files in. `share` is the part of the calls that it
    gets: slow contestants need fewer for a stable figure. `starts` says whether its start is worth
    measuring, too.
    """

    name: str
    about: str
    tool: str
    command: Callable[[Path], list[str]]
    tools: int = TOOL_COUNT
    share: float = 1.0
    starts: bool = True


def relay(backends: int = 1, tools: int = TOOL_COUNT) -> Callable[[Path], list[str]]:
    """Relay with so many echo backends; with one, its name is `echo`."""

    def command(folder: Path) -> list[str]:
        names = ["echo"] + [f"echo{number:02d}" for number in range(2, backends + 1)]
        entry = {"command": BACKEND[0], "args": [*BACKEND[1:], str(tools)]}
        file = folder / "relay.yaml"
        # JSON is YAML, and spares the bench a dependency.
        file.write_bytes(msgspec.json.encode({"backends": dict.fromkeys(names, entry)}))
        file.chmod(0o600)
        return [sys.executable, "-m", "relay_supervisor", "--config", str(file)]

    return command


DIRECT = Contestant("direct", "nothing between client and backend", "echo", lambda _: BACKEND)
ONE_HOP = Contestant(
    "one-hop",
    "one Python process on select.poll: decodes the envelope, replaces id and token, encodes",
    "echo",
    lambda _: [*module("hop_poll"), *BACKEND],
)
FLOOR = Contestant(
    "floor",
    "a chain of two of them, as supervisor and worker are: what ratios refer to",
    "echo",
    lambda _: [*module("hop_poll"), *module("hop_poll"), *BACKEND],
)
SDK = Contestant(
    "sdk",
    "fifty lines around the official SDK's low-level server and client",
    "echo__echo",
    lambda _: [*module("sdk_relay"), "echo", *BACKEND],
    share=0.1,
)
RELAY = Contestant("relay", "Relay, one backend", "echo__echo", relay())
RELAY_MANY = Contestant(
    "relay-50",
    f"Relay, {MANY_BACKENDS} backends with {MANY_BACKENDS * MANY_TOOLS:,} tools",
    "echo__echo",
    relay(MANY_BACKENDS, MANY_TOOLS),
    tools=MANY_BACKENDS * MANY_TOOLS,
    starts=False,
)
ALL = (DIRECT, ONE_HOP, FLOOR, SDK, RELAY, RELAY_MANY)
