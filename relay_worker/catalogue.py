"""What the client sees, as a pure function of configuration and raw lists.

Equal inputs give equal bytes, whatever the order of any mapping: the client's prompt cache
depends on it. An item keeps its bytes except for what has to change. An item a client could trip
over is quarantined with a reason, never repaired and never passed on. Health plays no part here.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import msgspec

from relay_supervisor.wire.cache import Body, Entry, Quarantined, encode_body
from relay_worker import capabilities, names, resources, schemas, uri_templates
from relay_worker.config.model import BackendSpec, Config, RelaySettings, ToolRules
from relay_worker.items import Kind, Unfit, is_repeatable, key_of
from relay_worker.lists import RawLists
from relay_worker.resources import Resources
from relay_worker.uri_templates import Template

BUILTIN_BACKEND: Final = "relay"
"""The name under which the relay's own tools are listed and routed; they always have a prefix."""

_BUILTIN_SPEC: Final = BackendSpec(trust_hints=True)

QUARANTINED_MAX: Final = 500
"""Quarantined items that are reported one by one."""

URI_CHARS_SHOWN: Final = 200
"""Characters of a URI in a problem."""

_WITHHELD: Final = "it can be called as a task only, of which this client's era knows nothing"

_NO_TEMPLATE: Final = (
    "the braces in it do not pair, or there are more than "
    f"{uri_templates.EXPRESSIONS_MAX} expressions in it"
)

_Object: TypeAlias = dict[str, msgspec.Raw]

_decode = msgspec.json.Decoder(_Object).decode
_encode = msgspec.json.Encoder().encode


class Route(msgspec.Struct, frozen=True):
    """Where a tool or prompt goes: the backend and the name it knows the item by."""

    backend: str
    name: str


class Catalogue(msgspec.Struct, frozen=True):
    """What the client sees and where its calls go.

    `payload` is the encoded body (the payload of a `Catalogue` message) and `digest` the first
    16 hex digits of its SHA-256. `complete`: the lists of every enabled backend were known.
    `problems` are sentences about the configuration, such as a rename of a tool that is not there.
    `tools` and `prompts` are keyed by exposed name.
    """

    body: Body
    payload: bytes
    digest: str
    complete: bool
    problems: tuple[str, ...]
    tools: dict[str, Route]
    prompts: dict[str, Route]
    resources: Resources
    prefixes: tuple[tuple[str, str], ...]
    """Prefix and backend of each enabled backend, longest prefix first."""

    def owner_hint(self, name: str) -> str | None:
        """Return the enabled backend whose prefix *name* carries, for a tool or prompt that is
        not in the catalogue (yet).
        """
        for prefix, backend in self.prefixes:
            if name.startswith(prefix):
                return backend
        return None


def build(
    config: Config, lists: Mapping[str, RawLists], builtin: RawLists | None = None
) -> Catalogue:
    """Build the catalogue. *lists* has the backends whose lists are known; *builtin* is what the
    relay itself offers, listed as backend `BUILTIN_BACKEND`, None where switched off.
    """
    builder = _Builder(config.relay)
    if builtin is not None:
        builder.add(BUILTIN_BACKEND, builtin, _BUILTIN_SPEC, prefix=True)
    for name, spec in config.backends.items():
        if not spec.enabled:
            continue
        if builtin is not None and name == BUILTIN_BACKEND:
            builder.problems.append(
                f"backends.{name}: the name is the relay's own; rename the backend, "
                "or switch off relay.builtin_tools"
            )
        elif name in lists:
            builder.add(name, lists[name], spec, prefix=config.relay.prefix)
        else:
            builder.expect(name, prefix=config.relay.prefix)
    return builder.finish()


