"""The house, checked: who may import whom, how long a function may be, what no file may name.

Every check is also tried on bad samples: one that cannot fail says nothing. Folders that do not
exist are no violation; a package without any module would be.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.house import (
    FORBIDDEN_IN_SUPERVISOR,
    FUNCTION_LINES_MAX,
    MODULE_LINES_MAX,
    broken_arrows,
    late_imports,
    long_functions,
    long_module,
    named_machines,
    sleeps,
    undocumented,
)

Check = Callable[[str, str], list[str]]

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("relay_supervisor", "relay_worker")
LOCK_FILES = {"package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "uv.lock", "poetry.lock"}
TEXT_ROOTS = (*PACKAGES, "tests", "deploy", "docs", ".ci")
TEXT_SUFFIXES = {"", ".py", ".toml", ".json", ".yaml", ".yml", ".md", ".sh", ".txt", ".cfg"}


def sources(*folders: str) -> list[tuple[str, str]]:
    """(path within the repository, text) of all Python files there."""
    return [
        (path.relative_to(REPOSITORY).as_posix(), path.read_text(encoding="utf-8"))
        for folder in folders
        for path in sorted((REPOSITORY / folder).rglob("*.py"))
    ]


def texts() -> list[tuple[str, str]]:
    """(path, text) of every text file that belongs to the repository."""
    # In a worktree .git is a file, with a path of this machine.
    top = [path for path in REPOSITORY.iterdir() if path.is_file() and path.name != ".git"]
    below = [path for root in TEXT_ROOTS for path in sorted((REPOSITORY / root).rglob("*"))]
    return [
        (path.relative_to(REPOSITORY).as_posix(), path.read_text(encoding="utf-8"))
        for path in [*top, *below]
        if path.is_file() and path.suffix in TEXT_SUFFIXES and "__pycache__" not in path.parts
    ]


def assert_kept(check: Check, files: list[tuple[str, str]]) -> None:
    """Fail with everything a check finds in all of these files."""
    broken = [finding for path, text in files for finding in check(path, text)]
    if broken:
        pytest.fail("\n".join(broken), pytrace=False)


def test_there_is_a_house() -> None:
    for package in PACKAGES:
        assert sources(package), f"no module in {package}: every other test here would be empty"


def test_arrows() -> None:
    assert_kept(broken_arrows, sources(*PACKAGES))


def test_the_supervisor_imports_everything_at_start() -> None:
    supervisor = [s for s in sources("relay_supervisor") if "/ctl/" not in s[0]]
    assert_kept(late_imports, supervisor)


def test_functions_are_short() -> None:
    assert_kept(long_functions, sources(*PACKAGES, "tests", "deploy"))


def test_modules_are_short() -> None:
    assert_kept(long_module, sources(*PACKAGES, "tests", "deploy"))


def test_every_module_says_what_it_is_for() -> None:
    assert_kept(undocumented, sources(*PACKAGES, "tests", "deploy"))


def test_no_test_sleeps() -> None:
    # The bench measures time, so it may spend some.
    tests = [source for source in sources("tests") if not source[0].startswith("tests/bench/")]
    assert_kept(sleeps, tests)


def test_no_file_names_a_machine() -> None:
    assert_kept(named_machines, texts())
    assert not [path.name for path in REPOSITORY.iterdir() if path.name in LOCK_FILES]


def test_the_supervisor_loads_nothing_heavy() -> None:
    """What a module imports may import more: so load them all, and look."""
    modules = [
        path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for path, _ in sources("relay_supervisor")
        if "/ctl/" not in path and not path.endswith("__main__.py")
    ]
    program = f"""
import sys
before = set(sys.modules)
for name in {modules!r}:
    __import__(name)
