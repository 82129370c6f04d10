"""Two bad releases for the demonstration, made in a moment from the code at hand.

A real release is made by `relayctl release add`, with an environment of its own; these only look
like one from outside: a directory with `bin/python` and `release.json`.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Final

import relay_supervisor
import relay_worker

BROKEN_IMPORT: Final = 'raise ImportError("this release was packed without one of its modules")\n'

CRASH: Final = """
import os as _os
from relay_worker.router import Router as _Router
_calls = []
_call = _Router.call
def _crash(self, message, params):
    _calls.append(message)
    if len(_calls) > 2:
        _os.kill(_os.getpid(), 11)
    _call(self, message, params)
_Router.call = _crash
"""


def make(state_dir: Path, name: str, injected: str) -> None:
    """Make the release *name*: the worker's code with *injected* at the end of its first module."""
    release = state_dir / "releases" / name
    overlay = release / "overlay"
    overlay.mkdir(parents=True)
    for package in (relay_worker, relay_supervisor):
        source = Path(package.__path__[0])
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, overlay / source.name, ignore=ignored)
    first = overlay / "relay_worker" / "__init__.py"
    first.write_text(first.read_text() + injected)
    python = release / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{overlay}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (release / "release.json").write_text(json.dumps({"name": name, "version": "bad"}))
