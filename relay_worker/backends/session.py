"""The client side of MCP towards one backend process, as a state machine. No I/O, no clock.

It makes the frames of the worker's own requests (initialize, lists, subscriptions, log level) and
understands whatever a backend sends that is not the reply to a call. Calls do not pass through
here: whoever knows the call number writes and reads them.
"""

import enum
import itertools
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from relay_supervisor.wire.custody import Custody
from relay_worker import lists as raw_lists
from relay_worker.backends import frames
from relay_worker.backends.client import PROTOCOLS, TASKS, Client
from relay_worker.backends.effects import (
    Asked,
    Broken,
    Effect,
    Effects,
    Listed,
    Notified,
    Problem,
    Progressed,
    Send,
    Withdrew,
)
from relay_worker.backends.envelopes import readable_params
from relay_worker.backends.listing import KINDS, Kind, Listing, declared
from relay_worker.lists import RawLists
from relay_worker.repair import Envelope

ASKABLE: Final = {
    "roots/list": "roots",
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
}
"""What a backend may ask the client, and what the client must have declared for it."""

ASKABLE_BY_LEGACY: Final = {
    **ASKABLE,
    **{f"{TASKS}/{word}": TASKS for word in ("get", "result", "list", "cancel")},
}
"""The same with what is asked about tasks that the client carries out."""

LIST_CHANGED: Final = {
    "notifications/tools/list_changed": ("tools",),
    "notifications/prompts/list_changed": ("prompts",),
    "notifications/resources/list_changed": ("resources", "templates"),
}


METHOD_CHARS_SHOWN: Final = 100
"""Characters of a method's name in a problem."""


class Phase(enum.Enum):
    """How far the backend has been brought."""

    NEW, INITIALIZING, LISTING, READY, BROKEN = range(5)

    @property
    def word(self) -> str:
        """Return how `Custody` calls it."""
        return self.name.lower()


_PHASES: Final = {phase.word: phase for phase in Phase}
_INITIALIZE: Final = "init"
_LEVEL: Final = "level"
_SUBSCRIPTION: Final = "subscription"
"""What a request of the worker's own is for, besides the fields of lists."""