print(*sorted({{name.partition(".")[0] for name in set(sys.modules) - before}}))
"""
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "msgspec" in loaded, "nothing was loaded at all"
    assert not FORBIDDEN_IN_SUPERVISOR & set(loaded)


# -- the checks, on samples


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("relay_supervisor/core/relay.py", "from relay_supervisor.adapters import loop"),
        ("relay_supervisor/core/relay.py", "import relay_supervisor.adapters.loop"),
        ("relay_supervisor/core/relay.py", "from relay_supervisor import settings"),
        ("relay_supervisor/core/relay.py", "import time"),
        ("relay_supervisor/core/relay.py", "from os import path"),
        ("relay_supervisor/wire/v1.py", "from relay_supervisor.core.events import Event"),
        ("relay_supervisor/adapters/a.py", "from relay_supervisor.adapters.b import c"),
        ("relay_supervisor/adapters/a.py", "from relay_supervisor.adapters import b"),
        ("relay_supervisor/adapters/loop.py", "from relay_supervisor.adapters.b import c"),
        ("relay_supervisor/main.py", "import asyncio"),
        ("relay_supervisor/main.py", "def f():\n    import yaml"),
        ("relay_supervisor/main.py", "from mcp.client import stdio"),
        ("relay_supervisor/main.py", "import logging.handlers"),
        ("relay_supervisor/main.py", "import attrs"),
        ("relay_supervisor/main.py", "from relay_worker import names"),
        ("relay_supervisor/main.py", "from relay_supervisor.ctl.main import run"),
        ("relay_supervisor/ctl/main.py", "from relay_worker.pipe import Pipe"),
        ("relay_supervisor/ctl/main.py", "from relay_supervisor.core.relay import Relay"),
        ("relay_supervisor/core/relay.py", "import signal"),
        ("relay_worker/main.py", "from relay_supervisor.core import relay"),
        ("relay_worker/main.py", "import relay_supervisor"),
        ("relay_worker/main.py", "from relay_supervisor import __version__"),
        ("relay_worker/router.py", "from relay_supervisor.adapters import loop"),
    ],
)
def test_wrong_arrows_are_found(path: str, source: str) -> None:
    assert broken_arrows(path, source)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("relay_supervisor/core/relay.py", "from relay_supervisor.core.events import Event"),
        ("relay_supervisor/core/relay.py", "import enum, msgspec\nfrom collections import deque"),
        ("relay_supervisor/core/relay.py", "from relay_supervisor import errors, wire"),
        ("relay_supervisor/core/relay.py", "from signal import SIGKILL, SIGTERM"),
        ("relay_supervisor/main.py", "import os, socket\nfrom relay_supervisor.core import relay"),
        (
            "relay_supervisor/ctl/main.py",
            "import click, asyncio\nfrom relay_worker.config import edit",
        ),
        ("relay_worker/main.py", "import asyncio, mcp\nfrom relay_supervisor.wire import v1"),
    ],
)
def test_right_arrows_are_let_through(path: str, source: str) -> None:
    assert not broken_arrows(path, source)


def test_late_imports_are_found() -> None:
    assert late_imports("m.py", "class A:\n    def f(self):\n        if 1:\n            import os")
    assert not late_imports("m.py", "import os\nif 1:\n    import sys")


def test_long_functions_and_modules_are_found() -> None:
    lines = "    x = 1\n"
    docstring = '    """Doc.\n' + "    more\n" * 50 + '    """\n'
    assert long_functions("m.py", "def f():\n" + lines * FUNCTION_LINES_MAX)
    assert not long_functions("m.py", "def f():\n" + docstring + lines * (FUNCTION_LINES_MAX - 1))
    assert long_module("m.py", "x = 1\n" * (MODULE_LINES_MAX + 1))
    assert not long_module("m.py", "x = 1\n" * MODULE_LINES_MAX)


def test_missing_docstrings_and_sleeps_are_found() -> None:
    assert undocumented("m.py", "x = 1")
    assert not undocumented("m.py", '"""What for."""\nx = 1')
    assert not undocumented("m.py", "")
    for bad in ("time.sleep(1)", "from time import sleep\nsleep(1)", "await_ = asyncio.sleep(1)"):
        assert sleeps("m.py", bad)
    assert not sleeps("m.py", "sleeps(1)\nproc.sleep_seconds")


@pytest.mark.parametrize(
    "parts",
    [
        ("see /ho", "me/jane/relay"),
        ("path = '/wo", "rk/main'"),
        ("https:/", "/intranet.acme.corp/x"),
        ("http:/", "/user:secret@10.0.0.7:80/"),
        ("npm", "js.org"),
        ("--index", "-url mirror"),
    ],
)
def test_machine_names_are_found(parts: tuple[str, str]) -> None:
    # In two parts, so that this file does not name them.
    assert named_machines("m.md", "".join(parts))


@pytest.mark.parametrize(
    "parts",
    [
        ("https://example.com/mcp",),
        ("http://127.0.0.1:8080/",),
        ("https://api.example.org",),
        ("${HOME}/work", "/main"),
        ("~/work", "/main"),
        ("/home", "/you/project"),
        ("https://{host}/mcp",),
        ("https://x/mcp",),
        ("/", "work"),
    ],
)
def test_innocent_names_are_let_through(parts: tuple[str, ...]) -> None:
    assert not named_machines("m.md", "".join(parts))
