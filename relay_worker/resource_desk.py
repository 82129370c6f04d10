"""What passes about resources besides the calls for them: subscriptions, their updates, links.

Everything here goes by one rule, `Resources.owner`; the router asks here, too, whose a URI is.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from relay_supervisor.wire import v1
from relay_worker.backends import frames
from relay_worker.backends.base import Backend
from relay_worker.catalogue import Catalogue
from relay_worker.links import CARRIERS, HOSTED, TASK, Links, uris_of
from relay_worker.subscriptions import CHANGES, Subscriptions

UPDATED: Final = "notifications/resources/updated"


class ResourceDesk:
    """Knows the catalogue and the backends that are routed by; *send* tells the supervisor.
    `several` backends have resources; else there is no choice to be made.
    """

    def __init__(self, send: Callable[..., None]) -> None:
        self._send = send
        self._links = Links()
        self._subscriptions = Subscriptions()
        self._catalogue: Catalogue | None = None
        self._backends: Mapping[str, Backend] = {}
        self.several = False

    def owner_of(self, uri: str) -> str | None:
        """Return the backend to ask for a resource, None where nobody can be."""
        catalogue = self._catalogue
        return None if catalogue is None else catalogue.resources.owner(uri, self._links)

    def adopt(self, catalogue: Catalogue, backends: Mapping[str, Backend]) -> None:
        """Go by these from now on; who lost a resource to another backend is told."""
        self._catalogue, self._backends = catalogue, backends
        self.several = len(catalogue.resources.backends) > 1
        self._subscriptions.spread(self.owner_of, backends)

    def subscribe(self, uris: list[str]) -> None:
        """Make these the resources whose updates the client gets."""
        self._subscriptions.replace(uris)
        if self._catalogue is not None:
            self._subscriptions.spread(self.owner_of, self._backends)

    def known(self, message: v1.KnownLinks) -> None:
        """Take over what another worker has seen."""
        self._links.learn(
            message.backend, (uri for uri in message.uris if not uri.startswith((TASK, HOSTED)))
        )

    def answered(self, backend: Backend, message: v1.Call, result: msgspec.Raw) -> None:
        """Take note of what follows from an answer, before the client can act on it."""
        if self.several and message.method in CARRIERS:
            self._learn(backend, result)
        elif message.method in CHANGES:
            self._subscriptions.changed(backend, message)

    def passes(self, backend: Backend, method: str, params: bytes) -> bool:
        """Return whether the client is to have a notification. News of a resource come from its
        owner; of one that has none, which may be a part of another, from whoever is subscribed to.
        """
        if method != UPDATED:
            return True
        uri = frames.text_of((frames.decode_object(params) or {}).get("uri"))
        if uri is None:
            return False
        owner = self.owner_of(uri)
        return self._subscriptions.has(backend.name) if owner is None else owner == backend.name

    def _learn(self, backend: Backend, result: msgspec.Raw) -> None:
        assert self._catalogue is not None
        resources = self._catalogue.resources
        if backend.name not in resources.backends:
            return  # it could not be asked for them
        uris = [uri for uri in uris_of(result) if not resources.claimed(uri)]
        if news := self._links.learn(backend.name, uris):
            self._send(v1.LearnedLinks(backend.name, news))
