"""A driver that also plays the workers of a swap: candidates that come up well, and calls on them.

Like `driver` it decides nothing; what the core does not want is not done.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from relay_supervisor.core import effects
from relay_supervisor.core.generation import Life
from relay_supervisor.core.swap_record import Outcome, Swap
from relay_supervisor.wire import cache, v1
from tests.unit.relay_supervisor.core.driver import BACKENDS, BODY, Driver, call

FAST = v1.Limits(probation_seconds=10.0, probation_calls=3, drain_seconds=5.0, drain_max_seconds=20)
"""Limits with which a swap goes through all its phases in a few steps."""


class SwapDriver(Driver):
    """A relay whose worker is replaced."""

    def serve(self, *, limits: v1.Limits | None = None, **capabilities: Any) -> int:
        """A worker that is active, ready and has healthy backends, and a greeted client."""
        pid = super().serve(limits=limits or FAST, **capabilities)
        self.healthy(1)
        self.ready(1)
        self.wanted.clear()
        return pid

    def swap(self, connection: int = 7, **args: Any) -> None:
        """relayctl wants a swap."""
        self.control("swap", connection, **args)

    def warm(
        self,
        number: int,
        *,
        digest: str = "",
        limits: v1.Limits = FAST,
        build: str = "9.8",
        body: cache.Body = BODY,
        backends: Iterable[v1.BackendInfo] = BACKENDS,
        states: dict[str, str] | None = None,
    ) -> int:
        """Bring a candidate up to all but its readiness; returns its pid."""
        pid = self.hatch(number, build=build)
        self.configure(number, limits=limits, digest=digest, backends=backends)
        self.healthy(number, states)
        name = "d1" if body is BODY else f"of {number}"
        self.catalogue(body, name, generation=number)
        return pid

    def candidate(self, number: int, **settings: Any) -> int:
        """Bring a candidate up to its readiness; returns its pid."""
        pid = self.warm(number, **settings)
        self.ready(number)
        return pid

    def healthy(self, number: int, states: dict[str, str] | None = None) -> None:
        """A worker reports its backends, `ready` where *states* does not say otherwise."""
        for name, state in ({"files": "ready", "slow": "ready"} | (states or {})).items():
            self.frame(v1.BackendState(name, state), b"", number)

    def call_on(self, key: object, *args: Any, **kwargs: Any) -> tuple[int, int]:
        """The client calls a tool; returns which generation got it, and its number."""
        self.line(call(key, *args, **kwargs))
        ((generation, message),) = self.to_worker(v1.Call)
        return generation, message.call

    def answered_calls(self, count: int, outcome: int = v1.OUTCOME_RESULT) -> None:
        """The active worker gets so many calls and answers them."""
        for key in range(count):
            generation, number = self.call_on(f"probe{key}")
            self.reply(number, generation=generation, outcome=outcome)
        self.client()

    # ---- what has become of it ----------------------------------------------------------------

    def life(self, number: int) -> Life | None:
        """The state of a generation, None when it is forgotten."""
        generation = self.relay.shared.workers.state.generations.get(number)
        return generation.state if generation else None

    @property
    def active(self) -> int | None:
        """The generation that gets new calls."""
        return self.relay.shared.workers.state.active

    @property
    def last(self) -> Swap:
        """The swap that ended last."""
        swap = self.relay.swaps.last
        assert swap is not None, "no swap has ended"
        return swap

    def ended(self, outcome: Outcome, word: str = "") -> bool:
        """Whether the last swap ended so, with this word in its reason."""
        return self.last.outcome is outcome and word in self.last.reason

    def final(self, connection: int = 7) -> Any:
        """What relayctl was told last: the result, or the failure."""
        reply = self.told(connection)[-1]
        assert reply.done, "relayctl is left waiting"
        return reply.error or msgspec.json.decode(bytes(reply.result))

    def signals(self) -> list[tuple[int, int]]:
        """Take out what was signalled, as (pid, signal)."""
        return [(effect.pid, effect.signal) for effect in self.take(effects.Signal)]
