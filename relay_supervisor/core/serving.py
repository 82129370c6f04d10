"""What the client gets: that of the active generation, from the moment it is active."""

from relay_supervisor.core.backends import Backends
from relay_supervisor.core.calls import Calls
from relay_supervisor.core.client import Client
from relay_supervisor.core.custody import Custody
from relay_supervisor.core.effects import LimitLines
from relay_supervisor.core.generation import Generation
from relay_supervisor.core.recovery import Recovery
from relay_supervisor.core.session import Session
from relay_supervisor.core.shared import Shared
from relay_supervisor.wire import v1


class Serving:
    """Makes a generation's offer what is served."""

    def __init__(
        self,
        shared: Shared,
        session: Session,
        client: Client,
        calls: Calls,
        custody: Custody,
        recovery: Recovery,
    ) -> None:
        self._shared = shared
        self._session = session
        self.client = client
        self._calls = calls
        self._custody = custody
        self._recovery = recovery
        self.backends = Backends(shared, custody)

    def serve(self, generation: Generation, now: float) -> None:
        """What this generation has reported is what the client gets from now on."""
        offer, shared = generation.offer, self._shared
        state = shared.state
        state.limits = offer.limits
        state.worker_trouble = ""
        state.problems, state.broken = offer.problems, offer.broken
        shared.out.put(LimitLines(offer.limits.frame_bytes_max))
        if "first lists" in shared.timers.at:
            self._session.await_first_lists(now)  # until now with the limit that is the default
        self.backends.serve(generation)
        shared.registry.instructions = offer.instructions
        shared.registry.lists |= offer.lists
        shared.registry.sessions |= offer.sessions
        self.client.greet_waiting()
        if offer.catalogue is not None:
            self.show(offer.catalogue, offer.body, now, replace=offer.ready)
        self._recovery.serving(now)
        self._custody.changed()
        self._calls.release(now)

    def show(
        self, message: v1.Catalogue, payload: bytes, now: float, *, replace: bool = False
    ) -> None:
        """Serve this catalogue, and tell the client if it has to know."""
        if self._shared.registry.update(message, payload, replace=replace):
            self.client.news.changed(now)
        if self._shared.registry.servable:
            self._shared.timers.clear("first lists")
            self.client.list_waiting()
