"""The configuration this worker was given, ready for use: expanded, its problems as sentences.

A generation is made of code and of a snapshot of the file, so that it is the same whenever it is
started. Either the supervisor hands the snapshot over, and of the file itself only owner and mode
are looked at; or the worker takes it, and hands it to the supervisor.
"""

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from relay_supervisor.wire import v1
from relay_worker.config.expand import ExpandedSpec, expand
from relay_worker.config.load import Loaded, embedded, load, load_bytes
from relay_worker.config.locate import distrust
from relay_worker.config.model import RUNNABLE_KINDS, Config
from relay_worker.config.problems import Problem, Severity
from relay_worker.fingerprints import fingerprints

DIGEST_CHARS: Final = 16
DEFAULT_DIGEST: Final = "default"
"""What stands for the embedded default in place of a digest."""


class Settings(msgspec.Struct, frozen=True):
    """What is valid of a configuration. `expanded` has every enabled backend; `unusable` names
    those that had to be left out, and why. `fingerprints` has both, and tells what the
    configuration says of a backend from what another one says.

    `snapshot`: the file's bytes, where this worker was the one to read them; empty bytes stand for
    the embedded default. `digest` names the snapshot, and is empty where nothing could be read.
    `broken`: why nothing at all of the file could be used.
    """

    config: Config
    expanded: Mapping[str, ExpandedSpec]
    unusable: Mapping[str, str]
    fingerprints: Mapping[str, str]
    problems: list[str]
    secrets: frozenset[str]
    is_default: bool
    snapshot: bytes | None
    digest: str
    broken: str | None


def read(message: v1.Configure, snapshot: bytes) -> Settings:
    """Return the configuration that `Configure` stands for; never raises for what is in it."""
    loaded = _load(message, snapshot)
    problems = [str(problem) for problem in loaded.problems]
    unusable = {
        problem.backend: str(problem)
        for problem in loaded.problems
        if problem.backend and problem.backend not in loaded.config.backends
    }
    backends = {}
    for name, spec in loaded.config.backends.items():
        if spec.kind in RUNNABLE_KINDS or not spec.enabled:
            backends[name] = spec
        else:
            unusable[name] = f"backends of the kind {spec.kind} are not supported by this version"
    expanded = {
        name: expand(spec, os.environ, loaded.directory)
        for name, spec in backends.items()
        if spec.enabled
    }
    unreadable = loaded.broken and not loaded.raw_bytes
    return Settings(
        config=msgspec.structs.replace(loaded.config, backends=backends),
        expanded=expanded,
        unusable=unusable,
        fingerprints=fingerprints(loaded.config, expanded, unusable),
        problems=problems,
        secrets=frozenset().union(*(spec.secrets for spec in expanded.values())),
        is_default=loaded.path is None,
        snapshot=None if message.has_snapshot or unreadable else loaded.raw_bytes,
        digest="" if unreadable else _digest(loaded),
        broken="; ".join(problems) if loaded.broken else None,
    )


def _load(message: v1.Configure, snapshot: bytes) -> Loaded:
    if message.config_path is None:
        return embedded()
    path = Path(message.config_path)
    says_nothing = not snapshot if message.has_snapshot else _is_empty(path)
    if message.default_if_missing and says_nothing:
        return embedded()
    if not message.has_snapshot:
        return load(path, os.environ)
    try:
        fault = distrust(path.stat(), os.geteuid())
    except OSError:
        fault = None  # it was there when the snapshot was taken
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


def _is_empty(path: Path) -> bool:
    """Return whether there is no file, or an empty one: that says as little, and so the snapshot
    of both can be the same. Whatever else may be wrong is said by whoever reads it.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return not path.is_symlink()
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(status.st_mode) and not status.st_size


def _digest(loaded: Loaded) -> str:
    if loaded.path is None:
        return DEFAULT_DIGEST
    return hashlib.sha256(loaded.raw_bytes).hexdigest()[:DIGEST_CHARS]
