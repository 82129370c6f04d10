"""Compiles the hop in C, where there is a compiler; it is kept until its source changes."""

import shutil
import subprocess
from pathlib import Path

from tests.bench import cache

SOURCE = Path(__file__).with_suffix(".c")
PROGRAM = cache.FOLDER / "forwarder"
HOP = [str(PROGRAM)]
COMPILE_SECONDS_MAX = 60.0


def build() -> str | None:
    """Make the program; return why it cannot be made."""
    if PROGRAM.exists() and PROGRAM.stat().st_mtime > SOURCE.stat().st_mtime:
        return None
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        return "no C compiler on PATH (cc, gcc, clang)"
    cache.FOLDER.mkdir(exist_ok=True)
    done = subprocess.run(
        [compiler, "-O2", "-o", str(PROGRAM), str(SOURCE)],
        capture_output=True,
        text=True,
        timeout=COMPILE_SECONDS_MAX,
        check=False,
    )
    return None if done.returncode == 0 else f"{compiler} failed: {done.stderr[-300:].strip()}"
