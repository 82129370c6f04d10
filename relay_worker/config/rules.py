"""What must hold between the keys of one backend, and between settings."""

import re
from typing import Final

from relay_worker.config.model import BackendSpec, RelaySettings
from relay_worker.config.problems import KeyPath, Report
from relay_worker.config.tree import Mapping, find
from relay_worker.config.words import listing

_KINDS: Final = ("command", "url", "llm")

# A backend reached this way has no use for these keys.
_USELESS: Final = {
    "command": ("headers",),
    "url": ("args", "env", "cwd", "idle_stop_seconds"),
    "llm": ("args", "env", "cwd", "headers", "idle_stop_seconds", "start", "type"),
}

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VARIABLE_NAME: Final = re.compile(r"[^=\0]+")
_FIRST_WORD: Final = re.compile(r"(\S+)\s+\S")

# Settings of which the second may not be less than the first.
ORDERED: Final = (
    ("drain_seconds", "drain_max_seconds"),
    ("restart_delay_seconds", "restart_delay_max_seconds"),
)


def check_backend(spec: BackendSpec, node: Mapping, path: KeyPath, report: Report) -> bool:
    """Return whether the keys of a backend fit together; what does not is reported."""
    given = [key for key in _KINDS if getattr(spec, key) is not None]
    if len(given) != 1:
        report.error(
            node.mark,
            path,
            expected="exactly one of the keys command, url and llm",
            found=listing(given, "and") if given else "none of them",
            advice="Keep one." if given else "Add command for a program, url for a remote server.",
        )
        return False
    (way,) = given
    for key in _USELESS[way]:
        if entry := node.get(key):
            report.warning(
                entry.mark,
                (*path, key),
                found=f"a key without effect beside {way}",
                advice="Remove it.",
            )
    _check_blanks(spec, node, path, report)
    return all(
        (
            _check_type(spec, way, node, path, report),
            _check_names(node, path, report),
            _check_renames(spec, node, path, report),
        )
    )


def _check_blanks(spec: BackendSpec, node: Mapping, path: KeyPath, report: Report) -> None:
    """Warn of a whole command line in `command`: it is one program's name, no shell reads it."""
    words = _FIRST_WORD.match(spec.command or "")
    if words and not spec.args and "/" not in words.group(1):
        report.warning(
            find(node, ("command",)),
            (*path, "command"),
            found="blanks and no args",
            advice="Write command: program and args: [one, two]; there is no shell.",
        )


def _check_type(spec: BackendSpec, way: str, node: Mapping, path: KeyPath, report: Report) -> bool:
    wanted = {"command": ("stdio",), "url": ("http", "sse")}.get(way)
    if spec.type is None or wanted is None or spec.type in wanted:
        return True
    report.error(
        find(node, ("type",)),
        (*path, "type"),
        expected=f"{listing(wanted, 'or')} beside {way}",
        found=spec.type,
        advice="Remove type, or use the key that belongs to it.",
    )
    return False


def _check_names(node: Mapping, path: KeyPath, report: Report) -> bool:
    """Check the names of environment variables and headers."""
    fit = True
    for key, pattern in (("env", _VARIABLE_NAME), ("headers", _HEADER_NAME)):
        section = node.get(key)
        for entry in (
            section.value.entries if section and isinstance(section.value, Mapping) else ()
        ):
            if not pattern.fullmatch(entry.key):
                report.error(
                    entry.mark,
                    (*path, key, entry.key),
                    found="a name that is not allowed",
                    advice="Write NAME: value.",
                )
                fit = False
    return fit


def _check_renames(spec: BackendSpec, node: Mapping, path: KeyPath, report: Report) -> bool:
    taken: set[str] = set()
    for old, new in spec.tools.rename.items():
        if new in taken:
            where = ("tools", "rename", old)
            report.error(
                find(node, where),
                (*path, *where),
                found="a new name that another tool has too",
                advice="Give each tool a name of its own.",
            )
            return False
        taken.add(new)
    return True


def check_settings(values: dict[str, object], node: Mapping, path: KeyPath, report: Report) -> None:
    """Report pairs of settings in the wrong order and remove them from *values*."""
    for low, high in ORDERED:
        settings = RelaySettings(**values)  # type: ignore[arg-type]
        least, most = getattr(settings, low), getattr(settings, high)
        if most < least:
            culprit = high if high in values else low
            report.error(
                find(node, (culprit,)),
                (*path, culprit),
                expected=f"{high} to be no less than {low}",
                found=f"{most:g} and {least:g}",
                advice="Set both.",
            )
            values.pop(low, None)
            values.pop(high, None)
