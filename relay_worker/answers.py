"""How a call is answered, in the words of its era; and the answers that are the relay's own.

It knows nothing of where calls are: whoever answers one has taken it off every list before.
"""

from collections.abc import Callable

from relay_supervisor.wire import v1
from relay_supervisor.wire.framing import Buffer
from relay_worker import failures
from relay_worker.backends import frames
from relay_worker.eras import modern_members
from relay_worker.flights import Flight
from relay_worker.routes import Refused
from relay_worker.talk import Talk


class Answers(Talk):
    """A part of the router. Calls of the relay's own (negative numbers) are answered to whoever
    waits for them here, all others to the supervisor.
    """

    def __init__(self, send: Callable[..., None]) -> None:
        super().__init__(send)
        self._own: dict[int, Callable[[int, bytes], None]] = {}

    def reply(self, message: v1.Call, outcome: int, members: Buffer) -> None:
        """Answer a call."""
        if message.era == v1.MODERN:
            members = modern_members(bytes(members), message.method)
        self._answer(message.call, outcome, members)

    def _answer(self, call: int, outcome: int, *members: Buffer, task: str = "") -> None:
        if call >= 0:
            self._send(v1.Reply(call, outcome, task), *members)
        elif done := self._own.pop(call, None):
            done(outcome, b"".join(members))

    def _bad_answer(self, flight: Flight, what: str) -> None:
        text = f"Backend '{flight.backend.name}' answered with {what}"
        members = frames.error_members(frames.INTERNAL_ERROR, text)
        self.reply(flight.message, v1.OUTCOME_BACKEND_ERROR, members)

    def _fail(self, message: v1.Call, text: str) -> None:
        """Answer with a failure of the relay's."""
        self.reply(message, v1.OUTCOME_RELAY_ERROR, failures.members(message, text))

    def _refuse(self, message: v1.Call, refusal: Refused) -> None:
        members = frames.error_members(refusal.code, refusal.text)
        self.reply(message, v1.OUTCOME_REFUSED, members)
