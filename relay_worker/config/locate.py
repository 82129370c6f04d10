"""Where the configuration is, and whether its file may be trusted.

A configuration names commands to run, so whoever can write it can run commands as this user.
The project directory is not looked into: a model could have written the file there.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

Origin = Literal["option", "RELAY_CONFIG", "default"]


class Location(msgspec.Struct, frozen=True):
    """An absolute path and who named it: `--config`, the environment, or nobody."""

    path: Path
    origin: Origin

    @property
    def explicit(self) -> bool:
        """Whether somebody named the file, so that it has to exist."""
        return self.origin != "default"


def locate(option: str | None, environ: Mapping[str, str]) -> Location:
    """Return where the configuration is: *option*, else `RELAY_CONFIG`, else
    `$XDG_CONFIG_HOME/relay/relay.yaml`, which is below `~/.config` by default, on macOS too.
    """
    if option:
        return Location(_absolute(option, environ), "option")
    if named := environ.get("RELAY_CONFIG"):
        return Location(_absolute(named, environ), "RELAY_CONFIG")
    base = environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):  # to be ignored then, says the XDG specification
        base = os.path.join(_home(environ), ".config")
    return Location(Path(base, "relay", "relay.yaml"), "default")


def distrust(status: os.stat_result, uid: int) -> tuple[str, str] | None:
    """Return what makes a file with this *status* untrustworthy for the user *uid*, and what to do
    about it; None for a file to be trusted. `FILE` stands for its path in the second text.
    """
    if status.st_uid not in {uid, 0}:
        return (
            f"a file of another user (uid {status.st_uid})",
            "Copy it to a file of your own, or chown it.",
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        others = "everybody" if mode & stat.S_IWOTH else "its group"
        return f"a file that {others} may write (mode {mode:04o})", "Run: chmod go-w FILE"
    return None


def _absolute(path: str, environ: Mapping[str, str]) -> Path:
    if path == "~" or path.startswith("~/"):
        path = _home(environ) + path[1:]
    return Path(os.path.abspath(path))


def _home(environ: Mapping[str, str]) -> str:
    return environ.get("HOME") or os.path.expanduser("~")
