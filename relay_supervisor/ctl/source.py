"""What a release is made of: a wheel, a source directory, or a git checkout as it is on the disk.

Sources are copied before they are built, as building leaves files behind. Of a git checkout the
files that git knows or would add are taken, in the state they are in: what you see is what is
released, and a checkout that differs from its commit is marked dirty.
"""

import ast
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import msgspec

FILES_MAX: Final = 20_000
BYTES_MAX: Final = 256 << 20
GIT_SECONDS_MAX: Final = 60.0

_WHEEL: Final = re.compile(r"[^-]+-(?P<version>[^-]+)(?:-[^-]+){3,4}\.whl")
_PACKAGE: Final = Path("relay_worker/__init__.py")
_LEFT_OUT: Final = {"__pycache__", "node_modules", "build", "dist", "venv"}


class Source(msgspec.Struct, frozen=True):
    """Where a release comes from. `files` are relative to `path`; none for a wheel."""

    path: Path
    version: str
    digest: str
    commit: str = ""
    dirty: bool = False
    files: list[str] = []

    @property
    def name(self) -> str:
        """The name of its release, where nobody gives it another: it says what is in it."""
        version = re.sub(r"[^A-Za-z0-9._+]", "_", self.version) or "unknown"
        if not self.commit:
            return f"{version}-{self.digest[:8]}"
        return f"{version}-{self.commit[:7]}" + (f"-dirty-{self.digest[:6]}" if self.dirty else "")

    def copy(self, target: Path) -> Path:
        """Copy it into the directory *target*; return what pip is to install.

        Raises:
            click.ClickException: it has changed since it was looked at.
        """
        if not self.files:
            copied = target / self.path.name
            shutil.copy(self.path, copied)
            same = _digest(target, [copied.name]) == self.digest
        else:
            copied = target
            for name in self.files:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.path / name, target / name, follow_symlinks=False)
            same = _digest(target, self.files) == self.digest
        if not same:
            raise click.ClickException(f"{self.path} changed while it was being read; try again")
        return copied


def look(text: str) -> Source:
    """Return the source at the path *text*.

    Raises:
        click.ClickException: there is none, or it is not the relay's.
    """
    path = Path(os.path.abspath(os.path.expanduser(text)))
    try:
        if path.is_dir():
            return _directory(path)
        if path.is_file():
            return _wheel(path)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error}") from error
    raise click.ClickException(f"there is no {path}")


def _wheel(path: Path) -> Source:
    match = _WHEEL.fullmatch(path.name)
    if match is None:
        raise click.ClickException(f"{path} is neither a wheel nor a directory with sources")
    return Source(path, match["version"], _digest(path.parent, [path.name]))


def _directory(path: Path) -> Source:
    if not (path / "pyproject.toml").is_file() or not (path / _PACKAGE).is_file():
        raise click.ClickException(
            f"{path} holds no sources of the relay (a pyproject.toml and {_PACKAGE})"
        )
    commit, dirty, files = _git(path) or ("", False, list(_walk(path)))
    if len(files) > FILES_MAX:
        raise click.ClickException(f"{path} holds over {FILES_MAX} files; is it the right one?")
    return Source(path, _version(path), _digest(path, files), commit, dirty, files)


def _git(path: Path) -> tuple[str, bool, list[str]] | None:
    """Return commit, whether the files differ from it, and the files; None for what is no
    checkout, or not one that git (if there is one) lets us look into.
    """
    try:
        if not _ask_git(path, "ls-files", "-z", "--", "pyproject.toml"):
            return None
        commit = _ask_git(path, "rev-parse", "HEAD").decode().strip()
        dirty = _ask_git(path, "status", "--porcelain", "-z", "--", ".")
        names = _ask_git(path, "ls-files", "-z", "-co", "--exclude-standard")
    except (OSError, subprocess.SubprocessError):
        return None
    files = sorted({os.fsdecode(name) for name in names.split(b"\0") if name})
    return commit, bool(dirty), [name for name in files if _is_file(path / name)]


def _ask_git(path: Path, *args: str) -> bytes:
    return subprocess.run(
        ["git", "--no-optional-locks", "-C", str(path), *args],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=GIT_SECONDS_MAX,
    ).stdout


def _walk(path: Path) -> Iterator[str]:
    """Yield the files of a plain directory, without what building and working leave in one."""
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not _is_left_out(Path(folder, name)))
        for name in sorted(files):
            if _is_file(Path(folder, name)):
                yield os.path.relpath(os.path.join(folder, name), path)


def _is_left_out(folder: Path) -> bool:
    name = folder.name
    made = name in _LEFT_OUT or name.startswith(".") or name.endswith(".egg-info")
    return made or (folder / "pyvenv.cfg").exists()


def _is_file(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def _digest(directory: Path, names: list[str]) -> str:
    """Return a digest of the files' names, modes and contents.

    Raises:
        click.ClickException: together they are too large.
    """
    digest = hashlib.sha256()
    total = 0
    for name in names:
        path = directory / name
        if path.is_symlink():
            kind, content = b"link", os.fsencode(os.readlink(path))
        else:
            kind = b"program" if os.access(path, os.X_OK) else b"file"
            content = path.read_bytes()
        total += len(content)
        if total > BYTES_MAX:
            raise click.ClickException(f"{directory} holds over {BYTES_MAX >> 20} MiB")
        digest.update(b"%s\0%s\0%d\0%s" % (kind, os.fsencode(name), len(content), content))
    return digest.hexdigest()


def _version(path: Path) -> str:
    """Return the version that the worker's package states, empty where it cannot be told."""
    try:
        tree = ast.parse((path / _PACKAGE).read_bytes())
    except (SyntaxError, ValueError):
        return ""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if "__version__" in names:
                return str(node.value.value)
    return ""
