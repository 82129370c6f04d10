"""The command line of `mcp-relay`: one option, so no library is loaded for it."""

from collections.abc import Sequence
from typing import Final

import msgspec

from relay_supervisor.errors import ConfigurationError

HELP: Final = """\
usage: mcp-relay [--config FILE] [--version] [--help]

An MCP server on stdin and stdout, in front of the MCP servers of its configuration. It is
started by an MCP client, for example Claude Code:

    claude mcp add relay -- mcp-relay

  --config FILE  the configuration (default: $RELAY_CONFIG, else relay/relay.yaml in
                 $XDG_CONFIG_HOME or ~/.config; with no file a demonstration is served)
  --version      print the version and exit
  --help         print this and exit

Environment: RELAY_CONFIG, RELAY_STATE_DIR, RELAY_RUNTIME_DIR,
RELAY_LOG_LEVEL=debug|info|warning|error, RELAY_LOG_FORMAT=text|json.
`relayctl status` shows the health of every running relay.
"""


class Arguments(msgspec.Struct, frozen=True):
    """What the command line asks for."""

    config: str | None = None
    show_help: bool = False
    show_version: bool = False
    self_check: int | None = None
    """Descriptor of a state to look at. For `relayctl swap --supervisor`, and nobody else."""


def parse(argv: Sequence[str]) -> Arguments:
    """Read the command line.

    Raises:
        ConfigurationError: it is not understood.
    """
    config = None
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if word in ("--help", "-h"):
            return Arguments(show_help=True)
        if word == "--version":
            return Arguments(show_version=True)
        if word == "--self-check" and len(rest) == 1 and rest[0].isdecimal():
            return Arguments(self_check=int(rest[0]))
        if name != "--config":
            raise ConfigurationError(f"unknown argument {word!r}; see mcp-relay --help")
        if not equals and not rest:
            raise ConfigurationError("--config needs a file")
        config = value if equals else rest.pop(0)
        if not config:
            raise ConfigurationError("--config needs a file")
    return Arguments(config)
