"""What the environment and the command line say, and where files live. Reads no file.

The configuration itself is the worker's to read; the supervisor only has to find its bytes.
"""

import os
import stat
from collections.abc import Mapping
from typing import Final, Literal, TypeVar

import msgspec

from relay_supervisor.errors import ConfigurationError

SOCKET_PATH_BYTES_MAX: Final = 103
"""macOS allows 104 bytes with the final NUL, Linux 108."""

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]
_Word = TypeVar("_Word", bound=str)

_LEVELS: Final[tuple[LogLevel, ...]] = ("debug", "info", "warning", "error")
_FORMATS: Final[tuple[LogFormat, ...]] = ("text", "json")


class Settings(msgspec.Struct, frozen=True):
    """All the supervisor knows before it has a worker. Paths are absolute."""

    config_path: str
    config_explicit: bool
    project: str
    state_dir: str
    runtime_dir: str
    log_level: LogLevel
    log_format: LogFormat
    problems: tuple[str, ...] = ()
    """What was not understood, and what is done instead."""


def from_environment(
    environ: Mapping[str, str], cwd: str, uid: int, config: str | None = None
) -> Settings:
    """Return the settings; *config* is the path of the command line. A value that is not understood
    must not keep the client from its server: the default is used, and a problem noted.
    """
    problems: list[str] = []
    home = environ.get("HOME") or os.path.expanduser("~")
    explicit = config or environ.get("RELAY_CONFIG")
    config_home = _absolute(environ.get("XDG_CONFIG_HOME")) or os.path.join(home, ".config")
    state_home = _absolute(environ.get("XDG_STATE_HOME")) or os.path.join(home, ".local", "state")
    return Settings(
        config_path=os.path.join(cwd, os.path.expanduser(explicit))
        if explicit
        else os.path.join(config_home, "relay", "relay.yaml"),
        config_explicit=bool(explicit),
        project=environ.get("CLAUDE_PROJECT_DIR") or cwd,
        state_dir=os.path.join(cwd, environ.get("RELAY_STATE_DIR") or "")
        if environ.get("RELAY_STATE_DIR")
        else os.path.join(state_home, "relay"),
        runtime_dir=runtime_dir(environ, uid, cwd),
        log_level=_choice(environ, "RELAY_LOG_LEVEL", _LEVELS, "info", problems),
        log_format=_choice(environ, "RELAY_LOG_FORMAT", _FORMATS, "text", problems),
        problems=tuple(problems),
    )


def runtime_dir(environ: Mapping[str, str], uid: int, cwd: str) -> str:
    """Return where the control sockets are.

    It derives from the uid alone, so that the relay of a GUI's client and a shell's relayctl,
    with different environments, find each other; `RELAY_RUNTIME_DIR` sets it for both.
    """
    if explicit := environ.get("RELAY_RUNTIME_DIR"):
        return os.path.join(cwd, explicit)
    run_user = f"/run/user/{uid}"
    if os.path.isdir(run_user) and os.access(run_user, os.W_OK):
        return f"{run_user}/mcp-relay"
    return f"/tmp/mcp-relay-{uid}"  # noqa: S108 - owner and mode are checked by `secure_dir`


def secure_dir(path: str, uid: int) -> None:
    """Make sure *path* is a directory of ours that nobody else can enter; create it if missing.

    Raises:
        ConfigurationError: it is a link, belongs to somebody else or is open to others.
    """
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        status = os.lstat(path)
    except OSError as error:
        raise ConfigurationError(
            f"the runtime directory {path} cannot be made ({error.strerror}); "
            "set RELAY_RUNTIME_DIR to a directory of your own"
        ) from error
    advice = "remove it"
    if not stat.S_ISDIR(status.st_mode):
        fault = "is no directory"
    elif status.st_uid != uid:
        fault = f"belongs to uid {status.st_uid}, not to you ({uid})"
    elif status.st_mode & 0o077:
        fault = f"is open to others (mode {stat.S_IMODE(status.st_mode):04o})"
        advice = "chmod 0700 it, remove it"
    else:
        return
    raise ConfigurationError(
        f"the runtime directory {path} {fault}; "
        f"{advice} or set RELAY_RUNTIME_DIR to a directory of your own"
    )


def _absolute(path: str | None) -> str | None:
    # The XDG specification: a relative path is invalid and to be ignored.
    return path if path and os.path.isabs(path) else None


def _choice(
    environ: Mapping[str, str],
    name: str,
    allowed: tuple[_Word, ...],
    default: _Word,
    problems: list[str],
) -> _Word:
    value = environ.get(name, "").lower() or default
    for choice in allowed:
        if choice == value:
            return choice
    known = ", ".join(allowed)
    fault = f"{name}={environ[name]!r} is not understood; it can be {known}"
    problems.append(f"{fault}; {default} is used")
    return default
