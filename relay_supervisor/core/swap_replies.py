"""What is told of a swap while it goes on, and how it ended: to relayctl, and to the journal."""

import msgspec

from relay_supervisor.core.effects import ReplyToControl
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.swap_record import SUPERVISOR, Outcome, Swap, label
from relay_supervisor.wire import control_v1


class Replies:
    """Writes to whoever waits for a swap."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def phase(self, swap: Swap, name: str, now: float, text: str = "") -> None:
        """A swap has come to its next phase."""
        seconds = round(now - swap.began, 3)
        swap.phases.append((name, seconds))
        self._shared.out.journal("swap_phase", swap=swap.number, phase=name, seconds=seconds)
        progress = {"phase": name, "seconds": seconds, "text": text}
        reply = control_v1.Reply(False, msgspec.Raw(msgspec.json.encode(progress)))
        for connection in (*swap.watchers, *swap.no_wait):
            self._reply(connection, reply)

    def ended(self, swap: Swap, outcome: Outcome, reason: str, now: float) -> None:
        """A swap is over: everybody who waits hears of it, the log and the journal too."""
        self._shared.memory.swaps.last = swap
        swap.outcome, swap.reason = outcome, reason
        swap.seconds = round(now - swap.began, 3)
        self.phase(swap, outcome.value, now)
        out = self._shared.out
        of = " of the supervisor" if swap.kind == SUPERVISOR else ""
        out.log(
            "info" if outcome is Outcome.COMMITTED else "warning",
            f"{swap.op}{of} {swap.number}: {outcome.value}" + (f": {reason}" if reason else ""),
        )
        out.journal("swap_ended", **swap.record())
        for connection in (*swap.watchers, *swap.no_wait):
            self.answer(connection, swap, outcome, now)

    def answer(self, connection: int, swap: Swap, outcome: Outcome, now: float) -> None:
        """Say how it ended, as the last word on this connection."""
        result = swap.record() | {
            "id": f"{self._shared.workers.identity.instance}-{swap.number}",
            "outcome": outcome.value,
            "seconds": round(now - swap.began, 3),
            "serving": label(self._shared.workers.active()),
            "supervisor": self._shared.memory.reexec.label(self._shared.workers.identity.build),
            "ending": self._shared.memory.ending.pace is not None,
            "tools": swap.difference,
            "calls_at_cut_over": swap.calls_at_cut_over,
        }
        self._reply(connection, control_v1.Reply(True, msgspec.Raw(msgspec.json.encode(result))))

    def deny(self, connection: int, code: str, text: str) -> None:
        """Say why nothing was begun."""
        self._reply(connection, control_v1.Reply(True, error=control_v1.Failure(code, text)))

    def _reply(self, connection: int, reply: control_v1.Reply) -> None:
        line = control_v1.encode(reply)
        self._shared.out.put(ReplyToControl(connection, line, reply.done))
