"""What legacy backends ask in a request of a modern client, which no server may send a request to.

The request is parked: it is answered with `input_required`, its call goes on, and the client comes
back with the answers under a new id. `seats` has the table of what can happen to one.

A backend may ask several things at once, and can only send them one by one: so what is asked first
waits a moment for the rest, and all of it is told together.

On stdio nothing says in which call a backend asks. It is taken for the oldest one that it was given
and that is not parked yet: servers work in order more often than not, and clients wait in order. A
wrong guess shows the question with another call of the same backend; whoever answers it, the
backend gets the answer.
"""

from typing import Final

from msgspec import Raw

from relay_supervisor.core import declared, envelope, mcp, request_state, seats
from relay_supervisor.core.asks import ASKS_MAX, Asks
from relay_supervisor.core.calls import Calls
from relay_supervisor.core.errands import Errands
from relay_supervisor.core.requests import Requests
from relay_supervisor.core.seats import Step
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.state import Ask, BackendCall, ClientRequest, Parked, Seat
from relay_supervisor.wire import v1
from relay_supervisor.wire.errors import UNDECODABLE

GATHER_SECONDS: Final = 0.05
"""So long the first question waits for others; nobody who is asked is as quick as to notice."""

RETRY_SECONDS_MAX: Final = 3600.0
"""So long a retry may take: people are asked. Then the call is cancelled, its answer dropped."""

PARKED_MAX: Final = 1024
"""Requests in which something was asked, and which are not over; one more is refused."""

Responses = dict[str, Raw]


class Refused(Exception):
    """A retry that cannot be taken; its text is for the client."""


