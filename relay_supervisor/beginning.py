"""How the core begins: anew, or with what the process image before has left. Reads files, once."""

import os
import sys
import time
from collections.abc import Callable

import msgspec

from relay_supervisor import __version__, memory_file
from relay_supervisor import image as images
from relay_supervisor.adapters.self_check import Verdict
from relay_supervisor.adapters.start_files import read_config, read_current_release, read_snapshots
from relay_supervisor.core import memory
from relay_supervisor.core.generation import Source
from relay_supervisor.core.relay import Relay
from relay_supervisor.core.request_state import SECRET_BYTES_MAX
from relay_supervisor.core.workers import Identity
from relay_supervisor.errors import StateRefused
from relay_supervisor.image import Image
from relay_supervisor.settings import Settings
from relay_supervisor.wire import cache


def fresh(config: Settings) -> tuple[Relay, Image]:
    """Return the core of a relay that has yet to meet its client, and what there is beside it."""
    snapshot = read_config(config.config_path)
    identity = Identity(
        instance=os.urandom(4).hex(),
        build=__version__,
        pid=os.getpid(),
        config_path=config.config_path,
        config_required=config.config_explicit,
        started_at=time.time(),
        project=config.project,
        state_dir=config.state_dir,
        log_level=config.log_level,
        log_format=config.log_format,
        python=sys.executable,
    )
    cached = read_snapshots(_cache_dir(config), _base(config, snapshot or b""))
    python, name, problem = _release(config.state_dir)
    source = Source(python, name, config=snapshot)
    seed = int.from_bytes(os.urandom(8), "big") | 1
    known = memory.begin(identity, cached, seed, source, os.urandom(SECRET_BYTES_MAX))
    relay = Relay(known, _cache_path(config))
    settings = msgspec.structs.replace(config, problems=(*config.problems, *problem))
    return relay, Image(settings, sys.executable)


def resumed(image: Image) -> Relay:
    """Return the core that goes on from *image*.

    Raises:
        StateRefused: it cannot be read.
    """
    return Relay.resume(image.core, __version__, sys.executable, _cache_path(image.settings))


def self_check(fd: int) -> bytes:
    """Try to go on from the copy of a state, and return the line to say of it."""
    refusal = ""
    try:
        resumed(images.load(memory_file.read(fd)))
    except (StateRefused, OSError) as error:
        refusal = f"version {__version__} cannot read the state: {error}"
    return msgspec.json.encode(Verdict(1, __version__, refusal)) + b"\n"


def _cache_dir(config: Settings) -> str:
    return os.path.join(config.state_dir, "cache")


def _base(config: Settings, configuration: bytes) -> str:
    return cache.key(configuration, config.project.encode(errors="surrogateescape"))


def _cache_path(config: Settings) -> Callable[[bytes, str], str]:
    def path(configuration: bytes, variant: str) -> str:
        return os.path.join(_cache_dir(config), f"{_base(config, configuration)}.{variant}.cache")

    return path


def _release(state_dir: str) -> tuple[str, str, list[str]]:
    """Return interpreter and name of the release a new relay starts with, and what is wrong with
    it: the one that all relays have committed, else the environment this process itself runs in,
    which has no name.
    """
    python, name = read_current_release(os.path.join(state_dir, "releases"))
    if python:
        return python, name, []
    text = (
        f"the current release {name!r} is not there (see `relayctl releases`); the worker that is "
        "installed with this relay is started"
    )
    return sys.executable, "", [text] if name else []
