"""Releases made in a moment: a real environment around a copy of the code, without pip.

What the code needs is taken from the environment of the tests.
"""

import json
import shutil
import site
import subprocess
import sys
from pathlib import Path

from tests.harness.home import RelayHome

REPOSITORY = Path(__file__).parents[2]


def quick_release(
    home: RelayHome,
    name: str,
    *,
    version: str = "9.9.9",
    main: str = "",
    sources: Path = REPOSITORY,
) -> Path:
    """Make the release *name*, whose worker says it is *version*, with *main* at the beginning of
    its main module; return the directory. An empty *version* leaves the sources what they say.
    """
    path = home.state / "releases" / name
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(path)], check=True)
    (packages,) = path.glob("lib/python*/site-packages")
    for package in ("relay_worker", "relay_supervisor"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(sources / package, packages / package, ignore=ignored)
    (packages / "needs.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    if version:
        init = packages / "relay_worker" / "__init__.py"
        init.write_text(f'{init.read_text()}\n__version__ = "{version}"\n')
    module = packages / "relay_worker" / "main.py"
    module.write_text(main + module.read_text())
    created = "2026-11-23T10:00:00+00:00"
    record = {"name": name, "version": version, "created": created}
    (path / "release.json").write_text(json.dumps(record))
    return path
