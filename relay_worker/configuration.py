"""The configuration this worker was given, ready for use: expanded, its problems as sentences.

It reads what the supervisor read, so that a generation is the same whenever it is started; of
the file itself only owner and mode are looked at.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from relay_supervisor.wire import v1
from relay_worker.config.expand import ExpandedSpec, expand
from relay_worker.config.load import Loaded, embedded, load, load_bytes
from relay_worker.config.locate import distrust
from relay_worker.config.model import Config
from relay_worker.config.problems import Problem, Severity

KINDS: Final = frozenset({"stdio"})
"""Kinds of backends that this release can run."""


class Settings(msgspec.Struct, frozen=True):
    """What is valid of a configuration. `expanded` has every enabled backend; `unusable` names
    those that had to be left out, and why. `broken`: nothing of it could be read.
    """

    config: Config
    expanded: Mapping[str, ExpandedSpec]
    unusable: Mapping[str, str]
    problems: list[str]
    secrets: frozenset[str]
    is_default: bool
    broken: bool


def read(message: v1.Configure, snapshot: bytes) -> Settings:
    """Return the configuration that `Configure` stands for; never raises for what is in it."""
    loaded = _load(message, snapshot)
    unusable = {
        problem.backend: str(problem)
        for problem in loaded.problems
        if problem.backend and problem.backend not in loaded.config.backends
    }
    backends = {}
    for name, spec in loaded.config.backends.items():
        if spec.kind in KINDS or not spec.enabled:
            backends[name] = spec
        else:
            unusable[name] = f"backends of the kind {spec.kind} are not supported by this version"
    expanded = {
        name: expand(spec, os.environ, loaded.directory)
        for name, spec in backends.items()
        if spec.enabled
    }
    return Settings(
        config=msgspec.structs.replace(loaded.config, backends=backends),
        expanded=expanded,
        unusable=unusable,
        problems=[str(problem) for problem in loaded.problems],
        secrets=frozenset().union(*(spec.secrets for spec in expanded.values())),
        is_default=message.config_path is None,
        broken=loaded.broken,
    )


def _load(message: v1.Configure, snapshot: bytes) -> Loaded:
    if message.config_path is None:
        return embedded()
    path = Path(message.config_path)
    if not message.has_snapshot:
        return load(path, os.environ)  # says why the supervisor could not read it either
    try:
        fault = distrust(path.stat(), os.geteuid())
    except OSError:
        fault = None  # it was there when the supervisor read it
    if fault is None:
        return load_bytes(snapshot, path, os.environ)
    found, advice = fault
    problem = Problem(
        severity=Severity.ERROR,
        file=str(path),
        found=found,
        advice=advice.replace("FILE", str(path)),
    )
    return Loaded(Config(), (problem,), snapshot, path, broken=True)
