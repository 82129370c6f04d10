"""Calls of a legacy client at a modern backend behind a pipe: its inputs, and how a call is made
once more without anybody ever having to guess whether it was.

While the client is asked, the call counts as written: the next worker would find the round in what
was told of it last (`Custody.rounds`). From before the supervisor hears that all is answered until
the frame is written the ledger says that nobody can tell.
"""

from collections.abc import Callable

import msgspec

from relay_supervisor.wire import v1
from relay_supervisor.wire.ledger import Stage
from relay_worker.backends import frames
from relay_worker.backends.base import Backend, Host
from relay_worker.backends.client import Client, is_modern
from relay_worker.backends.inputs import Inputs
from relay_worker.backends.stdio import Transport
from relay_worker.backends.surroundings import Surroundings
from relay_worker.repair import Envelope

_WRITING = Stage.WRITING.value


class Bridge:
    """The rounds of one process. *in_flight* are its calls, as its connection has them;
    *on_lasting* is called when something has changed that the next worker has to know.
    """

    def __init__(
        self,
        around: Surroundings,
        backend: Backend,
        host: Host,
        client: Client,
        pid: int,
        *,
        transport: Transport,
        in_flight: dict[int, int],
        on_lasting: Callable[[], None],
    ) -> None:
        self.inputs = Inputs(
            around.loop,
            backend,
            host,
            client,
            pid,
            again=self._repeat_soon,
            over=lambda call: in_flight.pop(call, None),
            changed=on_lasting,
        )
        self.rounds = self.inputs.rounds
        self._around = around
        self._backend = backend
        self._host = host
        self._transport = transport
        self._in_flight = in_flight
        self._on_lasting = on_lasting

    def begin(self, call: int, method: str, params: bytes, enveloped: bytes) -> None:
        """A call is made, with these params of the client's and as they were sent."""
        if call > 0 and not is_modern(params):  # nobody answers for the relay's own
            self.rounds.begin(call, method, enveloped)

    def is_final(self, call: int, envelope: Envelope, at: int) -> bool:
        """Return whether an answer of the backend's is the last word on a call."""
        number = frames.round_number(envelope["id"])
        if call not in self._in_flight or not self.rounds.expects(call, number):
            return False
        return self.inputs.replied(call, envelope, at)

    def withdraw(self, call: int, params: bytes) -> bytes | None:
        """Nobody wants the answer to a call; returns the *params* of the notification the backend
        is to get of that, or None where it waits for nothing.
        """
        if call not in self.rounds:
            return params
        raw_id = self.rounds.under_way(call)
        self.inputs.forget(call)
        if raw_id is None:
            return None
        members = frames.decode_object(params) or {}
        return frames.encode({**members, "requestId": msgspec.Raw(raw_id)})

    def _repeat_soon(self, call: int) -> None:
        """Make a call once more, when the supervisor knows that it is no longer asked about."""
        self._around.ledger.mark(call, _WRITING)
        self.rounds.making(call)
        self._on_lasting()
        self._around.send(v1.Begun(call))
        self._around.when_written(self._repeat, call)

    def _repeat(self, call: int) -> None:
        if call not in self._in_flight or call not in self.rounds.due():
            return  # withdrawn, or another worker's by now
        number, method, params = self.rounds.make(call)
        self._in_flight[call] = self._transport.queued_bytes
        frame = frames.call_frame(call, method, params, number)
        if not self._transport.write(frame, number=call):
            self.inputs.forget(call)
            del self._in_flight[call]
            reason = "it does not read its input any more"
            self._host.unfinished(self._backend, call, reason, may_have_run=True)
