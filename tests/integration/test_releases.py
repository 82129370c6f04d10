"""Releases with real environments: venv and pip as they are, and whatever ends them early."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.home import RelayHome
from tests.harness.processes import MARK_VARIABLE, kill_marked, marked, new_mark, wait_until

REPOSITORY = Path(__file__).parents[2]
RELAYCTL = [sys.executable, "-m", "relay_supervisor.ctl"]
SECONDS_MAX = 300.0


@pytest.fixture
def home() -> Iterator[RelayHome]:
    home = RelayHome.make()
    yield home
    for folder, _, _ in os.walk(home.root):  # releases are read-only
        os.chmod(folder, 0o700)
    home.remove()


@pytest.fixture
def mark() -> Iterator[str]:
    mark = new_mark()
    yield mark
    kill_marked(mark)


def relayctl(home: RelayHome, *args: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, with the checkout on PYTHONPATH: no release may take its code from it."""
    return subprocess.run(
        [*RELAYCTL, *args],
        env=home.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )


def begin_add(home: RelayHome, mark: str, path: Path) -> subprocess.Popen[str]:
    """A `release add` that is making its environment."""
    process = subprocess.Popen(
        [*RELAYCTL, "release", "add", str(path)],
        env=home.environment({MARK_VARIABLE: mark}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "virtual environment" in process.stdout.readline()
    wait_until(lambda: len(marked(mark)) > 1, 10, "the program that makes it")
    return process


def wheel(folder: Path, version: str = "9.9.9", main: str = "") -> Path:
    """A wheel with a worker that can do nothing, and needs nothing."""
    info = f"mcp_relay-{version}.dist-info"
    files = {
        "relay_worker/__init__.py": f'__version__ = "{version}"\n',
        "relay_worker/main.py": main,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: mcp-relay\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nmcp-relay = relay_worker.main:run\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    path = folder / f"mcp_relay-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(name, text)
    return path


def left(home: RelayHome) -> list[str]:
    """What is in the directory of the releases."""
    folder = home.state / "releases"
    return sorted(os.listdir(folder)) if folder.exists() else []


def imported(python: Path, cwd: Path) -> str:
    """Where an interpreter takes the worker from, started as the relay starts one."""
    program = "import relay_worker; print(relay_worker.__file__)"
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [python, "-P", "-c", program],
        env=clean,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS_MAX,
    ).stdout.strip()


# ---- this checkout


def test_a_release_of_this_checkout_runs_on_its_own(home: RelayHome) -> None:
    """One with all its dependencies, made by pip; its programs run, and it is read-only."""
    origin = home.root / "checkout"
    _copy_of_this_checkout(origin)
    done = relayctl(home, "release", "add", str(origin), "--name", "mine")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "installing" in done.stdout and done.stdout.endswith("relayctl swap mine\n")
    path = home.state / "releases" / "mine"
    assert left(home) == ["mine"]
    assert imported(path / "bin" / "python", home.project).startswith(str(path))
    version = subprocess.run(
        [path / "bin" / "relayctl", "--version"], capture_output=True, text=True, check=True
    ).stdout
    (listed,) = json.loads(relayctl(home, "releases", "--json").stdout)["releases"]
    assert version == f"relayctl, version {listed['version']}\n"
    assert listed["source"] == str(origin) and listed["uses"] == []
    assert sorted(origin.iterdir()) == sorted(origin / name for name in _SOURCES)
    for folder, _, files in os.walk(path):
        for one in (folder, *(os.path.join(folder, name) for name in files)):
            mode = os.lstat(one).st_mode
            assert stat.S_ISLNK(mode) or not mode & 0o222, one


_SOURCES = ("LICENSE", "README.md", "pyproject.toml", "relay_supervisor", "relay_worker")


def _copy_of_this_checkout(target: Path) -> None:
    """A plain directory: what git thinks of this checkout is not this test's business."""
    target.mkdir()
    skip = shutil.ignore_patterns("__pycache__")
    for name in _SOURCES:
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, target / name, ignore=skip)
        else:
            shutil.copy(REPOSITORY / name, target / name)


# ---- wheels: no dependencies, so it takes seconds


def test_a_wheel_becomes_a_release_once(home: RelayHome, tmp_path: Path) -> None:
    """It is named by what is in it; a name is taken once; prune removes it, read-only or not."""
    path = wheel(tmp_path)
    done = relayctl(home, "release", "add", str(path))
    assert done.returncode == 0, done.stderr
    (name,) = left(home)
    assert name.startswith("9.9.9-")
    found = home.state / "releases" / name
    assert imported(found / "bin" / "python", home.project).startswith(str(found))
    script = (found / "bin" / "mcp-relay").read_text()
    assert script.startswith(f"#!{found}/bin/python")
    again = relayctl(home, "release", "add", str(path))
    assert again.returncode == 1 and "is there already" in again.stderr
    assert left(home) == [name]
    assert relayctl(home, "release", "prune", "--keep", "0").returncode == 0
    assert left(home) == []


@pytest.mark.parametrize("fault", ["import", "torn"])
def test_a_release_that_fails_leaves_nothing_and_says_why(
    home: RelayHome, tmp_path: Path, fault: str
) -> None:
    """A worker that cannot be imported, or a file that is no wheel, is refused with its reason."""
    path = wheel(tmp_path, main="import a_module_nobody_has")
    if fault == "torn":
        path.write_bytes(path.read_bytes()[:-30])
    done = relayctl(home, "release", "add", str(path))
    assert done.returncode == 1
    assert ("a_module_nobody_has" if fault == "import" else "wheel") in done.stderr
    assert left(home) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_is_interrupted_leaves_nothing(
    home: RelayHome, mark: str, tmp_path: Path, number: signal.Signals
) -> None:
    """No directory, and no process."""
    process = begin_add(home, mark, wheel(tmp_path))
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 1 and "nothing of the release is left" in stderr
    assert left(home) == [] and not marked(mark)


def test_what_a_killed_relayctl_leaves_does_not_count_and_is_cleared(
    home: RelayHome, mark: str, tmp_path: Path
) -> None:
    """Neither while its orphan still works on it, nor later."""
    process = begin_add(home, mark, wheel(tmp_path))
    process.kill()
    process.communicate(timeout=20)
    (name,) = left(home)
    assert json.loads(relayctl(home, "releases", "--json").stdout)["releases"] == []
    wait_until(lambda: not marked(mark), 60, "the end of the orphan")
    assert relayctl(home, "release", "prune").stdout.startswith(f"{name}: removed, it was never")
    assert left(home) == []
