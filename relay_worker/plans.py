"""From the configuration to how each backend is run: environment, folder, what is wrong with it."""

import hashlib
import os
from collections.abc import Mapping
from typing import Final

import msgspec

from relay_worker.backends.surroundings import Plan, Policy
from relay_worker.config.model import BackendSpec, Config, RelaySettings
from relay_worker.life import MARKER

HASH_DIGITS: Final = 16


def plan_of(
    name: str, spec: BackendSpec, *, project: str, instance: str, problem: str | None
) -> Plan:
    """Return how the stdio backend *name* is run; *spec* has its variables expanded.

    A backend inherits the environment of the client, and carries the mark by which it is found
    again when all else is gone.
    """
    base = project or os.getcwd()
    return Plan(
        name=name,
        command=spec.command or "",
        args=spec.args,
        env={**os.environ, **spec.env, MARKER: instance},
        cwd=os.path.join(base, os.path.expanduser(spec.cwd or ".")),
        enabled=spec.enabled,
        lazy=spec.start == "lazy",
        start_timeout_seconds=spec.start_timeout_seconds,
        idle_stop_seconds=spec.idle_stop_seconds,
        problem=problem,
    )


def policy_of(settings: RelaySettings) -> Policy:
    """Return the settings that concern every stdio backend."""
    return Policy(
        frame_bytes_max=settings.frame_bytes_max,
        list_pages_max=settings.list_pages_max,
        restart_delay_seconds=settings.restart_delay_seconds,
        restart_delay_max_seconds=settings.restart_delay_max_seconds,
        restart_reset_seconds=settings.restart_reset_seconds,
        restart_attempts_max=settings.restart_attempts_max,
    )


def spec_hash(spec: BackendSpec) -> str:
    """Return a hash of what decides a backend's lists: *spec* as written, so no secret is in it."""
    decisive = (
        spec.command,
        spec.args,
        sorted(spec.env.items()),
        spec.cwd,
        spec.url,
        spec.type,
        sorted(spec.headers.items()),
        msgspec.to_builtins(spec.llm),
    )
    return hashlib.sha256(msgspec.msgpack.encode(decisive)).hexdigest()[:HASH_DIGITS]


def hashes_of(config: Config) -> Mapping[str, str]:
    """Return the hash of each backend's specification."""
    return {name: spec_hash(spec) for name, spec in config.backends.items()}
