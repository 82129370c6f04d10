"""A configuration file to what the relay runs with, and everything that is wrong with it.

Never raises for what a file holds: the relay has to start with whatever is valid. It blocks, so
it is called off the loop; it writes nothing.
"""

import os
import shlex
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from relay_worker.config.assemble import Assembled, assemble
from relay_worker.config.expand import ExpansionError, expand
from relay_worker.config.locate import Location, distrust
from relay_worker.config.model import BackendSpec, Config
from relay_worker.config.parse import CONFIG_BYTES_MAX, parse
from relay_worker.config.problems import Mark, Problem, Report
from relay_worker.config.tree import ParseError, find


class Loaded(msgspec.Struct, frozen=True):
    """What a file gave. `config` is what is valid of it. `broken`: nothing could be read, so what
    is running should go on as it is. `raw_bytes` is the file as it was, `path` None for the
    embedded default.
    """

    config: Config
    problems: tuple[Problem, ...] = ()
    raw_bytes: bytes = b""
    path: Path | None = None
    broken: bool = False

    @property
    def directory(self) -> Path:
        """The directory that relative paths in the file start from, for `expand`."""
        return Path(".") if self.path is None else self.path.parent

    # The bytes may hold secrets.
    def __repr__(self) -> str:
        return f"Loaded(path={str(self.path)!r}, problems={len(self.problems)})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("path", str(self.path)), ("problems", self.problems)]


def embedded() -> Loaded:
    """Return the configuration that is in force where there is no file: a small demo backend."""
    demo = BackendSpec(command=sys.executable, args=("-m", "relay_worker.demo"))
    return Loaded(Config(backends={"demo": demo}))


def load_located(location: Location, environ: Mapping[str, str]) -> Loaded:
    """Return the configuration at *location*, the embedded one where nobody named a file and the
    default path has none.
    """
    if not location.explicit and not os.path.lexists(location.path):
        return embedded()
    return load(location.path, environ)


def load(path: Path, environ: Mapping[str, str], *, uid: int | None = None) -> Loaded:
    """Return what is in the file at *path*; it must belong to *uid* (by default the user) or root,
    and only they may write it.
    """
    report = Report(str(path))
    try:
        raw = _read(path, os.geteuid() if uid is None else uid)
    except ParseError as error:
        return _broken(error, report, b"", path)
    return load_bytes(raw, path, environ)


def load_bytes(raw: bytes, path: Path, environ: Mapping[str, str]) -> Loaded:
    """Return what *raw*, the content of the file at *path*, says; the file itself is not read."""
    report = Report(str(path))
    try:
        tree = parse(raw)
    except ParseError as error:
        return _broken(error, report, raw, path)
    assembled = assemble(tree, report)
    _leave_out_unexpandable(assembled, environ, path.parent, report)
    return Loaded(assembled.config(), report.problems(), raw, path)


def _leave_out_unexpandable(
    assembled: Assembled, environ: Mapping[str, str], directory: Path, report: Report
) -> None:
    """Remove the backends whose variables are not set; disabled ones are not looked at."""
    for name, spec in list(assembled.backends.items()):
        if not spec.enabled:
            continue
        try:
            expand(spec, environ, directory)
        except ExpansionError as error:
            path, node = assembled.origins[name]
            for fault in error.faults:
                report.error(
                    find(node, fault.path),
                    (*path, *fault.path),
                    expected=fault.expected,
                    found=fault.found,
                    advice=fault.advice,
                )
            del assembled.backends[name]


def _broken(error: ParseError, report: Report, raw: bytes, path: Path) -> Loaded:
    report.error(
        error.mark,
        (),
        expected=error.expected,
        found=error.found,
        advice=error.advice,
        effect="Nothing of the file is used.",
    )
    return Loaded(Config(), report.problems(), raw, path, broken=True)


def _read(path: Path, uid: int) -> bytes:
    """Return the content of the file at *path*.

    Raises:
        ParseError: it cannot be read, or must not be trusted.
    """
    try:
        # Without O_NONBLOCK opening a named pipe would wait for ever.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ParseError(
            Mark(), "no such file", "Create it, or correct --config or RELAY_CONFIG."
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "a NUL in its path"
        raise ParseError(
            Mark(), f"a file that cannot be opened ({reason})", "Check its path and permissions."
        ) from None
    try:
        _check(path, os.fstat(fd), uid)
        with open(fd, "rb", closefd=False) as file:
            return file.read(CONFIG_BYTES_MAX + 1)
    except OSError as error:
        raise ParseError(
            Mark(), f"a file that cannot be read ({error.strerror})", "Check the disk."
        ) from None
    finally:
        os.close(fd)


def _check(path: Path, status: os.stat_result, uid: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise ParseError(Mark(), kind, "Name a file.", "a file")
    if fault := distrust(status, uid):
        found, advice = fault
        raise ParseError(Mark(), found, advice.replace("FILE", shlex.quote(str(path))))
