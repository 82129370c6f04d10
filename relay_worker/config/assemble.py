"""A tree to a `Config`: what is valid is kept, what is not is left out and reported.

One bad backend costs that backend only, one bad setting takes its default.
"""

from typing import Any, Final

from msgspec import inspect

from relay_worker.config.decode import INVALID, Decoder, nearest, type_info
from relay_worker.config.model import (
    NAME_CHARS_MAX,
    BackendSpec,
    CheckSpec,
    Config,
    PanelSpec,
    RelaySettings,
)
from relay_worker.config.peers import translate
from relay_worker.config.problems import BACKEND_KEYS, KeyPath, Mark, Report
from relay_worker.config.rules import check_backend, check_settings
from relay_worker.config.tree import Entry, Mapping, Node, Sequence, is_null

TOP_KEYS: Final = (*BACKEND_KEYS, "panels", "checks", "relay")
SILENT_KEYS: Final = ("$schema",)
"""Top-level keys that mean nothing here and harm nobody; so do all that begin with `x-`."""
FOREIGN_KEYS: Final = {"inputs": "Use ${VAR} instead of ${input:...}."}

_MAPPING: Final = inspect.DictType(inspect.StrType(), inspect.AnyType())
_LIST: Final = inspect.VarTupleType(inspect.AnyType())


class Assembled:
    """A configuration and, for each backend in it, the path and node it came from."""

    def __init__(self) -> None:
        self.backends: dict[str, BackendSpec] = {}
        self.panels: dict[str, PanelSpec] = {}
        self.checks: list[CheckSpec] = []
        self.relay = RelaySettings()
        self.origins: dict[str, tuple[KeyPath, Mapping]] = {}

    def config(self) -> Config:
        """Return what was assembled."""
        return Config(
            backends=dict(self.backends),
            panels=dict(self.panels),
            checks=tuple(self.checks),
            relay=self.relay,
        )


def assemble(node: Mapping | None, report: Report) -> Assembled:
    """Return what is valid in *node*."""
    assembler = _Assembler(report)
    if node is None:
        report.warning(
            Mark(), (), found="an empty configuration", advice="Add backends: with at least one."
        )
    else:
        assembler.top(node)
    return assembler.result


