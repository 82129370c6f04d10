"""The calls under way at a remote backend, and what they come to. In the loop's thread."""

from collections.abc import Callable
from typing import Final

import msgspec

from relay_supervisor.wire.ledger import Stage
from relay_worker.backends.base import Backend, Host
from relay_worker.backends.client import Client
from relay_worker.backends.inputs import Inputs
from relay_worker.backends.remote.messages import NOT_RUN, Failure, Fault
from relay_worker.backends.speech import Spoken
from relay_worker.backends.surroundings import Surroundings
from relay_worker.repair import Envelope

_WRITING: Final = Stage.WRITING.value
_WRITTEN: Final = Stage.WRITTEN.value


RESTING: Final = -1
"""Stands for the attempt of a call that its server has answered, and which may be made again."""


class Flight(msgspec.Struct):
    """A call under way: its frame, if it is to have one, and the number of the attempt to send it,
    0 while it waits for a session. `again`: the session it was sent in before was lost.
    """

    spoken: Spoken | None
    number: int = 0
    again: bool = False


class Calls:
    """Calls by their numbers. *post* sends a frame and returns the number of the attempt."""

    def __init__(
        self,
        around: Surroundings,
        backend: Backend,
        host: Host,
        post: Callable[[Spoken], int],
        client: Client,
        pid: int,
        again: Callable[[int, int, str, bytes], Spoken],
    ) -> None:
        """*again* gives the frame that makes a call for the nth time, with method and params."""
        self._around = around
        self._backend = backend
        self._host = host
        self._post = post
        self._flights: dict[int, Flight] = {}
        self._frame_again = again
        self._inputs = Inputs(
            around.loop,
            backend,
            host,
            client,
            pid,
            again=self._repeat,
            over=lambda call: self._flights.pop(call, None),
        )

    def __len__(self) -> int:
        return len(self._flights)

    def __contains__(self, call: object) -> bool:
        return call in self._flights

    def send(self, call: int, spoken: Spoken) -> None:
        """A call is to go out."""
        self._around.ledger.mark(call, _WRITING)  # from here on it may get there at any moment
        self._flights[call] = Flight(spoken, self._post(spoken))

    def sent(self, call: int) -> None:
        """All of its frame is on its way."""
        if call in self._flights:
            self._around.ledger.mark(call, _WRITTEN)

    def grant(self, call: int) -> None:
        """Answer a call that no server has to see, once whoever makes it knows of it."""
        self._flights[call] = Flight(None)
        envelope = {"result": msgspec.Raw(b"{}")}
        self._around.loop.at_turn_end(lambda: self.answered(call, envelope))

    def bridge(self, call: int, method: str, params: bytes) -> None:
        """A call of a legacy client's goes to a modern server, with these params."""
        self._inputs.rounds.begin(call, method, params)

    def input(self, raw_id: bytes, members: bytes) -> None:
        """The client has answered something that a server has asked for by its answer."""
        self._inputs.answered(raw_id, members)

    def answered(self, call: int, envelope: Envelope) -> None:
        """Its answer has come; dropped where it was withdrawn, or answered before."""
        if call in self._inputs.rounds:
            self._flights[call].number = RESTING
            if not self._inputs.replied(call, envelope):
                return
        if self._flights.pop(call, None) is not None:
            self._host.replied(self._backend, call, envelope)

    def is_at(self, call: int, number: int) -> bool:
        """Return whether this is the attempt that a call waits for."""
        flight = self._flights.get(call)
        return flight is not None and flight.number == number

    def withdraw(self, call: int) -> int:
        """Nobody wants its answer; returns the attempt to let go of, 0 where there is none."""
        self._inputs.forget(call)
        flight = self._flights.pop(call, None)
        return flight.number if flight else 0

    def take(self, *, waiting_only: bool = False) -> list[int]:
        """Return the calls under way (or those that wait for a session), off the list now."""
        flights = self._flights.items()
        calls = [call for call, flight in flights if not (waiting_only and flight.number)]
        for call in calls:
            del self._flights[call]
            self._inputs.forget(call)
        return calls

    def park(self, call: int) -> bool:
        """Let a call wait for another session; False where it has done so before."""
        flight = self._flights[call]
        if flight.again:
            return False
        flight.again, flight.number = True, 0
        return True

    def send_parked(self) -> None:
        """Send the calls that waited for this session."""
        for flight in self._flights.values():
            if not flight.number and flight.spoken is not None:
                flight.number = self._post(flight.spoken)

    def failed(self, call: int, failure: Failure) -> None:
        """Say what has become of a call that will not be answered."""
        if self._flights.pop(call, None) is None:
            return
        begun = self._inputs.rounds.begun(call)  # and must not be made anew
        self._inputs.forget(call)
        text = self._around.log.redact(failure.text)  # servers quote what they were sent
        if failure.fault is Fault.UNREACHED and not begun:
            self._host.unread(self._backend, [call], text)
        elif failure.fault is Fault.UNREADABLE:
            self._host.unusable(self._backend, call, text)
        else:
            may_have_run = begun or failure.fault not in NOT_RUN
            self._host.unfinished(self._backend, call, text, may_have_run=may_have_run)

    def _repeat(self, call: int) -> None:
        """Make a call once more, with the input it has asked for."""
        number, method, params = self._inputs.rounds.make(call)
        self.send(call, self._frame_again(call, number, method, params))
