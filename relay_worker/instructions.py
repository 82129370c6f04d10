"""The `instructions` text for the model: what this server is and how its tools are named.

Derived from the configuration only, never from health: a text that changed with a backend's mood
would cost the client its prompt cache. `relay__status` tells about health.
"""

from typing import Final

from relay_worker.config.model import Config
from relay_worker.names import safe

INSTRUCTIONS_CHARS_MAX: Final = 2000
"""Claude Code cuts the text at 2,048 characters."""

_NAMES_CHARS_MAX: Final = 1000

_HOW_TO_ADD = """\
It runs on its built-in configuration, as no configuration file was found. To add a backend, write \
~/.config/relay/relay.yaml (or name another file in RELAY_CONFIG) and start the session again:
backends:
  files: {command: npx, args: [-y, "@modelcontextprotocol/server-filesystem", "/a/folder"]}
A file with "mcpServers", as Claude uses it, is accepted as it is."""


def instructions(config: Config, *, embedded_default: bool = False) -> str:
    """Return the text, of at most `INSTRUCTIONS_CHARS_MAX` characters. *embedded_default*: there
    was no configuration file.
    """
    settings = config.relay
    backends = [name for name, backend in config.backends.items() if backend.enabled]
    parts = ["This server is a relay in front of other MCP servers, its backends."]
    if backends:
        parts.append(f"Backends: {_listed(backends)}.")
        if settings.prefix:
            example = f"{safe(backends[0])}{settings.separator}"
            parts.append(
                f"The tools and prompts of a backend begin with its name: those of {backends[0]} "
                f"with `{example}`."
            )
    if settings.builtin_tools:
        parts.append(
            f"If a tool fails or is missing, `relay{settings.separator}status` says how the "
            "backends are."
        )
    text = " ".join(parts)
    return f"{text}\n{_HOW_TO_ADD}" if embedded_default else text


def _listed(backends: list[str]) -> str:
    """Return the names that there is room for, and how many more there are."""
    shown: list[str] = []
    room = _NAMES_CHARS_MAX
    for name in backends:
        room -= len(name) + len(", ")
        if room < 0:
            return f"{', '.join(shown)} and {len(backends) - len(shown)} more"
        shown.append(name)
    return ", ".join(shown)