class Parking:
    """The requests in which something was asked, from the first question to their end."""

    def __init__(
        self, shared: Shared, requests: Requests, calls: Calls, asks: Asks, errands: Errands
    ) -> None:
        self._state = shared.state
        self._known = shared.memory.parking
        self._timers = shared.timers
        self._out = shared.out
        self._open = requests
        self._calls = calls
        self._asks = asks
        self._errands = errands

    # ---- a backend asks ---------------------------------------------------------------------

    def asked(
        self, generation: int, message: v1.BackendRequest, payload: bytes, now: float
    ) -> bool:
        """Park the request that a backend asks in; False where it is none of a modern client's."""
        request = self._asker(generation, message)
        if request is None:
            return False
        ask = self._asks.note(generation, message, payload)
        refusal = self._refusal(ask, request)
        if refusal is not None:
            self._asks.settle(ask, refusal)
        else:
            self._pose(ask, request, now)
        return True

    def _asker(self, generation: int, message: v1.BackendRequest) -> ClientRequest | None:
        state = self._state
        if message.call:
            call = state.calls.get(message.call)
            if call is None or call.generation != generation:
                return None
            return self._request_of(call)
        if state.peer.era == v1.LEGACY:
            return None  # who has shaken hands can be asked at any time
        return self._likeliest(generation, message.backend)

    def _likeliest(self, generation: int, backend: str) -> ClientRequest | None:
        """Return the request a backend most likely asks in. A remote server may ask whoever serves
        now in a call of the worker before: the two share its session.
        """
        found = [
            (call.generation == generation, self._openness(request), -call.number, request)
            for call in self._state.calls.values()
            if call.backend == backend and (request := self._request_of(call)) is not None
        ]
        return max(found, key=lambda one: one[:3])[3] if found else None

    def _openness(self, request: ClientRequest) -> int:
        """Return 2 if nothing is asked in it, 1 if it is about to be parked, 0 if it is."""
        gathers = _timer(request.ticket) in self._timers.at
        return 0 if not request.raw_id else 1 if gathers else 2

    def _request_of(self, call: BackendCall) -> ClientRequest | None:
        request = self._state.requests[call.request]
        modern = request.era == v1.MODERN and request.method in mcp.INPUT_REQUIRED
        return request if modern else None

    def _refusal(self, ask: Ask, request: ClientRequest) -> bytes | None:
        if len(self._state.asks) > ASKS_MAX:
            text = f"the client has {ASKS_MAX} questions to answer already"
            return mcp.error(mcp.RELAY_ERROR, text)
        if not request.ticket and len(self._known.open) >= PARKED_MAX:
            text = f"the client has been asked something in {PARKED_MAX} requests already"
            return mcp.error(mcp.RELAY_ERROR, text)
        return declared.refusal(ask.method, ask.params, self._capabilities(request))

    def _capabilities(self, request: ClientRequest) -> bytes:
        if request.ticket:
            return self._known.open[request.ticket].capabilities
        return bytes(envelope.read(Raw(request.params))[1].capabilities)

    def _pose(self, ask: Ask, request: ClientRequest, now: float) -> None:
        """Ask it in this request: in a moment, or when the client comes back to it."""
        if not request.ticket:
            capabilities = self._capabilities(request)
            self._known.last += 1
            request.ticket = self._known.last
            self._known.open[request.ticket] = Parked(
                request.ticket, request.method, request.name, capabilities
            )
        ask.ticket = request.ticket
        parked = self._known.open[request.ticket]
        if parked.seat is Seat.OPEN and _timer(parked.ticket) not in self._timers.at:
            self._timers.set(_timer(parked.ticket), now + GATHER_SECONDS)

    def due(self, ticket: int, now: float) -> None:
        """A moment has passed since something was asked in it; or the time for a retry."""
        parked = self._known.open.get(ticket)
        if parked is not None and parked.seat is not Seat.OPEN:
            self._expire(parked)
            return
        asks = self._asked_in(ticket)
        if parked is None:
            self._pass_on(asks, now)
        elif asks:
            (request,) = (one for one in self._state.requests.values() if one.ticket == ticket)
            self._park(parked, request, now)

    def _park(self, parked: Parked, request: ClientRequest, now: float) -> None:
        """Answer a request with all that is asked in it."""
        seats.advance(parked, Step.ASKED)
        parked.turn += 1
        body = {
            "resultType": "input_required",
            "inputRequests": {
                _key(ask): _input_request(ask) for ask in self._asked_in(parked.ticket)
            },
            "requestState": request_state.write(self._known.secret, parked.ticket, parked.turn),
        }
        self._open.set_aside(request, _place(parked), mcp.result(body))
        self._timers.set(_timer(parked.ticket), now + RETRY_SECONDS_MAX)

    # ---- the client comes back --------------------------------------------------------------

    def retried(self, retry: ClientRequest, state: Raw, now: float) -> bool:
        """Attach a retry to what was parked, or say why not; False where its state is none of the
        relay's, so it is for whoever has written that.
        """
        try:
            parked = self._find(retry, state)
            if parked is None:
                return False
            responses = _responses(retry)
        except Refused as refused:
            self._open.answer(retry, mcp.error(mcp.INVALID_PARAMS, str(refused)))
            return True
        seats.advance(parked, Step.RETRIED)
        self._timers.clear(_timer(parked.ticket))
        parked.capabilities = bytes(envelope.read(Raw(retry.params))[1].capabilities)
        for ask in self._asked_in(parked.ticket):
            if (response := responses.get(_key(ask))) is not None:
                self._asks.settle(ask, b'"result":' + bytes(response) + b"}")
        left = self._asked_in(parked.ticket)
        if parked.answer:
            self._open.answer(retry, self._open.fetch(parked))
            self._pass_on(left, now)
            return True
        request = self._state.requests[_place(parked)]
        self._open.take_up(request, retry)
        if left:
            self._park(parked, request, now)
        return True

    def _find(self, retry: ClientRequest, state: Raw) -> Parked | None:
        text = mcp.string(state)
        try:
            known = None if text is None else request_state.read(self._known.secret, text)
        except request_state.Forged:
            raise Refused("requestState is none that this relay has given") from None
        if known is None:
            return None
        ticket, turn = known
        parked = self._known.open.get(ticket)
        if parked is None:
            raise Refused(
                "requestState is of a request that is over: it was answered or cancelled, or "
                f"was not retried for {RETRY_SECONDS_MAX:g} s"
            )
        if (parked.method, parked.name) != (retry.method, retry.name):
            raise Refused(f"requestState is of another request: {parked.method} {parked.name}")
        if parked.seat is Seat.OPEN or parked.turn != turn:
            raise Refused("requestState was used already: each is for one retry")
        return parked

    def _pass_on(self, asks: list[Ask], now: float) -> None:
        """The request these were put in is over: what was only taken to be asked in it was asked in
        another.
        """
        for ask in asks:
            request = None if ask.call else self._likeliest(ask.generation, ask.backend)
            if request is None:
                self._asks.settle(ask, _OVER)
            elif (refusal := self._refusal(ask, request)) is not None:
                self._asks.settle(ask, refusal)
            else:
                self._pose(ask, request, now)

    # ---- nobody comes back ------------------------------------------------------------------

    def _expire(self, parked: Parked) -> None:
        """Nobody has retried it in time: cancel it."""
        asks = self._asked_in(parked.ticket)
        request = self._state.requests.get(_place(parked))
        self._open.fetch(parked)
        if request is not None:
            self._calls.cancel(request, b'{"reason":"nobody has answered what was asked"}')
            self._open.cancel(request)
        for ask in asks:
            self._asks.settle(ask, _OVER)
        text = f"{parked.method} {parked.name}: not retried within {RETRY_SECONDS_MAX:g} s"
        self._out.log("info", f"{text}; it was cancelled")

    def _asked_in(self, ticket: int) -> list[Ask]:
        return [ask for ask in self._state.asks.values() if ask.ticket == ticket]


def _timer(ticket: int) -> str:
    return f"parked#{ticket}"


def _key(ask: Ask) -> str:
    return f"question-{ask.number}"


def _place(parked: Parked) -> str:
    """Return its key among the requests, which no client's id has: see `mcp.id_of`."""
    return f"\x00parked {parked.ticket}"


def _input_request(ask: Ask) -> dict[str, object]:
    request: dict[str, object] = {"method": ask.method}
    if ask.params:
        request["params"] = Raw(ask.params)
    return request


def _responses(retry: ClientRequest) -> Responses:
    try:
        responses = mcp.members_of(mcp.members_of(Raw(retry.params)).get("inputResponses", _NONE))
    except UNDECODABLE as error:
        raise Refused("inputResponses must be an object of objects") from error
    if any(mcp.members_or_none(response) is None for response in responses.values()):
        raise Refused("inputResponses must be an object of objects")
    return responses


_NONE: Final = Raw(b"{}")
_OVER: Final = mcp.error(mcp.RELAY_ERROR, "the call in which this was asked is over")
