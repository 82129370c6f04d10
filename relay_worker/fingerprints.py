"""Fingerprints of backends: what the configuration says of each, as a short hash.

The supervisor compares those of two generations: where they differ, the operator wanted something
else of the backend, and tools that are gone are no accident. Pure.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

import msgspec

from relay_worker.catalogue import BUILTIN_BACKEND
from relay_worker.config.expand import ExpandedSpec, spec_hash
from relay_worker.config.model import Config

CHARS: Final = 16


def fingerprints(
    config: Config, expanded: Mapping[str, ExpandedSpec], unusable: Mapping[str, str]
) -> dict[str, str]:
    """Return the fingerprint of each backend, the relay's own and the *unusable* ones included.

    It covers the entry as written, what it expands to, and the settings that shape the names of
    its tools.
    """
    relay = config.relay
    naming = (relay.separator, relay.prefix, relay.tool_name_chars_max)
    found = {BUILTIN_BACKEND: _hash(naming, relay.builtin_tools)}
    for name, spec in config.backends.items():
        meant = spec_hash(expanded[name]) if name in expanded else None
        found[name] = _hash(naming, msgspec.to_builtins(spec), meant)
    for name, reason in unusable.items():
        found.setdefault(name, _hash(naming, "unusable", reason))
    return found


def _hash(*parts: object) -> str:
    # json, as msgspec refuses what an environment may hold: half surrogates for odd bytes.
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:CHARS]
