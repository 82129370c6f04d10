"""`${VAR}` and `${VAR:-default}`: what a backend's entry becomes with an environment filled in.

The expanded values are secrets: they must not be printed, logged or stored. Nothing of them is in
a repr or an error here; `ExpandedSpec.secrets` tells the log what to hide.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec

from relay_worker.config.model import BackendSpec, Kind, LlmSpec
from relay_worker.config.problems import PROBLEMS_MAX, KeyPath, key_text, shown_key
from relay_worker.log import SECRET_CHARS_MIN

HARMLESS: Final = re.compile(
    "HOME|USER|LOGNAME|PATH|PWD|SHELL|TERM|LANG|TMPDIR|XDG_[A-Z_]+|CLAUDE_PROJECT_DIR"
)
"""Variables whose values need no hiding, and whose hiding would make logs unreadable."""

# `$VAR`, a lone `$` and `${` with anything else behind it are nothing special. A default ends at
# the next `${` as well, so that the search is linear; it is a fault then.
_REFERENCE: Final = re.compile(
    r"""
    (?P<escape> \$\$\{ )
    | \$\{ (?P<foreign> env | input ) :(?!-)
    | \$\{ (?P<name> [A-Za-z_][A-Za-z0-9_]*+ )
      (?: \} | :- (?P<default> (?: [^}$] | \$(?!\{) )*+ ) (?P<end> \} | \$\{ | \Z ) )
    """,
    re.VERBOSE,
)
_SECRET_NAME: Final = re.compile(
    r"key|token|secret|pass|pwd|^pw$|auth|cookie|credential", re.IGNORECASE
)
_URL: Final = re.compile(r"https?://[^\s/]", re.IGNORECASE)


class Fault(msgspec.Struct, frozen=True):
    """One thing that cannot be expanded. `path` is the key within the backend, `variable` the
    variable's name where one is missing or unusable.
    """

    path: KeyPath
    found: str
    advice: str
    expected: str = ""
    variable: str | None = None


class ExpansionError(Exception):
    """A backend's entry cannot be expanded; it names keys and variables, never values."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(
            "; ".join(f"{key_text(fault.path)}: {fault.found}. {fault.advice}" for fault in faults)
        )
        self.faults = faults


class ExpandedSpec(msgspec.Struct, frozen=True):
    """A backend ready to be started or connected to.

    `argv` is the command with its arguments, `env` the complete environment and `env_overrides`
    the part of it that the entry sets. `cwd` is absolute, or None for the relay's own. `secrets`
    are the values that must not get into a log.
    """

    kind: Kind
    argv: tuple[str, ...]
    env: dict[str, str]
    env_overrides: dict[str, str]
    cwd: str | None
    url: str | None
    headers: dict[str, str]
    llm: LlmSpec | None
    secrets: frozenset[str]

    @property
    def introduces_itself(self) -> bool:
        """Return whether headers or address say who we are, so that a login has no use."""
        named = any(header.lower() == "authorization" for header in self.headers)
        return named or "@" in _split(self.url).netloc

    def __repr__(self) -> str:
        return f"ExpandedSpec(kind={self.kind!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("kind", self.kind)]


def expand(spec: BackendSpec, environ: Mapping[str, str], directory: Path) -> ExpandedSpec:
    """Return *spec* with variables of *environ* filled in; a relative `cwd` is below *directory*.

    Raises:
        ExpansionError: a variable without a default is not set, or what comes out is unusable.
    """
    filler = _Filler(environ)
    command = filler.text(spec.command, ("command",))
    if command == "" and filler.is_filled(("command",)):
        filler.fault(("command",), "an empty text", "Set the variable in it.", "a program")
    args = tuple(filler.fill(arg, ("args", index)) for index, arg in enumerate(spec.args))
    overrides = {name: filler.fill(value, ("env", name)) for name, value in spec.env.items()}
    expanded = ExpandedSpec(
        kind=spec.kind,
        argv=() if command is None else (command, *args),
        env={**environ, **overrides},
        env_overrides=overrides,
        cwd=_directory(filler.text(spec.cwd, ("cwd",)), environ, directory, filler),
        url=filler.address(spec.url, ("url",)),
        headers={name: filler.header(name, value) for name, value in spec.headers.items()},
        llm=_llm(spec.llm, filler),
        secrets=frozenset(),
    )
    if filler.faults:
        raise ExpansionError(tuple(filler.faults))
    return msgspec.structs.replace(expanded, secrets=_secrets(expanded, filler.used))


def spec_hash(expanded: ExpandedSpec) -> str:
    """Return a SHA-256 (64 hex digits) over all that makes a running backend what it is.

    Equal means: a process or connection made from the one serves for the other. The environment
    counts only by what the entry sets, as the rest is the relay's own for all its life.
    """
    llm = expanded.llm
    parts = (
        expanded.kind,
        expanded.argv,
        sorted(expanded.env_overrides.items()),
        expanded.cwd,
        expanded.url,
        sorted(expanded.headers.items()),
        None if llm is None else msgspec.structs.astuple(llm),
    )
    # json, as msgspec refuses what an environment may hold: half surrogates for odd bytes.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class _Filler:
    """Fills in variables and collects what goes wrong. `used` are the values taken, by name."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.used: dict[str, str] = {}
        self.faults: list[Fault] = []

    def fault(
        self, path: KeyPath, found: str, advice: str, expected: str = "", name: str | None = None
    ) -> None:
        """Note that the value at *path* cannot be used."""
        if len(self.faults) < PROBLEMS_MAX:
            self.faults.append(Fault(path, found, advice, expected, name))

    def text(self, value: str | None, path: KeyPath) -> str | None:
        """Return *value* filled in, None for None."""
        return None if value is None else self.fill(value, path)

    def fill(self, value: str, path: KeyPath) -> str:
        """Return *value* filled in; a variable that cannot be becomes nothing and is noted."""
        return _REFERENCE.sub(lambda match: self._variable(match, path), value)

    def is_filled(self, path: KeyPath) -> bool:
        """Return whether nothing is wrong so far with the value at *path*."""
        return all(fault.path != path for fault in self.faults)

    def address(self, value: str | None, path: KeyPath) -> str | None:
        """Return a URL filled in."""
        url = self.text(value, path)
        if url is not None and self.is_filled(path) and not _URL.match(url):
            self.fault(path, "something else", "Write the whole address.", "http://… or https://…")
        return url

    def header(self, name: str, value: str) -> str:
        """Return a header's value filled in."""
        filled = self.fill(value, ("headers", name)).strip()
        if re.search(r"[\0\r\n]", filled):
            self.fault(
                ("headers", name), "more than one line", "Remove the line break.", "one line"
            )
        return filled

    def _variable(self, match: re.Match[str], path: KeyPath) -> str:
        if match["escape"]:
            return "${"
        if foreign := match["foreign"]:
            self.fault(path, f"${{{foreign}:…}}", "Write ${VAR}; for a literal ${ write $${.")
            return ""
        name: str = match["name"]
        default: str | None = match["default"]
        shown = shown_key(name)
        if match["end"] not in {None, "}"}:
            found = f"a default of {shown} that is not closed before the next ${{ or the end"
            self.fault(path, found, "Write ${VAR:-default}, the default without a variable.")
            return ""
        value = self._environ.get(name, default)
        if value is None:
            self.fault(
                path,
                f"the variable {shown}, which is not set",
                f"Set {shown} in the client's environment, or write ${{{shown}:-default}}.",
                name=name,
            )
            return ""
        if not value.isascii() and re.search("[\ud800-\udfff]", value):
            self.fault(
                path, f"the variable {shown}, which is not UTF-8", f"Set {shown} anew.", name=name
            )
            return ""
        if name in self._environ:
            self.used[name] = value
        return value


def _directory(
    cwd: str | None, environ: Mapping[str, str], base: Path, filler: _Filler
) -> str | None:
    """Return *cwd* absolute, `~` being the home directory."""
    if cwd is None:
        return None
    if cwd == "~" or cwd.startswith("~/"):
        home = environ.get("HOME")
        if not home:
            filler.fault(("cwd",), "~, and HOME is not set", "Write the whole path.", name="HOME")
            return None
        cwd = home + cwd[1:]
    return os.path.abspath(base / cwd)


def _llm(llm: LlmSpec | None, filler: _Filler) -> LlmSpec | None:
    if llm is None:
        return None
    return msgspec.structs.replace(
        llm,
        base_url=filler.address(llm.base_url, ("llm", "base_url")) or "",
        api_key=filler.text(llm.api_key, ("llm", "api_key")),
    )


def _secrets(expanded: ExpandedSpec, used: Mapping[str, str]) -> frozenset[str]:
    """Return the values to hide: of variables, and of what is written out under a telling name."""
    values = [value for name, value in used.items() if not HARMLESS.fullmatch(name)]
    address = _split(expanded.url)
    if password := address.password:
        values += [password, unquote(password)]
    asked = parse_qsl(address.query)
    for name, value in (*expanded.env_overrides.items(), *expanded.headers.items(), *asked):
        if _SECRET_NAME.search(name):
            values += [value, value.rpartition(" ")[2]]  # "Bearer abc": the whole and its end
    if expanded.llm is not None and expanded.llm.api_key:
        values.append(expanded.llm.api_key)
    return frozenset(value for value in values if len(value) >= SECRET_CHARS_MIN)


def _split(url: str | None) -> SplitResult:
    """Return the parts of an address, of one that is none nothing."""
    try:
        return urlsplit(url or "")
    except ValueError:
        return urlsplit("")
