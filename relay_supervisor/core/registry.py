"""What the client sees: the lists, and when it has to be told that they changed.

Lists are served from here alone, so they are there while workers and backends come and go. A
page is put together once and then sent as it is: the same bytes for as long as nothing changed.
"""

from collections.abc import Collection
from typing import Final

import msgspec
from msgspec import Raw

from relay_supervisor.core.mcp import Kind, result
from relay_supervisor.wire import cache, v1

MODERN_CACHING: Final = {"ttlMs": 0, "cacheScope": "private"}
"""The client is told of changes; a longer life would only delay them."""

SUPERSET: Final = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"listChanged": True, "subscribe": True},
    "completions": {},
    "logging": {},
    "tasks": {"cancel": {}, "list": {}, "requests": {"tools": {"call": {}}}},
}
"""Declared while nothing is known: capabilities cannot be added after initialize."""

EMPTY: Final = b"[]"

LINKS_MAX: Final = 4096
"""URIs kept for the next worker that backends named and do not list; the oldest go first."""

CHANGED: Final = {
    Kind.TOOLS: "notifications/tools/list_changed",
    Kind.PROMPTS: "notifications/prompts/list_changed",
    Kind.RESOURCES: "notifications/resources/list_changed",
    Kind.TEMPLATES: "notifications/resources/list_changed",
}


class Registry(msgspec.Struct):
    """The catalogue as served, and what the client has seen of it."""

    body: cache.Body | None = None
    digest: str = ""
    settled: bool = False
    servable: bool = False
    """Lists are answered from now on; before, the first catalogue is to be waited for."""
    instructions: str | None = None
    lists: dict[str, cache.Lists] = {}
    """Raw lists of each backend, for the next worker."""
    sessions: dict[str, cache.Lists] = {}
    """Sessions with remote backends, for the next worker; never for a file."""
    pages: dict[Kind, bytes] = {}
    """The JSON text of each list, without the result around it."""
    rendered: dict[tuple[Kind, int], bytes] = {}
    """Members of the answer to each list request, by era: made once, so that answers nobody reads
    share their memory.
    """
    seen: dict[Kind, bytes] = {}
    """The page of each list that the client was last sent or told of."""
    repeatable: set[str] = set()
    """Tools that may be called again after an unknown outcome."""
    owners: dict[Kind, dict[str, str]] = {}
    """Backend of each item by its name or URI."""
    links: dict[str, str] = {}
    """Backend of each URI that one has named and none lists, the latest last."""

    def bare(self) -> "Registry":
        """Return a copy without what `revive` makes of the rest."""
        return msgspec.structs.replace(self, pages={}, rendered={}, repeatable=set(), owners={})

    def revive(self) -> None:
        """Make a bare copy whole."""
        if self.body is not None:
            self._serve(self.body, self.digest)

    def owner(self, kind: Kind | None, key: str) -> str:
        """Return the backend of an item by its name or URI, empty where it cannot be known."""
        owners = None if kind is None else self.owners.get(kind)
        return "" if owners is None else owners.get(key, "")

    def recall(self, snapshot: cache.Snapshot) -> None:
        """Serve what a cache file holds until a worker knows better."""
        self._serve(snapshot.body, snapshot.digest)
        self.instructions = snapshot.instructions
        self.servable = True
        for lists in snapshot.lists:
            self.lists[lists.backend] = lists

    def learn(self, message: v1.LearnedLists, payload: bytes) -> None:
        """Keep the raw lists of a backend."""
        self.lists[message.backend] = cache.Lists(message.backend, message.spec_hash, payload)

    def link(self, message: v1.LearnedLinks) -> None:
        """Keep whose the resources are that a backend has named."""
        for uri in message.uris:
            self.links.pop(uri, None)
            self.links[uri] = message.backend
        while len(self.links) > LINKS_MAX:
            del self.links[next(iter(self.links))]

    def update(self, message: v1.Catalogue, payload: bytes, *, replace: bool = False) -> bool:
        """Serve a new catalogue, unless it is short of something for now (or is to *replace* the
        old one whatever it lacks); return whether the client has to be told.

        Raises:
            Exception: one of `UNDECODABLE`, the payload is broken; the old catalogue stays.
        """
        if message.digest != self.digest or self.body is None:
            body = cache.decode_body(payload)
            if not message.settled and not replace and self._loses(body):
                return False
            self._serve(body, message.digest)
        self.settled = message.settled
        self.servable = self.servable or message.settled
        return bool(self.unseen())

    def unseen(self) -> list[Kind]:
        """Return the lists the client was sent and that have changed since."""
        return [kind for kind, page in self.seen.items() if page != self.pages.get(kind, EMPTY)]

    def announce(self, wanted: Collection[Kind]) -> list[Kind]:
        """Return the lists among those *wanted* to tell the client of; they then count as seen."""
        kinds = [kind for kind in self.unseen() if kind in wanted]
        for kind in kinds:
            self.seen[kind] = self.pages.get(kind, EMPTY)
        return kinds

    def page(self, kind: Kind, era: int) -> bytes:
        """Return the members of the response to a list request."""
        text = self.seen[kind] = self.pages.get(kind, EMPTY)
        if (members := self.rendered.get((kind, era))) is not None:
            return members
        if era == v1.LEGACY:
            members = b'"result":{"%s":%s}}' % (kind.value.encode(), text)
        else:
            body = {"resultType": "complete", kind.value: Raw(text), **MODERN_CACHING}
            members = result(body)
        self.rendered[kind, era] = members
        return members

    def capabilities(self) -> Raw:
        """Return the JSON text of the server capabilities to declare."""
        if self.body is None:
            return Raw(msgspec.json.encode(SUPERSET))
        return Raw(self.body.capabilities)

    def _loses(self, body: cache.Body) -> bool:
        """Tell whether *body* lacks what is served now. While backends are still on their way that
        is no news: it may only not have been learned yet.
        """
        if self.body is None:
            return False
        lists = ("tools", "prompts", "resources", "templates")
        new = {(name, entry.key) for name in lists for entry in getattr(body, name)}
        return any((n, entry.key) not in new for n in lists for entry in getattr(self.body, n))

    def _serve(self, body: cache.Body, digest: str) -> None:
        self.body = body
        self.digest = digest
        self.rendered.clear()
        self.repeatable = {entry.key for entry in body.tools if entry.repeatable}
        lists = (body.tools, body.prompts, body.resources, body.templates)
        for kind, entries in zip(Kind, lists, strict=True):
            self.pages[kind] = b"[%s]" % b",".join(entry.item for entry in entries)
            self.owners[kind] = {entry.key: entry.backend for entry in entries}
