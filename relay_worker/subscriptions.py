"""Which resources the client wants updates of, and which backend has to send them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from relay_supervisor.wire import v1
from relay_worker.backends.base import Backend

CHANGES: Final = {"resources/subscribe": True, "resources/unsubscribe": False}
"""The client's own requests for it, and whether it wants updates from then on."""


class Subscriptions:
    """The set of URIs. Backends are told their share of it, and keep it over restarts."""

    def __init__(self) -> None:
        self._uris: set[str] = set()
        self._told: set[str] = set()

    def replace(self, uris: Iterable[str]) -> None:
        """Want updates of exactly these."""
        self._uris = set(uris)

    def changed(self, backend: Backend, message: v1.Call) -> None:
        """A backend has carried out a request of the client's to subscribe or unsubscribe."""
        wanted = CHANGES[message.method]
        if wanted:
            self._uris.add(message.name)
            self._told.add(backend.name)
        else:
            self._uris.discard(message.name)
        backend.subscribed(message.name, wanted=wanted)

    def has(self, backend: str) -> bool:
        """Return whether a backend was told of any."""
        return backend in self._told

    def spread(
        self, owner_of: Callable[[str], str | None], backends: Mapping[str, Backend]
    ) -> None:
        """Tell every backend its share, as far as it is known who owns what."""
        if not (self._uris or self._told):
            return
        shares: dict[str, set[str]] = {}
        for uri in self._uris:
            if owner := owner_of(uri):
                shares.setdefault(owner, set()).add(uri)
        for name in self._told | set(shares):
            if backend := backends.get(name):
                backend.subscribe(frozenset(shares.get(name, ())))
        self._told = set(shares)
