"""relayctl as the relay sees it: it asks, hears of phases, and is answered once."""

import json
from typing import TYPE_CHECKING, Any

from relay_supervisor.core import effects, events
from relay_supervisor.wire import control_v1
from tests.sim.model import must

if TYPE_CHECKING:
    from tests.sim.world import World

OPERATIONS = {"swap", "rollback", "reexec"}
OUTCOMES = {"committed", "rolled_back", "failed", "probation"}


class Relayctl:
    """All conversations on the control socket."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._connection = 0
        self.waiting: dict[int, dict[str, Any]] = {}
        """What was asked on each connection that is not answered yet."""

    def ask(self, op: str, **args: Any) -> bool:
        """Ask for something that is answered in its time; return whether there is no answer yet."""
        line = control_v1.encode(control_v1.Request(op, args=args))
        self._happen(line, {"op": op, **args})
        return self._connection in self.waiting

    def ask_now(self, line: bytes) -> None:
        """Ask for something that is answered at once."""
        self._happen(line, {"op": ""})
        must(self._connection not in self.waiting, f"relayctl waits for an answer to {line!r}")

    def _happen(self, line: bytes, asked: dict[str, Any]) -> None:
        self._connection += 1
        self.waiting[self._connection] = asked
        self._world.happen(events.ControlRequested(self._connection, line))

    def read(self, effect: effects.ReplyToControl) -> None:
        """A line for relayctl."""
        asked = self.waiting.get(effect.connection)
        must(asked is not None, f"{effect} to nobody who waits")
        assert asked is not None
        reply = control_v1.decode_reply(effect.line)
        must(reply.done == effect.done, f"{effect} is and is not the last")
        if not reply.done:
            must(asked["op"] in OPERATIONS, f"progress of {asked}")
            return
        del self.waiting[effect.connection]
        if reply.error is None and asked["op"] in OPERATIONS:
            outcome = json.loads(bytes(reply.result))["outcome"]
            must(outcome in OUTCOMES, f"{asked} ended as {outcome}")
            early = outcome == "probation"
            must(not early or asked.get("no_wait"), f"{asked} was answered before the end")
