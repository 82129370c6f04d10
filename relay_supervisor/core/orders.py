"""What relayctl asks and orders, and the status that workers ask for as well."""

from collections.abc import Callable
from typing import Any

from msgspec import Raw

from relay_supervisor.core import status
from relay_supervisor.core.effects import ReplyToControl
from relay_supervisor.core.ending import Ending
from relay_supervisor.core.events import ControlRequested
from relay_supervisor.core.recovery import Recovery
from relay_supervisor.core.reexec import Reexec
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.swaps import Swaps
from relay_supervisor.wire import control_v1


class Orders:
    """Answers questions, and begins what was ordered unless something stands in its way."""

    def __init__(
        self, shared: Shared, swaps: Swaps, recovery: Recovery, reexec: Reexec, ending: Ending
    ) -> None:
        self._shared = shared
        self._swaps = swaps
        self._recovery = recovery
        self._reexec = reexec
        self._ending = ending
        self._questions: dict[str, Callable[[float], bytes]] = {
            "status": self.status,
            "configuration": lambda now: status.configuration(shared, recovery.good),
        }
        self._operations: dict[str, Callable[[int, dict[str, Any], float], None]] = {
            "swap": swaps.request,
            "rollback": swaps.rollback,
            "reexec": reexec.request,
        }

    def status(self, now: float) -> bytes:
        """Return one instance of `relayctl status --json`."""
        swap = self._swaps.probation or self._swaps.last
        degraded, kept = self._recovery.degraded, self._recovery.releases
        return status.instance(self._shared, swap, now, degraded=degraded, kept=kept)

    def take(self, event: ControlRequested, now: float) -> None:
        """relayctl has sent a request."""
        request = control_v1.decode_request(event.line)
        if isinstance(request, control_v1.Failure):
            reply = control_v1.Reply(True, error=request)
        elif (answer := self._questions.get(request.op)) is not None:
            reply = control_v1.Reply(True, Raw(answer(now)))
        elif (operate := self._operations.get(request.op)) is not None:
            if (refusal := self._refusal()) is None:
                return operate(event.connection, request.args, now)
            reply = control_v1.Reply(True, error=refusal)
        else:
            build = self._shared.workers.identity.build
            text = f"this relay (version {build}) knows no operation {request.op!r}"
            reply = control_v1.Reply(True, error=control_v1.Failure("unknown_op", text))
        self._shared.out.put(ReplyToControl(event.connection, control_v1.encode(reply)))
        return None

    def _refusal(self) -> control_v1.Failure | None:
        """Return why nothing can be begun now."""
        if self._ending.pace is not None:
            return control_v1.Failure("ending", "the relay ends")
        if self._reexec.open:
            return control_v1.Failure("busy", "the supervisor is being replaced already")
        return None
