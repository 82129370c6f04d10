"""What workers report of themselves, and when it takes effect: when their generation is active.

Until then it is kept as the generation's offer, by which the gate judges it.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from relay_supervisor.core.custody import Custody
from relay_supervisor.core.generation import Generation, Life, Step
from relay_supervisor.core.recovery import Recovery
from relay_supervisor.core.serving import Serving
from relay_supervisor.core.session import Session
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.swaps import Swaps
from relay_supervisor.errors import RemoteProtocolError
from relay_supervisor.wire import cache, v1

Handler = Callable[[Generation, Any, bytes, float], None]


class Reports:
    """Takes in what workers say; `handlers` are its lines of the table of messages."""

    def __init__(
        self,
        shared: Shared,
        session: Session,
        serving: Serving,
        custody: Custody,
        swaps: Swaps,
        recovery: Recovery,
    ) -> None:
        self._shared = shared
        self._session = session
        self._serving = serving
        self._custody = custody
        self._swaps = swaps
        self._recovery = recovery
        self.handlers: dict[type, Handler] = {
            v1.ConfigRead: self._config_read,
            v1.Configured: self._configured,
            v1.Ready: self._ready,
            v1.Checked: self._checked,
            v1.LearnedLists: self._learned,
            v1.LearnedLinks: self._linked,
            v1.LearnedSession: self._session_learned,
            v1.BackendState: self._backend_state,
            v1.Notification: self._notification,
            v1.Catalogue: self._catalogue,
        }

    def _config_read(
        self, generation: Generation, message: v1.ConfigRead, payload: bytes, now: float
    ) -> None:
        generation.source = msgspec.structs.replace(generation.source, config=payload)

    def _configured(
        self, generation: Generation, message: v1.Configured, payload: bytes, now: float
    ) -> None:
        offer = generation.offer
        offer.configured = True
        offer.backends, offer.limits = message.backends, message.limits
        offer.problems, offer.broken = message.problems, message.broken
        offer.config_digest = message.config_digest
        offer.adopts = message.adopts
        offer.instructions = payload.decode(errors="replace")
        self._shared.workers.configured(generation)
        self._custody.configured(generation)
        self._session.introduce(generation)
        if self._swaps.is_candidate(generation):
            self._swaps.configured(generation, now)
        elif self._shared.workers.active() is None:
            self._shared.workers.promote(generation)
            self._serving.serve(generation, now)
            if self._recovery.state.source is None:
                self._recovery.committed(generation)
        elif generation.state is Life.WARMING:
            self._swaps.dismiss(generation, now)

    def _ready(self, generation: Generation, message: v1.Ready, payload: bytes, now: float) -> None:
        if (message.generation, message.nonce) != (generation.number, generation.nonce):
            raise RemoteProtocolError("it reports another generation ready")
        if not generation.offer.configured:
            raise RemoteProtocolError("it reports itself ready before its configuration")
        generation.advance(Step.REPORTED_READY)
        generation.offer.ready = True
        self._swaps.check_gate(now)

    def _checked(
        self, generation: Generation, message: v1.Checked, payload: bytes, now: float
    ) -> None:
        if not message.token:
            generation.offer.checks = message.results
        self._swaps.trial.checked(generation.number, message, now)

    def _learned(
        self, generation: Generation, message: v1.LearnedLists, payload: bytes, now: float
    ) -> None:
        if generation.number == self._shared.workers.state.active:
            self._shared.registry.learn(message, payload)
        else:
            lists = cache.Lists(message.backend, message.spec_hash, payload)
            generation.offer.lists[message.backend] = lists

    def _linked(
        self, generation: Generation, message: v1.LearnedLinks, payload: bytes, now: float
    ) -> None:
        # Also of one that only finishes its calls: the client may follow a link at any worker.
        self._shared.registry.link(message)
        known = v1.KnownLinks(message.backend, message.uris)
        self._shared.tell_workers(known, but=generation.number)

    def _session_learned(
        self, generation: Generation, message: v1.LearnedSession, payload: bytes, now: float
    ) -> None:
        active = generation.number == self._shared.workers.state.active
        sessions = self._shared.registry.sessions if active else generation.offer.sessions
        sessions[message.backend] = cache.Lists(message.backend, message.spec_hash, payload)

    def _backend_state(
        self, generation: Generation, message: v1.BackendState, payload: bytes, now: float
    ) -> None:
        self._serving.backends.reported(generation, message)
        self._custody.reported(generation.number, message.backend, message.pid)
        self._swaps.check_gate(now)

    def _notification(
        self, generation: Generation, message: v1.Notification, payload: bytes, now: float
    ) -> None:
        # Of a generation that only finishes its calls, what it says of them still counts; what two
        # workers hear of the same server counts from the one that serves, or it would come twice.
        active = generation.number == self._shared.workers.state.active
        call = self._shared.state.calls.get(message.call)
        own = call is not None and call.generation == generation.number
        said = message.method == "notifications/message" or self._custody.serves(message.pid)
        if (active or own or said) and self._custody.charges.is_news(message.pid, message.at):
            self._serving.client.news.notify(message, payload)

    def _catalogue(
        self, generation: Generation, message: v1.Catalogue, payload: bytes, now: float
    ) -> None:
        generation.offer.catalogue, generation.offer.body = message, payload
        if generation.number == self._shared.workers.state.active:
            self._serving.show(message, payload, now)
        self._swaps.check_gate(now)