class Session:
    """The conversation with one backend process. All methods return what is to be done, in order.

    `lists` is what the backend said last, None until it is READY. *numbers* make the ids of
    requests unique within the generation.
    """

    def __init__(
        self,
        backend: str,
        client: Client,
        generation: int,
        *,
        pages_max: int,
        numbers: Iterator[int] | None = None,
    ) -> None:
        self.phase = Phase.NEW
        self.client = client
        self.level: str | None = None
        self.lists: RawLists | None = None
        self._backend = backend
        self._pages_max = pages_max
        self._ids = f"relay-{generation}-"
        self._numbers = numbers or itertools.count(1)
        self._pending: dict[str, str] = {}
        self._listings: dict[str, Listing] = {}
        self._stale: set[str] = set()
        self._found = RawLists()
        self._subscribed: set[str] = set()
        self._capabilities: Envelope = {}

    def start(self) -> Effects:
        """Return the first request."""
        self.phase = Phase.INITIALIZING
        return [self._request(_INITIALIZE, "initialize", self.client.params)]

    def resume(self, left: Custody, known: RawLists | None, *, crashed: bool) -> Effects:
        """Go on with a conversation as it was *left* in another worker, where *known* are its lists
        as learned there; *crashed*: without a word of how far it had come since.

        Raises:
            ValueError: nobody can go on with it.
        """
        phase = _PHASES.get(left.phase, Phase.BROKEN)
        found = raw_lists.decode(left.found) if left.found else known
        if crashed and known is not None:
            found = known  # what was left for this case has no items
        complete = phase is Phase.READY
        if phase is Phase.BROKEN or (complete and found is None) or (crashed and not complete):
            raise ValueError(f"its conversation cannot be gone on with ({left.phase})")
        if phase is Phase.NEW:
            return self.start()
        self.phase = phase
        self.level = left.level
        self._found = found or RawLists()
        self._capabilities = frames.decode_object(self._found.capabilities) or {}
        self._subscribed = set(left.subscribed)
        self._stale = set(left.stale) & KINDS.keys()
        self._pending = dict(left.pending)
        self._listings = {
            field: Listing.resume(KINDS[field], self._pages_max, partial)
            for field, partial in left.listings.items()
            if field in KINDS
        }
        if not complete or self._listings:
            return []
        self.lists = self._found
        if not crashed:
            return [Listed(self._found)]
        return [
            effect for kind in declared(self._found.capabilities) for effect in self._list(kind)
        ]

    def left(self) -> Custody:
        """Return what another worker has to know to go on."""
        return msgspec.structs.replace(
            self.lasting(),
            found=raw_lists.encode(self._found),
            pending=dict(self._pending),
            listings={field: listing.partial() for field, listing in self._listings.items()},
            stale=sorted(self._stale),
        )

    def lasting(self) -> Custody:
        """Return the part of it that does not change from message to message."""
        nothing: dict[str, list[bytes]] = {field: [] for field in KINDS}
        return Custody(
            phase=self.phase.word,
            found=raw_lists.encode(msgspec.structs.replace(self._found, **nothing)),
            client=self.client.params,
            capabilities=sorted(self.client.capabilities),
            subscribed=sorted(self._subscribed),
            level=self.level,
        )

    def go_on(self, said: RawLists) -> Effects:
        """Go on with a session whose server has *said* so at `initialize`: fetch the lists."""
        self._found = said
        self._capabilities = frames.decode_object(said.capabilities) or {}
        self.phase = Phase.LISTING
        effects: Effects = []
        for kind in declared(said.capabilities):
            effects += self._list(kind)
        return effects + self._complete()

    @property
    def said(self) -> RawLists:
        """Return what the backend has said of itself so far."""
        return self._found

    def receive(self, envelope: Envelope) -> Effects:
        """Take in what the backend sent, unless it is the reply to a call."""
        if self.phase is Phase.BROKEN:
            return []
        method = frames.text_of(envelope.get("method"))
        raw_id = envelope.get("id")
        if method is None:
            return self._answered(self._pending.pop(frames.text_of(raw_id) or "", ""), envelope)
        params = envelope.get("params")
        if raw_id is None or (bytes(raw_id) == b"null" and method.startswith("notifications/")):
            return self._notified(method, params)
        return self._requested(bytes(raw_id), method, params)

    def saw(self, capability: str) -> bool:
        """Return whether the backend was told that the client has *capability*."""
        return self.client.can(capability)

    def awaits(self, tag: str | None) -> bool:
        """Return whether it has made a request with this id, and has no answer to it."""
        return tag in self._pending

    @property
    def greeting(self) -> str | None:
        """Return the id of its first request while that is not answered."""
        return next((tag for tag, word in self._pending.items() if word == _INITIALIZE), None)

    @property
    def listing(self) -> bool:
        """Return whether answers to list requests are outstanding."""
        return bool(self._listings)

    def give_up_listing(self) -> Effects:
        """Stop waiting for lists; what was known of them stays."""
        methods = ", ".join(listing.kind.method for listing in self._listings.values())
        self._pending = {
            number: word for number, word in self._pending.items() if word not in self._listings
        }
        self._listings.clear()
        return [Problem(f"{methods} was not answered (list_timeout_seconds)"), *self._complete()]

    def set_level(self, level: str) -> Effects:
        """Set the log level, where the backend logs."""
        if self.phase is not Phase.READY or "logging" not in self._capabilities:
            return []
        self.level = level
        params = frames.encode({"level": level})
        return [self._request(_LEVEL, "logging/setLevel", params)]

    def subscribe(self, uris: Iterable[str], *, again: bool = False) -> Effects:
        """Make the backend send updates for exactly *uris*, where it can; *again*: whatever it was
        told before, as that may not have reached it.
        """
        wanted = set(uris)
        resources = frames.decode_object(self._capabilities.get("resources")) or {}
        able = bytes(resources.get("subscribe", b"")) == b"true"
        if self.phase is not Phase.READY or not able:
            return []
        effects: Effects = []
        for method, changed in (
            ("resources/subscribe", wanted if again else wanted - self._subscribed),
            ("resources/unsubscribe", self._subscribed - wanted),
        ):
            for uri in sorted(changed):
                params = frames.encode({"uri": uri})
                effects.append(self._request(_SUBSCRIPTION, method, params))
        self._subscribed = wanted
        return effects

    def note_subscription(self, uri: str, *, subscribed: bool) -> None:
        """Remember that a call of the client's changed a subscription."""
        (self._subscribed.add if subscribed else self._subscribed.discard)(uri)

    def _request(self, word: str, method: str, params: bytes) -> Send:
        number = f"{self._ids}{word}-{next(self._numbers)}"
        self._pending[number] = word
        return Send(frames.request(number, method, params))

    def _answered(self, word: str, envelope: Envelope) -> Effects:
        if word == _INITIALIZE:
            return self._initialized(envelope)
        if (listing := self._listings.get(word)) is not None:
            return self._paged(listing, envelope)
        return _ignored(envelope) if word else []

    def _broken(self, reason: str) -> Effects:
        self.phase = Phase.BROKEN
        return [Broken(reason)]

    def _initialized(self, envelope: Envelope) -> Effects:
        if error := frames.error_of(envelope):
            return self._broken(f"it refused initialize: {error[1]} ({error[0]})")
        result = frames.decode_object(envelope.get("result"))
        if result is None:
            return self._broken("it answered initialize without a result")
        version = frames.text_of(result.get("protocolVersion"))
        if version not in PROTOCOLS:
            return self._broken(f"it speaks MCP {version}, the relay {', '.join(PROTOCOLS)}")
        capabilities = bytes(result.get("capabilities", b"{}"))
        self._capabilities = frames.decode_object(capabilities) or {}
        self._found = RawLists(
            protocol=version,
            capabilities=capabilities,
            server_info=bytes(result.get("serverInfo", b"{}")),
            instructions=frames.text_of(result.get("instructions")),
        )
        self.phase = Phase.LISTING
        effects: Effects = [Send(frames.notification("notifications/initialized"))]
        for kind in declared(capabilities):
            effects += self._list(kind)
        return effects + self._complete()

    def _list(self, kind: Kind) -> Effects:
        listing = Listing(kind, self._pages_max)
        self._listings[kind.field] = listing
        return [self._page(listing, b"{}")]

    def _page(self, listing: Listing, params: bytes) -> Effect:
        kind = listing.kind
        return self._request(kind.field, kind.method, params)

    def _paged(self, listing: Listing, envelope: Envelope) -> Effects:
        kind = listing.kind
        effects: Effects = []
        if error := frames.error_of(envelope):
            if error[0] != frames.METHOD_NOT_FOUND:
                listing.problem = f"{kind.method} failed: {error[1]} ({error[0]})"
        elif (more := listing.add(frames.decode_object(envelope.get("result")) or {})) is not None:
            return [self._page(listing, more)]
        if listing.problem:
            effects.append(Problem(listing.problem))
        del self._listings[kind.field]
        if listing.problem and not listing.items:
            # Keep what was known; without any tools ever known, it is no use starting.
            if self.phase is Phase.LISTING and kind.field == "tools":
                return effects + self._broken(listing.problem)
        else:
            changes = {kind.field: listing.items}
            self._found = msgspec.structs.replace(self._found, **changes)
        return effects + self._complete()

    def _complete(self) -> Effects:
        """Report the lists once none is on its way, and fetch again what changed meanwhile."""
        if self._listings:
            return []
        effects: Effects = []
        if self.phase is Phase.LISTING or self._found != self.lists:
            self.phase = Phase.READY
            self.lists = self._found
            effects.append(Listed(self._found))
        stale, self._stale = sorted(self._stale), set()
        for field in stale:
            effects += self._list(KINDS[field])
        return effects

    def _notified(self, method: str, raw_params: msgspec.Raw | None) -> Effects:
        if (readable := readable_params(method, raw_params)) is None:
            return [Problem(f"{method[:METHOD_CHARS_SHOWN]} is dropped: its params are no good")]
        params = bytes(readable)
        if method == "notifications/progress":
            return _progress(params)
        if method == "notifications/cancelled":
            target = (frames.decode_object(params) or {}).get("requestId")
            return [] if target is None else [Withdrew(bytes(target), params)]
        if method not in LIST_CHANGED:
            return [Notified(method, params)]
        kinds = [kind.field for kind in declared(self._found.capabilities)]
        self._stale.update(field for field in LIST_CHANGED[method] if field in kinds)
        return self._complete() if self.phase is Phase.READY else []

    def _requested(self, raw_id: bytes, method: str, params: msgspec.Raw | None) -> Effects:
        if method == "ping":
            return [Send(frames.response(raw_id, b'"result":{}}'))]
        if method in ASKABLE_BY_LEGACY:  # the supervisor knows what whoever is asked has declared
            found = readable_params(method, params)
            members = None if found is None else frames.decode_object(found or b"{}")
            if members is not None:
                shown = frames.token_towards_client(self._backend, members) if members else b""
                return [Asked(raw_id, method, shown)]
            error = frames.error_members(frames.INVALID_PARAMS, "params must be an object")
        else:
            text = f"The client does not support {method}"
            error = frames.error_members(frames.METHOD_NOT_FOUND, text)
        return [Send(frames.response(raw_id, error))]


def _progress(params: bytes) -> Effects:
    members = frames.decode_object(params) or {}
    token = members.pop("progressToken", None)
    call = frames.call_number(token) if token is not None else None
    return [] if call is None else [Progressed(call, frames.encode(members))]


def _ignored(envelope: Envelope) -> Effects:
    error = frames.error_of(envelope)
    return (
        [Problem(f"a request of the relay's was refused: {error[1]} ({error[0]})")] if error else []
    )
