"""Finds a backend's program before anything is started, so that what is wrong can be said well.

The supervisor would only learn "exec failed"; here the backend's own PATH and folder are known.
"""

import os
import stat
from collections.abc import Mapping

DEFAULT_PATH = os.defpath


class CommandError(Exception):
    """The program cannot be started as configured; the message says what to change."""


def resolve(command: str, env: Mapping[str, str], cwd: str) -> str:
    """Return the program to execute: *command* looked up on the PATH of *env*, as seen from *cwd*.

    Raises:
        CommandError: the folder or the program is missing or cannot be used.
    """
    if not os.path.isdir(cwd):
        raise CommandError(f"its working directory {cwd!r} does not exist (cwd)")
    if os.sep in command:
        found = os.path.join(cwd, command)
        if problem := _problem(found):
            raise CommandError(f"its command {command!r} {problem}")
        return found
    denied = None
    for folder in env.get("PATH", DEFAULT_PATH).split(os.pathsep):
        candidate = os.path.join(cwd, folder, command)
        if (problem := _problem(candidate)) is None:
            return candidate
        if problem != _MISSING and denied is None:
            denied = f"its command {command!r}, found as {candidate!r}, {problem}"
    raise CommandError(
        denied or f"its command {command!r} was not found on PATH; install it or give its full path"
    )


_MISSING = "does not exist"


def _problem(path: str) -> str | None:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return _MISSING
    if stat.S_ISDIR(mode):
        return "is a folder"
    return None if os.access(path, os.X_OK) else "is not executable"
