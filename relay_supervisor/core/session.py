"""Who the client is, and how every worker gets to know it.

The supervisor alone has met the client; what a worker must know of it is replayed to each.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Raw

from relay_supervisor.core import mcp
from relay_supervisor.core.generation import GONE, Generation
from relay_supervisor.core.shared import Shared
from relay_supervisor.wire import cache, v1

FIRST_WORD_SECONDS: Final = 0.25


class SessionState(msgspec.Struct):
    """Plain data of this room."""

    snapshots: Mapping[str, bytes] = {}
    """Cache files read at the start, by the variant of their client."""
    variant: str = ""
    """That of this client."""


class Session:
    """The session with the client, as far as workers depend on it."""

    def __init__(self, shared: Shared, cache_path: Callable[[bytes, str], str]) -> None:
        """See `Relay` for *cache_path*."""
        self._shared = shared
        self._state = shared.memory.session
        self._cache_path = cache_path

    def meet(self, era: int, protocol: str, params: bytes, now: float) -> None:
        """Learn who the client is: recall its lists, and let the worker connect the backends."""
        peer, registry = self._shared.state.peer, self._shared.registry
        # Nested as deep as can just be read in one place, it may be too deep in another.
        members = mcp.members_or_none(Raw(params)) or {}
        info = mcp.members_or_none(members.get("clientInfo")) or {}
        capabilities = members.get("capabilities", Raw(b"{}"))
        peer.era, peer.protocol, peer.params = era, protocol, params
        peer.name = mcp.string(info.get("name")) or "unknown"
        peer.version = mcp.string(info.get("version")) or ""
        peer.capabilities = list(mcp.members_or_none(capabilities) or {})
        self._state.variant = cache.key(b"%d" % era, protocol.encode(), bytes(capabilities))
        data = self._state.snapshots.get(self._state.variant)
        if registry.body is None and data and (snapshot := cache.load(data)) is not None:
            registry.recall(snapshot)
        if peer.met is None:  # a second handshake makes nobody wait longer
            peer.met = now
        text = f"the client is {peer.name} {peer.version}, protocol {protocol}"
        self._shared.out.log("info", text)
        self.await_first_lists(now)
        for generation in self._shared.workers.state.generations.values():
            if generation.offer.configured and generation.state not in GONE:
                self.introduce(generation)

    def introduce(self, generation: Generation) -> None:
        """Tell a worker who the client is, and all that its predecessors knew."""
        peer, worker = self._shared.state.peer, self._shared.out.worker
        if peer.era is None:
            return
        active = self._shared.workers.active()
        if active is not None and active is not generation:
            self._shared.workers.attend(generation, attend=False)
        for lists in self._shared.registry.lists.values():
            message = v1.KnownLists(lists.backend, lists.spec_hash)
            worker(generation.number, message, lists.payload)
        for known in self._shared.registry.sessions.values():
            if known.payload:
                session = v1.KnownSession(known.backend, known.spec_hash)
                worker(generation.number, session, known.payload)
        named: dict[str, list[str]] = {}
        for uri, backend in self._shared.registry.links.items():
            named.setdefault(backend, []).append(uri)
        for backend, links in named.items():
            worker(generation.number, v1.KnownLinks(backend, links))
        path = self._cache_path(generation.source.config or b"", self._state.variant)
        introduced = v1.Session(peer.era, peer.protocol, path, peer.log_level)
        worker(generation.number, introduced, peer.params)
        uris, tasks = peer.subscriptions(), peer.tasks()
        if uris or tasks:
            worker(generation.number, v1.Subscriptions(uris, tasks))

    def await_first_lists(self, now: float) -> None:
        """Set the deadline of the first lists, by the limit that holds now."""
        met = self._shared.state.peer.met
        if met is not None and not self._shared.registry.servable:
            wait = self._shared.state.limits.first_list_wait_seconds
            # Never in the past, which would look as if the loop had overslept; and a worker that
            # has only just come up gets a moment to say what it knows.
            self._shared.timers.set("first lists", max(now + FIRST_WORD_SECONDS, met + wait))
