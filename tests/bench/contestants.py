"""Who is measured: how each contestant is started in front of echo backends."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tests.bench import forwarder

REPOSITORY = Path(__file__).resolve().parents[2]
TOOL_COUNT = 97

Command = Callable[[Path, list[str]], list[str]]
"""Gives the command to start, from a folder for files of its own and the backend's command."""


class Unavailable(Exception):
    """A contestant cannot take part here; the message says why."""


def module(name: str) -> list[str]:
    """The command that runs a module of this package."""
    return [sys.executable, "-m", f"tests.bench.{name}"]


BACKEND = module("echo_backend")


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

    `prepare` makes whatever the command needs, once, and returns a version worth telling; it raises
    `Unavailable`. `share` is the part of the calls that it gets: slow contestants need fewer for a
    stable figure. A failure of one that is `ours` fails the run.
    """

    name: str
    about: str
    tool: str
    command: Command
    tools: int = TOOL_COUNT
    """Of each backend."""
    backends: int = 1
    share: float = 1.0
    ours: bool = True
    whole: bool = True
    """Starts, large results and memory are measured, too; else only small calls."""
    prepare: Callable[[], str] = field(default=lambda: "")

    @property
    def scaled(self) -> bool:
        """Whether it has other backends than all the others, and is only compared with Relay."""
        return self.backends * self.tools != TOOL_COUNT

    def backend(self, delay_seconds: float = 0.0) -> list[str]:
        """The command of an echo backend that takes so long to start."""
        return [*BACKEND, str(self.tools), str(delay_seconds)]


def relay(backends: int = 1, code: Path = REPOSITORY) -> Command:
    """Relay with so many echo backends; with one, its name is `echo`."""

    def command(folder: Path, backend: list[str]) -> list[str]:
        names = ["echo"] + [f"echo{number:02d}" for number in range(2, backends + 1)]
        # The code under test may be another tree's; the backend is always ours.
        entry = {
            "command": backend[0],
            "args": backend[1:],
            "env": {"PYTHONPATH": str(REPOSITORY)},
        }
        file = folder / "relay.yaml"
        # JSON is YAML, and spares the bench a dependency.
        file.write_bytes(msgspec.json.encode({"backends": dict.fromkeys(names, entry)}))
        file.chmod(0o600)
        start = [sys.executable, "-m", "relay_supervisor", "--config", str(file)]
        return start if code == REPOSITORY else ["env", f"PYTHONPATH={code}", *start]

    return command


def other_tree(name: str, code: Path) -> Contestant:
    """Relay as it is in another checkout, to see what a change brings."""
    return Contestant(name, f"Relay as in {name}", "echo__echo", relay(code=code.resolve()))


def _scaled(backends: int, tools: int) -> Contestant:
    return Contestant(
        f"relay-{backends}x{tools}",
        f"Relay, {backends} backend{'s' * (backends > 1)}, {backends * tools:,} tools",
        "echo__echo",
        relay(backends),
        tools=tools,
        backends=backends,
        whole=False,
    )


def _compiled() -> str:
    if (reason := forwarder.build()) is not None:
        raise Unavailable(reason)
    return ""


FLOOR = (
    Contestant("direct", "nothing between client and backend", "echo", lambda _, backend: backend),
    Contestant(
        "c-forwarder",
        "two hops that pass bytes on, in C",
        "echo",
        lambda _, backend: [*forwarder.HOP, *forwarder.HOP, *backend],
        prepare=_compiled,
    ),
    Contestant(
        "one-hop",
        "one Python process on select.poll: decodes the envelope, replaces id and token, encodes",
        "echo",
        lambda _, backend: [*module("hop_poll"), *backend],
    ),
    Contestant(
        "floor",
        "a chain of two of them, as supervisor and worker are: what ratios refer to",
        "echo",
        lambda _, backend: [*module("hop_poll"), *module("hop_poll"), *backend],
    ),
)
RELAY = Contestant("relay", "Relay, one backend", "echo__echo", relay())
SCALED = (_scaled(1, 100), _scaled(10, 100), _scaled(50, 100), _scaled(1, 1000), _scaled(1, 5000))
SDK = Contestant(
    "sdk",
    "fifty lines around the official SDK's low-level server and client",
    "echo__echo",
    lambda _, backend: [*module("sdk_relay"), "echo", *backend],
    share=0.1,
)