class _Assembler:
    def __init__(self, report: Report) -> None:
        self._report = report
        self._decoder = Decoder(report)
        self.result = Assembled()

    def top(self, node: Mapping) -> None:
        """Take in the whole file."""
        sections = self._sections(node)
        seen: dict[str, Mark] = {}
        for key in BACKEND_KEYS:
            if key in sections:
                self._backends(sections[key], key, seen)
        if "panels" in sections:
            self._panels(sections["panels"])
        if "checks" in sections:
            self._checks(sections["checks"])
        if "relay" in sections:
            self._relay(sections["relay"])

    def _sections(self, node: Mapping) -> dict[str, Node]:
        """Return the values of our top-level keys, and report all others."""
        sections: dict[str, Entry] = {}
        others = []
        for entry in node.entries:
            if entry.key not in TOP_KEYS:
                others.append(entry)
            elif first := sections.get(entry.key):
                self._report.error(
                    entry.mark,
                    (entry.key,),
                    found=f"the key again (first in line {first.mark.line})",
                    advice="Make one of the two.",
                    effect="The first one counts.",
                )
            else:
                sections[entry.key] = entry
        self._other_keys(others, foreign_file=not sections.keys().isdisjoint(BACKEND_KEYS[1:]))
        return {key: entry.value for key, entry in sections.items() if not is_null(entry.value)}

    def _other_keys(self, entries: list[Entry], *, foreign_file: bool) -> None:
        others = []
        for entry in entries:
            key = entry.key
            if key in SILENT_KEYS or key.startswith("x-"):
                continue
            if key in FOREIGN_KEYS:
                self._report.warning(
                    entry.mark, (key,), found="a key of VS Code's", advice=FOREIGN_KEYS[key]
                )
            elif isinstance(entry.value, Mapping) and any(
                entry.value.get(way) for way in ("command", "url", "llm")
            ):
                self._report.error(
                    entry.mark,
                    (key,),
                    found="a backend at the top",
                    advice="Put it into backends:.",
                )
            elif foreign_file and not nearest(key, TOP_KEYS):
                others.append(entry)
            else:
                self._decoder.unknown(entry, (), TOP_KEYS)
        if others:
            # A client's own settings file may have dozens of these: one line for all.
            self._report.warning(
                others[0].mark,
                (others[0].key,),
                found="a key of another program"
                + (f", as are {len(others) - 1} more" if others[1:] else ""),
                advice="They have no effect here.",
            )

    def _backends(self, node: Node, section: str, seen: dict[str, Mark]) -> None:
        entries = self._decoder.entries(node, (section,), _MAPPING)
        for name, entry in (entries or {}).items():
            if entry is None:
                continue
            path = (section, name)
            spec = self._backend(entry.value, path)
            if not self._is_name(name, entry.mark, path):
                continue
            if first := seen.get(name):
                self._report.error(
                    entry.mark,
                    path,
                    found=f"the name again (first in line {first.line})",
                    advice="Give each backend a name of its own.",
                )
                self.result.backends.pop(name, None)
                continue
            seen[name] = entry.mark
            if isinstance(spec, BackendSpec) and isinstance(entry.value, Mapping):
                self.result.backends[name] = spec
                self.result.origins[name] = (path, entry.value)

    def _backend(self, node: Node, path: KeyPath) -> object:
        if not isinstance(node, Mapping):
            return self._decoder.decode(node, type_info(BackendSpec), path)
        translated, usable = translate(node, path, self._report)
        spec = self._decoder.decode(translated, type_info(BackendSpec), path)
        if not usable or not isinstance(spec, BackendSpec):
            return INVALID
        return spec if check_backend(spec, translated, path, self._report) else INVALID

    def _is_name(self, name: str, mark: Mark, path: KeyPath) -> bool:
        if name.strip() and len(name) <= NAME_CHARS_MAX and name.isprintable():
            return True
        self._report.error(
            mark,
            path,
            expected=f"a name of 1 to {NAME_CHARS_MAX} printable characters",
            advice="Best are a to z, 0 to 9 and -: the name becomes part of tool names.",
        )
        return False

    def _panels(self, node: Node) -> None:
        entries = self._decoder.entries(node, ("panels",), _MAPPING)
        for name, entry in (entries or {}).items():
            if entry is None:
                continue
            path = ("panels", name)
            panel = self._decoder.decode(entry.value, type_info(PanelSpec), path)
            if self._is_name(name, entry.mark, path) and isinstance(panel, PanelSpec):
                self._panel(name, panel, entry.value.mark)

    def _panel(self, name: str, panel: PanelSpec, mark: Mark) -> None:
        for index, member in enumerate(panel.members):
            spec = self.result.backends.get(member)
            if spec is None or spec.llm is None:
                self._report.error(
                    mark,
                    ("panels", name, "members", index),
                    expected="the name of a valid backend with llm",
                    advice="Correct the name, or add such a backend.",
                )
                return
        self.result.panels[name] = panel

    def _checks(self, node: Node) -> None:
        if not isinstance(node, Sequence):
            self._decoder.decode(node, _LIST, ("checks",))
            return
        for index, item in enumerate(node.items):
            check = self._decoder.decode(item, type_info(CheckSpec), ("checks", index))
            if isinstance(check, CheckSpec):
                self.result.checks.append(check)

    def _relay(self, node: Node) -> None:
        fields = self._decoder.fields(node, RelaySettings, ("relay",))
        if fields is None or not isinstance(node, Mapping):
            return
        values: dict[str, Any] = {
            key: value for key, value in fields.items() if value is not INVALID
        }
        check_settings(values, node, ("relay",), self._report)
        self.result.relay = RelaySettings(**values)
