"""What is wrong with a configuration, said so that its author can put it right.

A problem never carries a value of `env`, `headers`, `args` or the like: values may be secrets,
and problems go to logs, to `status` and to the model.
"""

import enum
import json
import re
from typing import Final, TypeAlias

import msgspec

PROBLEMS_MAX: Final = 100
"""Problems kept of one file; a file with more is not read by a person anyway."""
KEY_CHARS_MAX: Final = 64
"""Characters shown of one key; keys come from the file and go to terminals and logs."""

KeyPath: TypeAlias = tuple[str | int, ...]

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


class Severity(enum.Enum):
    """ERROR: something was left out, or its default taken. WARNING: all runs, but look at it."""

    ERROR = "error"
    WARNING = "warning"


class Mark(msgspec.Struct, frozen=True):
    """A place in the file. Both count from 1; 0 stands for the file as a whole."""

    line: int = 0
    column: int = 0


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong. `key` is the path in the file (`backends.files.args[0]`, empty for
    the file as a whole), `effect` what an error led to, and `backend` the name of the only backend
    it concerns, if it is one.
    """

    severity: Severity
    file: str
    line: int = 0
    column: int = 0
    key: str = ""
    expected: str = ""
    found: str = ""
    advice: str = ""
    effect: str = ""
    backend: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        what = ", ".join(
            part
            for part in (
                f"expected {self.expected}" if self.expected else "",
                f"found {self.found}" if self.found else "",
            )
            if part
        )
        text = ": ".join(part for part in (place, self.severity.value, self.key, what) if part)
        parts = (part for part in (text, self.advice, self.effect) if part)
        return " ".join(part if part.endswith((".", "?")) else f"{part}." for part in parts)


class Report:
    """Collects the problems of one file, up to `PROBLEMS_MAX`.

    Problems come in the order in which things are looked at and are handed out in file order.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self._problems: list[Problem] = []
        self._left_out = 0

    def error(
        self,
        mark: Mark,
        path: KeyPath,
        *,
        expected: str = "",
        found: str = "",
        advice: str = "",
        effect: str | None = None,
    ) -> None:
        """Add an error at *mark*; by default its *effect* follows from *path*."""
        consequence = _effect(path) if effect is None else effect
        self._add(Severity.ERROR, mark, path, (expected, found, advice, consequence))

    def warning(
        self, mark: Mark, path: KeyPath, *, expected: str = "", found: str = "", advice: str = ""
    ) -> None:
        """Add a warning at *mark*."""
        self._add(Severity.WARNING, mark, path, (expected, found, advice, ""))

    def _add(
        self, severity: Severity, mark: Mark, path: KeyPath, texts: tuple[str, str, str, str]
    ) -> None:
        if len(self._problems) >= PROBLEMS_MAX:
            self._left_out += 1
            return
        expected, found, advice, effect = texts
        self._problems.append(
            Problem(
                severity=severity,
                file=self.file,
                line=mark.line,
                column=mark.column,
                key=key_text(path),
                expected=expected,
                found=found,
                advice=advice,
                effect=effect,
                backend=_backend_of(path),
            )
        )

    def problems(self) -> tuple[Problem, ...]:
        """Return what was collected, by line; a last one says how many were left out."""
        problems = sorted(self._problems, key=lambda problem: (problem.line, problem.column))
        if self._left_out:
            problems.append(
                Problem(
                    severity=Severity.ERROR,
                    file=self.file,
                    found=f"{self._left_out} more problems",
                    advice=f"Only the first {PROBLEMS_MAX} are shown; put these right first.",
                )
            )
        return tuple(problems)


BACKEND_KEYS: Final = ("backends", "mcpServers", "servers")
"""Top-level keys that hold backends: ours, Claude's and VS Code's."""


def _backend_of(path: KeyPath) -> str | None:
    if len(path) > 1 and path[0] in BACKEND_KEYS:
        return str(path[1])
    return None


def _effect(path: KeyPath) -> str:
    """Return what an error at *path* leads to; what is not named here says so itself."""
    if (backend := _backend_of(path)) is not None:
        return f"Backend {shown_key(backend)} is left out."
    if path[:1] == ("relay",):
        return "The default stays in force."
    if len(path) > 1 and path[0] in {"panels", "checks"}:
        return f"It is left out of the {path[0]}."
    return "Nothing of it is used." if path else ""


def key_text(path: KeyPath) -> str:
    """Return *path* as people write it: `backends.files.args[0]`, odd keys in quotes."""
    text = ""
    for piece in path:
        if isinstance(piece, int):
            text += f"[{piece}]"
        else:
            text += f".{shown_key(piece)}" if text else shown_key(piece)
    return text


def shown_key(key: str) -> str:
    """Return *key* fit for a message: short, on one line, quoted unless plain."""
    short = key if len(key) <= KEY_CHARS_MAX else key[: KEY_CHARS_MAX - 1] + "…"
    if _BARE.fullmatch(short):
        return short
    # Escapes for terminals and signs that turn the direction of writing must not get through.
    return json.dumps(short, ensure_ascii=not short.isprintable())
