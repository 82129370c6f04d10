"""Calls on their way: to the backend that owns the name, and the answers back.

Holds a call while its backend starts, and answers it where the backend cannot. It looks at names
and envelopes only; the cost of a call does not depend on how many backends and tools there are.
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from relay_supervisor.wire import v1
from relay_supervisor.wire.ledger import Ledger
from relay_worker import failures
from relay_worker.answers import Answers
from relay_worker.backends import frames
from relay_worker.backends.base import READY, Backend, State
from relay_worker.backends.client import Client
from relay_worker.backends.envelopes import readable_error, readable_object
from relay_worker.catalogue import Catalogue
from relay_worker.eras import legacy_params, same_era_params
from relay_worker.extensions import Extensions
from relay_worker.flights import AGAIN_BYTES_MAX, Flight, Waiting
from relay_worker.loop import Loop
from relay_worker.repair import Envelope
from relay_worker.resource_desk import ResourceDesk
from relay_worker.results import for_client
from relay_worker.retries import instead, objection
from relay_worker.routes import Everybody, Found, Target, Undecided, find, handles
from relay_worker.task_lists import TaskLists

TOOLS_CALL: Final = "tools/call"

_LEGACY: Final = v1.LEGACY
_NULL: Final = msgspec.Raw(b"null")
_ELSEWHERE: Final = frozenset({State.LEAVING, State.AWAITED})


class Router(Answers):
    """Implements `backends.base.Host`.

    `backends` has every enabled backend by name, the relay's own included; `resources` and
    `extensions` are for what passes about those. `refresh` brings the catalogue up to date, and
    tells whether it was not. Calls of the relay's own have negative numbers, others are the
    client's.
    """

    def __init__(
        self,
        loop: Loop,
        send: Callable[..., None],
        reply: Callable[[int, int, bytes], None],
        ledger: Ledger,
    ) -> None:
        """*reply* is `send` for a `Reply` with small members."""
        super().__init__(send)
        self.catalogue: Catalogue | None = None
        self.client: Client | None = None
        self.refresh: Callable[[], bool] = lambda: False
        self._loop = loop
        self._reply_small = reply
        self._take = ledger.take
        self._known: dict[str, tuple[Backend, str | None]] = {}  # where calls of tools went
        self._flights: dict[int, Flight] = {}
        self._waiting: dict[int, Waiting] = {}
        self.resources = ResourceDesk(send)
        self.extensions = Extensions(send)
        self._task_lists = TaskLists(self.call_for, self.reply, send, loop)

    # ---- from the supervisor ----------------------------------------------------------------

    def call(self, message: v1.Call, params: bytes) -> None:
        """Carry out a client request."""
        call = message.call
        self._take(call)
        known = self._known.get(message.name)
        if known is not None and message.method == TOOLS_CALL and message.era == _LEGACY:
            backend, name = known  # this spares nearly all the rest
            if backend.state is READY and not message.tell:
                self._deliver(message, backend, same_era_params(params, call, name), params)
                return
        self._admit(Waiting(message, params))

    def call_for(self, message: v1.Call, params: bytes, done: Callable[[int, bytes], None]) -> None:
        """Carry out a call of the relay's own; *done* gets its outcome and members."""
        self._own[message.call] = done
        self._admit(Waiting(message, params))

    def waits(self, call: int) -> bool:
        """Return whether a call still waits for its backend to be ready."""
        return call in self._waiting

    def cancel(self, message: v1.Cancel, params: bytes) -> None:
        """Withdraw a call; it is not answered any more."""
        self._own.pop(message.call, None)
        waiting = self._waiting.pop(message.call, None)
        if waiting and waiting.timer:
            waiting.timer.cancel()
        flight = self._flights.pop(message.call, None)
        backend = flight.backend if flight else self.backends.get(message.backend)
        under_way = False
        if backend and not waiting:
            members = frames.decode_object(legacy_params(params)) or {}
            members["requestId"] = msgspec.Raw(frames.call_id(message.call))
            under_way = backend.cancel(message.call, frames.encode(members), message.errand)
        if message.errand and not under_way:
            self.done(message.errand)

    def look_again(self) -> None:
        """Catalogue or states have changed: send, or answer, the calls that can be."""
        for number, waiting in list(self._waiting.items()):
            if self._dispatch(waiting):
                if waiting.timer:
                    waiting.timer.cancel()
                self._waiting.pop(number, None)

    def give_back(self, names: Iterable[str]) -> None:
        """Return the calls that wait for these backends, for one that another worker has, or for
        one that is not known yet.
        """
        given = set(names)
        self._return(
            [
                call
                for call, waiting in self._waiting.items()
                if (backend := self.backends.get(waiting.wanted or "")) is None
                or backend.name in given
                or backend.state is State.AWAITED
            ]
        )

    def adopt(self, catalogue: Catalogue) -> None:
        """Route by *catalogue* from now on."""
        self.catalogue = catalogue
        self._known.clear()
        self.resources.adopt(catalogue, self.backends)

    # ---- from the backends (backends.base.Host) -------------------------------------------

    def replied(self, backend: Backend, call: int, envelope: Envelope) -> None:
        """A backend answered a call."""
        flight = self._flights.pop(call, None)
        if flight is None:
            return
        result = envelope.get("result")
        if result is None or result == _NULL:  # JSON-RPC 1 had one beside an error
            self._replied_error(flight, envelope)
        elif (shown := readable_object(result)) is None:
            self._bad_answer(flight, "a result that is no object")
        else:
            self._show(flight, shown)

    def resulted(self, backend: Backend, call: int, result: msgspec.Raw, members: bytes) -> None:
        """The same, of what needs no closer look."""
        flight = self._flights.pop(call, None)
        if flight is None:
            return
        message = flight.message
        if message.method == TOOLS_CALL and message.era == _LEGACY and call > 0:
            if self.resources.several:
                self.resources.answered(backend, message, result)
            if task := self.extensions.answered(backend, message, result):
                self._send(v1.Reply(call, v1.OUTCOME_RESULT, task), members)
            else:
                self._reply_small(call, v1.OUTCOME_RESULT, members)
        else:
            self._show(flight, result)

    def progressed(self, backend: Backend, call: int, params: bytes, at: int) -> None:
        """Pass on the progress of a call, or of a task that it may have made."""
        flight = self._flights.get(call)
        whose = "" if flight and flight.backend is backend else backend.name
        self._send(v1.Progress(call, backend.pid or 0, at, whose), params)

    def notified(
        self, backend: Backend, method: str, params: bytes, at: int, call: int = 0
    ) -> None:
        """Pass on a notification."""
        if self.resources.passes(backend, method, params):
            self._send(v1.Notification(backend.name, method, backend.pid or 0, at, call), params)

    def adopted(self, backend: Backend, calls: list[v1.Call]) -> None:
        """Expect the answers to calls that another worker has sent."""
        for message in calls:
            self._flights[message.call] = Flight(message, backend, None)

    def frozen(self, backend: Backend, calls: list[int]) -> None:
        """Forget calls that go on under another worker; the relay's own do not."""
        for call in calls:
            flight = self._flights.pop(call, None)
            if flight and call < 0:
                self._fail(flight.message, failures.MOVED.format(backend.name))

    def lost(self, backend: Backend, calls: list[int], reason: str) -> None:
        """Answer the calls that died with their backend."""
        for call in calls:
            if flight := self._flights.pop(call, None):
                self._fail(flight.message, failures.DIED.format(backend.name, reason))

    def unread(self, backend: Backend, calls: list[int], reason: str) -> None:
        """Send calls anew that their backend died too early to read."""
        for call in calls:
            flight = self._flights.pop(call, None)
            if flight is None:
                continue
            if backend.state in _ELSEWHERE and call > 0:
                self._send(v1.Returned([call]))
                continue
            if flight.again is None:
                self._fail(flight.message, failures.UNREAD.format(backend.name, reason))
                continue
            self._admit(Waiting(flight.message, flight.again, sent_before=True))

    def unusable(self, backend: Backend, call: int, fault: str) -> None:
        """Answer a call whose reply cannot be passed on."""
        if flight := self._flights.pop(call, None):
            self._fail(flight.message, failures.UNUSABLE.format(backend.name, fault))

    def unfinished(self, backend: Backend, call: int, reason: str, *, may_have_run: bool) -> None:
        """Answer a call that its backend will not answer."""
        if flight := self._flights.pop(call, None):
            text = failures.UNFINISHED if may_have_run else failures.NOT_RUN
            self._fail(flight.message, text.format(backend.name, reason))

    # ---- answers ----------------------------------------------------------------------------

    def finish(self, call: int, members: bytes) -> None:
        """Answer a call that the relay itself has carried out."""
        if flight := self._flights.pop(call, None):
            self.reply(flight.message, v1.OUTCOME_RESULT, members)

    def failed(self, message: v1.Call) -> None:
        """Answer a call that a bug of the relay's got in the way of."""
        self._waiting.pop(message.call, None)
        self._flights.pop(message.call, None)
        text = "The relay failed to carry out this call; its log says why."
        members = frames.error_members(frames.INTERNAL_ERROR, text)
        self.reply(message, v1.OUTCOME_RELAY_ERROR, members)

    def _show(self, flight: Flight, result: msgspec.Raw) -> None:
        """Answer with a result that can be read."""
        message, backend = flight.message, flight.backend
        shown = for_client(result, message, modern=backend.modern)
        self.resources.answered(backend, message, shown)
        task = self.extensions.answered(backend, message, shown)
        if message.era == v1.LEGACY:  # in pieces, without a copy
            self._answer(message.call, v1.OUTCOME_RESULT, b'"result":', shown, b"}", task=task)
        else:
            self.reply(message, v1.OUTCOME_RESULT, b"".join((b'"result":', shown, b"}")))

    def _replied_error(self, flight: Flight, envelope: Envelope) -> None:
        modern = flight.message.era == v1.MODERN
        if modern and (answer := instead(self.client, flight.again, envelope)) is not None:
            return self.reply(flight.message, *answer)
        error = envelope.get("error")
        if error is None or error == _NULL:
            self._bad_answer(flight, "neither result nor error")
        else:
            members = readable_error(error, flight.backend.name)
            self.reply(flight.message, v1.OUTCOME_BACKEND_ERROR, members)
        return None

    def _return(self, calls: list[int]) -> None:
        """Let go of calls that wait: they are for another worker, the relay's own for nobody."""
        for call in calls:
            waiting = self._waiting.pop(call)
            if waiting.timer:
                waiting.timer.cancel()
            if call < 0:
                self._fail(waiting.message, failures.MOVED.format(waiting.wanted))
        if theirs := [call for call in calls if call > 0]:
            self._send(v1.Returned(theirs))

    # ---- routing ----------------------------------------------------------------------------

    def _admit(self, waiting: Waiting) -> None:
        """Send or answer a call, now or later."""
        if not self._dispatch(waiting):
            self._waiting[waiting.message.call] = waiting

    def _dispatch(self, waiting: Waiting) -> bool:
        """Send or answer a call; False where it has to wait."""
        message = waiting.message
        if self.catalogue is None:
            return False
        target = self._find(self.catalogue, message, waiting.params)
        if isinstance(target, Undecided) and self.refresh():
            target = self._find(self.catalogue, message, waiting.params)
        if isinstance(target, Target):
            backend = self.backends.get(target.backend)
            if backend is None:
                self._fail(message, f"Backend '{target.backend}' is not there any more.")
                return True
            if message.method == TOOLS_CALL:
                self._known[message.name] = backend, target.name
            if backend.state is State.READY:
                self._transmit(message, waiting.params, backend, target, not waiting.sent_before)
                return True
            return self._start_for(waiting, backend)
        if isinstance(target, Undecided):
            return self._await_name(waiting, target)
        if isinstance(target, Everybody):
            self._task_lists.gather(message, waiting.params, target.backends)
        else:
            self._refuse(message, target)
        return True

    def _find(self, catalogue: Catalogue, message: v1.Call, params: bytes) -> Found:
        if handles(message.method):
            return find(catalogue, message, params, self.resources.owner_of)
        return self.extensions.find(message, params, self.backends)

    def _transmit(
        self, message: v1.Call, params: bytes, backend: Backend, to: Target, retries: int = 1
    ) -> None:
        call, name = message.call, to.name
        if message.era == _LEGACY:
            sent = same_era_params(to.params or params, call, name)
        elif (refused := objection(backend, params)) is not None:
            self._refuse(message, refused)
            return
        else:
            adapt = same_era_params if backend.modern else legacy_params
            sent = adapt(to.params or params, call, name)
        if message.tell:
            self._send(v1.Routed(call, backend.name))
        self._deliver(message, backend, sent, params if retries else None)

    def _deliver(
        self, message: v1.Call, backend: Backend, params: bytes, again: bytes | None
    ) -> None:
        error = backend.call(message.call, message.method, params)
        if error is None:
            if again is not None and len(again) > AGAIN_BYTES_MAX:
                again = None
            self._flights[message.call] = Flight(message, backend, again)
        else:
            self._fail(message, error)

    def _start_for(self, waiting: Waiting, backend: Backend) -> bool:
        """Start a backend for a call, and let it wait; True where that is no use."""
        if backend.state is State.FAILED and waiting.wanted == backend.name:
            self._fail(waiting.message, backend.trouble)
            return True
        waiting.wanted = backend.name
        backend.want()
        if backend.state is State.FAILED:
            self._fail(waiting.message, backend.trouble)
            return True
        self._set_deadline(waiting, backend.start_timeout_seconds)
        return False

    def _await_name(self, waiting: Waiting, target: Undecided) -> bool:
        """Let a call wait whose name may still be learned; True where it is answered."""
        owner = self.backends.get(target.owner or "")
        if owner is not None and owner.lists is None:
            return self._start_for(waiting, owner)
        # The lists of one that another worker has will come with it.
        known, away = self.backends.values(), State.AWAITED
        awaited = [b for b in known if b.learning or (b.state is away and b.lists is None)]
        if owner is not None or not awaited:
            self._refuse(waiting.message, target.refusal)
            return True
        seconds = max(backend.start_timeout_seconds for backend in awaited)
        self._set_deadline(waiting, seconds)
        return False

    def _set_deadline(self, waiting: Waiting, seconds: float) -> None:
        if waiting.timer is None:
            waiting.timer = self._loop.after(seconds, lambda: self._expire(waiting))

    def _expire(self, waiting: Waiting) -> None:
        self._waiting.pop(waiting.message.call, None)
        backend = self.backends.get(waiting.wanted or "")
        reason = backend.trouble if backend else "The backends did not start in time."
        self._fail(
            waiting.message,
            f"{reason}\nThe call has waited for it as long as a start may "
            "take (start_timeout_seconds).",
        )
