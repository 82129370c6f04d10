"""What relayctl takes a git checkout for, with git as it is."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click import ClickException

from relay_supervisor.ctl import source


class Checkout:
    """A git checkout with a worker in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "relay_worker").mkdir(parents=True)
        self.write("pyproject.toml", "[project]\n")
        self.write("relay_worker/__init__.py", '__version__ = "0.4.0"\n')
        self.write(".gitignore", "*.log\nbuild/\n")
        self.git("init", "-q")
        self.commit()

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        path = self.path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)

    def git(self, *args: str) -> str:
        """Run git in it, as nobody in particular."""
        who = ("-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false")
        return subprocess.run(
            ["git", *who, "-C", str(self.path), *args], capture_output=True, text=True, check=True
        ).stdout.strip()

    def commit(self) -> str:
        """Commit all; the commit's hash."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "all")
        return self.git("rev-parse", "HEAD")

    def look(self) -> source.Source:
        """What relayctl takes it for."""
        return source.look(str(self.path))


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout")


def test_a_clean_checkout_is_named_by_its_commit(checkout: Checkout) -> None:
    commit = checkout.git("rev-parse", "HEAD")
    found = checkout.look()
    assert (found.name, found.commit, found.dirty) == (f"0.4.0-{commit[:7]}", commit, False)
    assert found.files == [".gitignore", "pyproject.toml", "relay_worker/__init__.py"]


def test_what_git_ignores_is_left_out(checkout: Checkout) -> None:
    before = checkout.look()
    checkout.write("relay.log", "")
    checkout.write("build/lib.py", "")
    assert checkout.look() == before


@pytest.mark.parametrize("change", ["edited", "new", "staged", "removed"])
def test_a_checkout_is_taken_as_it_is_on_the_disk_and_called_dirty(
    checkout: Checkout, tmp_path: Path, change: str
) -> None:
    checkout.write("doomed.py", "")
    commit = checkout.commit()
    if change == "removed":
        (checkout.path / "doomed.py").unlink()
    else:
        checkout.write("doomed.py" if change == "edited" else "new.py", "mine = 1\n")
    if change == "staged":
        checkout.git("add", "-A")
    found = checkout.look()
    assert (found.commit, found.dirty) == (commit, True)
    assert found.name == f"0.4.0-{commit[:7]}-dirty-{found.digest[:6]}"
    target = tmp_path / "target"
    target.mkdir()
    found.copy(target)
    texts = {path.name: path.read_text() for path in target.glob("*.py")}
    assert texts == {
        "edited": {"doomed.py": "mine = 1\n"},
        "removed": {},
    }.get(change, {"doomed.py": "", "new.py": "mine = 1\n"})


def test_looking_changes_nothing_in_the_checkout(checkout: Checkout) -> None:
    def everything() -> dict[str, Any]:
        paths = [path for path in checkout.path.rglob("*") if path.is_file()]
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}

    os.utime(checkout.path / "pyproject.toml")  # what makes git want to refresh its index
    before = everything()
    checkout.look()
    assert everything() == before


def test_a_folder_within_a_checkout(checkout: Checkout) -> None:
    outer = Checkout(checkout.path / "inner" / "project")  # a checkout of its own
    shutil.rmtree(outer.path / ".git")
    plain = outer.look()
    assert (plain.commit, plain.dirty) == ("", False)  # nobody has added it
    checkout.commit()
    found = outer.look()
    assert found.commit == checkout.git("rev-parse", "HEAD") and not found.dirty
    assert "relay_worker/__init__.py" in found.files


def test_without_git_it_is_a_plain_directory(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    found = checkout.look()
    assert found.commit == "" and "pyproject.toml" in found.files
    assert not any(name.startswith(".git/") for name in found.files)


def test_a_checkout_of_something_else(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    subprocess.run(["git", "init", "-q", str(other)], check=True)
    with pytest.raises(ClickException, match="no sources of the relay"):
        source.look(str(other))
