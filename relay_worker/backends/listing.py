"""One list of a backend, page by page. No I/O.

Servers page in odd ways, so there is a cap on pages and a look-out for cursors that come back.
"""

from typing import Final, NamedTuple

import msgspec

from relay_supervisor.wire.custody import PartialList
from relay_worker.backends.frames import decode_object, encode, text_of
from relay_worker.repair import Envelope


class Kind(NamedTuple):
    """How a list is asked for; `field` names it in `RawLists`."""

    field: str
    method: str
    member: str
    capability: str


KINDS: Final = {
    kind.field: kind
    for kind in (
        Kind("tools", "tools/list", "tools", "tools"),
        Kind("prompts", "prompts/list", "prompts", "prompts"),
        Kind("resources", "resources/list", "resources", "resources"),
        Kind("templates", "resources/templates/list", "resourceTemplates", "resources"),
    )
}

_decode_items: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Listing:
    """The pages of one list so far. `problem` says what is wrong with them, if anything."""

    __slots__ = ("_cursors", "_pages", "_pages_max", "items", "kind", "problem")

    def __init__(self, kind: Kind, pages_max: int) -> None:
        self.kind = kind
        self.items: list[bytes] = []
        self.problem: str | None = None
        self._cursors: set[str] = set()
        self._pages = 0
        self._pages_max = pages_max

    @classmethod
    def resume(cls, kind: Kind, pages_max: int, partial: PartialList) -> "Listing":
        """Go on with a list that somebody else has begun."""
        listing = cls(kind, pages_max)
        listing.items = list(partial.items)
        listing.problem = partial.problem
        listing._cursors = set(partial.cursors)
        listing._pages = partial.pages
        return listing

    def partial(self) -> PartialList:
        """Return it for somebody else to go on with."""
        return PartialList(self.items, sorted(self._cursors), self._pages, self.problem)

    def add(self, result: Envelope) -> bytes | None:
        """Take a page in; return the params of the request for the next one, or None at the end."""
        self._pages += 1
        try:
            items = _decode_items(result.get(self.kind.member, b""))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.problem = f"{self.kind.method} was answered without a list of {self.kind.member}"
            return None
        self.items += [bytes(item) for item in items]
        cursor = text_of(result.get("nextCursor"))
        if cursor is None:  # an empty cursor is a valid one
            return None
        if cursor in self._cursors:
            self.problem = f"{self.kind.method} gives the same cursor again"
        elif self._pages >= self._pages_max:
            self.problem = (
                f"{self.kind.method} has more than {self._pages_max} pages (list_pages_max)"
            )
        else:
            self._cursors.add(cursor)
            return encode({"cursor": cursor})
        return None


def declared(capabilities: bytes) -> list[Kind]:
    """Return the lists that a backend with these capabilities has."""
    members = decode_object(capabilities) or {}
    return [kind for kind in KINDS.values() if kind.capability in members]