class _Builder:
    """The catalogue as far as it is built: backends are added in configuration order."""

    def __init__(self, settings: RelaySettings) -> None:
        self._settings = settings
        self._entries: dict[Kind, list[Entry]] = {
            "tools": [],
            "prompts": [],
            "resources": [],
            "templates": [],
        }
        self._routes: dict[Kind, dict[str, Route]] = {"tools": {}, "prompts": {}}
        self._taken: dict[Kind, set[str]] = {"tools": set(), "prompts": set()}
        self._owners: dict[Kind, dict[str, str]] = {"resources": {}, "templates": {}}
        self._templates: list[tuple[str, Template, str]] = []
        self._quarantined: list[Quarantined] = []
        self._resource_backends: list[str] = []
        self._prefixes: list[tuple[str, str]] = []
        self._declared: list[bytes] = []
        self._complete = True
        self.problems: list[str] = []

    def add(self, backend: str, lists: RawLists, spec: BackendSpec, *, prefix: bool) -> None:
        """Take in what *backend* offers."""
        rules = spec.tools
        naming = self._naming(backend, prefix=prefix)
        self._declared.append(lists.capabilities)
        if "resources" in capabilities.members(lists.capabilities):
            self._resource_backends.append(backend)
        for name in lists.withheld:
            self._quarantine(backend, "tools", name, _WITHHELD)
        tools = self._fit(backend, "tools", lists.tools)
        for rule, keys in (("rename", rules.rename), ("describe", rules.describe)):
            self.problems.extend(
                f"backends.{backend}.tools.{rule}: backend {backend} has no tool {name!r}; "
                "correct the name or remove the line"
                for name in keys
                if name not in tools
            )
        shown = {
            name: item
            for name, item in tools.items()
            if names.allowed(name, rules.allow, rules.deny)
        }
        shown = self._for_models(backend, shown)
        self._add_named(naming, backend, "tools", shown, rules, trusted=spec.trust_hints)
        prompts = self._fit(backend, "prompts", lists.prompts)
        self._add_named(naming, backend, "prompts", prompts, ToolRules())
        self._add_resources(backend, lists)

    def expect(self, backend: str, *, prefix: bool) -> None:
        """Take note of an enabled backend whose lists are not known yet."""
        self._naming(backend, prefix=prefix)
        self._complete = False

    def _naming(self, backend: str, *, prefix: bool) -> names.Naming:
        settings = self._settings
        naming = names.Naming(settings.separator, prefix, settings.tool_name_chars_max)
        if prefix:
            self._prefixes.append((names.prefix_of(naming, backend), backend))
        return naming

    def _fit(self, backend: str, kind: Kind, items: Iterable[bytes]) -> dict[str, bytes]:
        """Return the items that every client can read, by their own name or URI."""
        fit: dict[str, bytes] = {}
        for item in items:
            try:
                key = key_of(kind, item)
            except Unfit as error:
                self._quarantine(backend, kind, error.name, error.reason)
                continue
            if key in fit:
                self._quarantine(backend, kind, key, "the backend lists it twice; the first counts")
            else:
                fit[key] = item
        return fit

    def _for_models(self, backend: str, tools: dict[str, bytes]) -> dict[str, bytes]:
        """Return the tools to be shown, whatever the API of the client's model makes of them."""
        refused = {name: why for name, item in tools.items() if (why := schemas.objection(item))}
        if self._settings.strict_schemas:
            for name, why in refused.items():
                self._quarantine(backend, "tools", name, f"{why} (strict_schemas)")
            return {name: item for name, item in tools.items() if name not in refused}
        self.problems.extend(
            f"tool {name!r} of backend {backend}: {why}. Some clients pass this on, and then the "
            f"API of their model refuses every request; backends.{backend}.tools.deny hides the "
            "tool, relay.strict_schemas all such tools"
            for name, why in refused.items()
        )
        return tools

    def _add_named(
        self,
        naming: names.Naming,
        backend: str,
        kind: Kind,
        items: Mapping[str, bytes],
        rules: ToolRules,
        *,
        trusted: bool = False,
    ) -> None:
        routes = self._routes[kind]
        for named in names.assign(naming, backend, items, self._taken[kind], rules.rename):
            if named.exposed is None:
                self._quarantine(backend, kind, named.original, "all names for it are taken")
                continue
            if named.exposed != named.wanted:
                self.problems.append(
                    f"{kind[:-1]} {named.original!r} of backend {backend} is shown as "
                    f"{named.exposed}: {named.wanted} is taken by backend "
                    f"{routes[named.wanted].backend if named.wanted in routes else backend}"
                )
            routes[named.exposed] = Route(backend, named.original)
            item = _shown(items[named.original], named, rules.describe.get(named.original))
            repeatable = trusted and is_repeatable(item)
            self._entries[kind].append(Entry(named.exposed, backend, item, repeatable))

    def _add_resources(self, backend: str, lists: RawLists) -> None:
        kinds: tuple[tuple[Kind, list[bytes]], ...] = (
            ("resources", lists.resources),
            ("templates", lists.templates),
        )
        for kind, items in kinds:
            owners, taken = self._owners[kind], []
            for uri, item in self._fit(backend, kind, items).items():
                if uri in owners:
                    taken.append(uri)
                    reason = f"backend {owners[uri]} has it already; it comes first"
                    self._quarantine(backend, kind, uri, reason)
                    continue
                if kind == "templates":
                    template = uri_templates.parse(uri)
                    if template is None:
                        self._quarantine(backend, kind, uri, _NO_TEMPLATE)
                        continue
                    self._templates.append((uri, template, backend))
                owners[uri] = backend
                self._entries[kind].append(Entry(uri, backend, item))
            if taken:
                self.problems.append(
                    f"backend {backend} lists {len(taken)} {kind} that another backend has already "
                    f"({taken[0][:URI_CHARS_SHOWN]} of {owners[taken[0]]} is one): whoever comes "
                    "first in the configuration is asked for them"
                )

    def _quarantine(self, backend: str, kind: Kind, name: str, reason: str) -> None:
        self._quarantined.append(Quarantined(backend, kind, name, reason))

    def finish(self) -> Catalogue:
        """Return the catalogue of all that was added."""
        body = Body(
            **{kind: sorted(found, key=_key) for kind, found in self._entries.items()},
            capabilities=capabilities.merge(self._declared, complete=self._complete),
            quarantined=_bounded(sorted(self._quarantined, key=msgspec.structs.astuple)),
        )
        payload = encode_body(body)
        return Catalogue(
            body=body,
            payload=payload,
            digest=hashlib.sha256(payload).hexdigest()[:16],
            complete=self._complete,
            problems=tuple(self.problems),
            tools=self._routes["tools"],
            prompts=self._routes["prompts"],
            resources=resources.build(
                self._owners["resources"], self._templates, self._resource_backends
            ),
            prefixes=tuple(sorted(self._prefixes, key=lambda item: -len(item[0]))),
        )


def _key(entry: Entry) -> str:
    return entry.key


def _shown(item: bytes, named: names.Named, description: str | None) -> bytes:
    """Return *item* under its exposed name and with the operator's description, if there is one."""
    if named.exposed == named.original and description is None:
        return item
    members: dict[str, object] = {**_decode(item)}
    members["name"] = named.exposed
    if description is not None:
        members["description"] = description
    return _encode(members)


def _bounded(quarantined: list[Quarantined]) -> list[Quarantined]:
    if (more := len(quarantined) - QUARANTINED_MAX) <= 0:
        return quarantined
    return [*quarantined[:QUARANTINED_MAX], Quarantined("", "", "", f"and {more} more")]
