"""What the client is told without having asked: that lists, resources and tasks have changed, what
backends log. In the modern era only who listens is told, and in the words of that listening.
"""

from typing import Final

import msgspec
from msgspec import Raw

from relay_supervisor.core import envelope, logs, mcp, task_tokens
from relay_supervisor.core.listening import FILTERS
from relay_supervisor.core.registry import CHANGED
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.state import Listen
from relay_supervisor.wire import v1

CHANGED_SECONDS_DELAY: Final = 0.05
"""Changes within this time become one list_changed."""

_EMPTY: Final = Raw(b"{}")


class News:
    """Tells the client."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._state = shared.state
        self._registry = shared.registry
        self._timers = shared.timers
        self._out = shared.out

    def announce(self) -> None:
        """Tell the client which of the lists it knows have changed. What nobody may be told of yet,
        or nobody wants to hear of, stays unseen.
        """
        peer = self._state.peer
        listens = peer.listens.values()
        wanted = {
            kind
            for kind, method in CHANGED.items()
            if peer.ready or any(getattr(listen, FILTERS[method]) for listen in listens)
        }
        methods = {CHANGED[kind] for kind in self._registry.announce(wanted)}
        for method in sorted(methods):
            if peer.ready:
                self._out.client(mcp.notification(method))
            for listen in listens:
                if getattr(listen, FILTERS[method]):
                    self.stamped(method, listen)

    def changed(self, now: float) -> None:
        """A list differs from what the client knows: tell it soon, and once."""
        if "changed" not in self._timers.at:
            self._timers.set("changed", now + CHANGED_SECONDS_DELAY)

    def notify(self, message: v1.Notification, payload: bytes) -> None:
        """Pass on a backend's notification, if this client is to have it."""
        peer = self._state.peer
        if message.method == task_tokens.STATUS:
            task_tokens.told(self._state, payload)
        if message.method == "notifications/resources/updated":
            self._updated(payload)
        elif message.method == "notifications/tasks":
            self._task_changed(payload)
        elif (peer.era == v1.LEGACY and peer.greeted) or logs.wanted(self._state, message, payload):
            self._out.client(mcp.notification(message.method, payload))

    def _updated(self, payload: bytes) -> None:
        """Pass on that a resource changed, to whoever subscribed to it. The URI may be of a part of
        what was subscribed to; as nobody but its server can tell, all then get to know it.
        """
        peer = self._state.peer
        params = mcp.members_or_none(Raw(payload)) or {}
        if (uri := mcp.string(params.get("uri"))) is None:
            return
        part = uri not in peer.subscriptions()
        for listen in peer.listens.values():
            if uri in listen.uris or (part and listen.uris):
                self.stamped("notifications/resources/updated", listen, **params)
        if uri in peer.uris or (part and peer.uris):
            self._out.client(mcp.notification("notifications/resources/updated", payload))

    def _task_changed(self, payload: bytes) -> None:
        """Pass on how a task of the extension's is, to whoever wants to hear of it."""
        params = mcp.members_or_none(Raw(payload)) or {}
        task = mcp.string(params.get("taskId"))
        for listen in self._state.peer.listens.values():
            if task in listen.tasks:
                self.stamped("notifications/tasks", listen, **params)

    def tell_subscriptions(self) -> None:
        """Give the workers the set of all URIs and tasks the client wants to hear of."""
        peer = self._state.peer
        self._shared.tell_workers(v1.Subscriptions(peer.subscriptions(), peer.tasks()))

    def stamped(self, method: str, listen: Listen, /, _meta: Raw = _EMPTY, **rest: object) -> None:
        """Tell who listens there; *rest* are the params."""
        meta = {**(mcp.members_or_none(_meta) or {}), envelope.SUBSCRIPTION: Raw(listen.raw_id)}
        body = msgspec.json.encode({"_meta": meta, **rest})
        self._out.client(mcp.notification(method, body))
