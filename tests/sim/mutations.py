"""Cores that are broken on purpose, each in one way. The simulation has to catch every one."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from relay_supervisor.core import effects, events, mcp
from relay_supervisor.core.asks import Asks
from relay_supervisor.core.calls import Calls
from relay_supervisor.core.client import Client
from relay_supervisor.core.ending import Ending
from relay_supervisor.core.estate import Estate, Losses
from relay_supervisor.core.processes import Processes
from relay_supervisor.core.recovery import Recovery
from relay_supervisor.core.relay import Relay
from relay_supervisor.core.requests import Requests
from relay_supervisor.core.timers import Timers
from relay_supervisor.core.workers import Workers
from relay_supervisor.wire import v1

Mutation = Callable[[pytest.MonkeyPatch], None]


def nothing(*args: Any, **kwargs: Any) -> None:
    """Instead of something."""


def answers_twice(patch: pytest.MonkeyPatch) -> None:
    right = Requests.answer

    def wrong(self: Requests, request: Any, members: Any) -> None:
        right(self, request, members)
        if not request.batch:
            self._out.client(mcp.response(request.raw_id, members))

    patch.setattr(Requests, "answer", wrong)


def forgets_to_answer_sometimes(patch: pytest.MonkeyPatch) -> None:
    right = Requests._send

    def wrong(self: Requests, raw_id: bytes, members: Any, batch: int) -> None:
        if raw_id != b'"3"' or batch:
            right(self, raw_id, members, batch)

    patch.setattr(Requests, "_send", wrong)


def answers_under_another_id(patch: pytest.MonkeyPatch) -> None:
    right = mcp.response
    patch.setattr(mcp, "response", lambda i, m: right(i.strip(b'"'), m))


def answers_what_was_cancelled(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: Requests, request: Any) -> None:
        self.answer(request, b'"result":{"isError":true}}')

    patch.setattr(Requests, "cancel", wrong)


def leaves_the_call_of_what_was_cancelled(patch: pytest.MonkeyPatch) -> None:
    right = Requests.cancel

    def wrong(self: Requests, request: Any) -> None:
        call = self._state.calls.get(request.call)
        right(self, request)
        if call is not None:
            self._state.calls[call.number] = call

    patch.setattr(Requests, "cancel", wrong)


def does_not_cancel_at_the_worker(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Calls, "cancel", nothing)


def gives_replies_to_whoever_asked_last(patch: pytest.MonkeyPatch) -> None:
    right = Calls.reply

    def wrong(self: Calls, generation: int, message: v1.Reply, payload: bytes, now: float) -> bool:
        if message.call in self._state.calls:
            message = v1.Reply(max(self._state.calls), message.outcome)
        return right(self, generation, message, payload, now)

    patch.setattr(Calls, "reply", wrong)


def listens_to_the_dead(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: Relay, event: events.WorkerFrame, now: float) -> None:
        generation = self.shared.workers.state.generations.get(event.generation)
        if generation is None or not generation.version:
            return right(self, event, now)
        message = v1.decode_to_supervisor(event.header)
        return self._messages[type(message)](generation, message, event.payload, now)

    right = Relay._worker_frame
    patch.setattr(Relay, "_worker_frame", wrong)


def sends_calls_to_the_dead(patch: pytest.MonkeyPatch) -> None:
    right = Workers.fail

    def wrong(self: Workers, generation: Any, reason: str) -> None:
        active = self.state.active
        right(self, generation, reason)
        self.state.active = active

    patch.setattr(Workers, "fail", wrong)


def forgets_the_calls_of_a_dead_worker(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Estate, "settle", lambda *args: Losses())


def repeats_calls_with_a_new_worker(patch: pytest.MonkeyPatch) -> None:
    right = Calls.release

    def wrong(self: Calls, now: float) -> None:
        if self._state.last_call:
            call = v1.Call(self._state.last_call, "tools/call", "files__read", 0)
            self._out.worker(self._workers.state.active or 0, call, b'{"marker":1}')
        right(self, now)

    patch.setattr(Calls, "release", wrong)


def never_releases_what_it_holds(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Calls, "release", nothing)


def never_lets_held_requests_expire(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Calls, "expire_held", nothing)


def counts_retained_bytes_up_only(patch: pytest.MonkeyPatch) -> None:
    right = Requests._forget

    def wrong(self: Requests, request: Any) -> None:
        right(self, request)
        self._state.retained_bytes += len(request.params)

    patch.setattr(Requests, "_forget", wrong)


def miscounts_batches(patch: pytest.MonkeyPatch) -> None:
    right = Requests.open_batch
    patch.setattr(Requests, "open_batch", lambda self, n: right(self, n - 1 if n > 2 else n))


def keeps_deadlines_that_have_passed(patch: pytest.MonkeyPatch) -> None:
    right = Timers.due

    def wrong(self: Timers, now: float) -> Iterator[str]:
        for name in right(self, now):
            self.set(name, now)
            yield name

    patch.setattr(Timers, "due", wrong)


def never_starts_another_worker(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Recovery, "died", nothing)


def does_not_tell_who_asked_that_it_is_gone(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: Asks, *, pid: int | None = None, generation: int | None = None) -> None:
        for ask in list(self._state.asks.values()):
            if pid == ask.pid or generation == ask.generation:
                del self._state.asks[ask.number]

    patch.setattr(Asks, "lose", wrong)


def asks_before_the_client_is_ready(patch: pytest.MonkeyPatch) -> None:
    right = Asks.ask

    def wrong(self: Asks, *args: Any) -> None:
        right(self, *args)
        if not self._state.peer.ready:
            self.open()

    patch.setattr(Asks, "ask", wrong)


def greets_without_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Client, "greet_waiting", nothing)


def signals_the_dead(patch: pytest.MonkeyPatch) -> None:
    right = Processes.exited

    def wrong(self: Processes, pid: int) -> Any:
        process = right(self, pid)
        self._out.put(effects.Signal(pid, 15))
        return process

    patch.setattr(Processes, "exited", wrong)


def exits_without_waiting_for_anybody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ending, "signalled", lambda self, now: self._shared.out.put(effects.Exit(0)))
    patch.setattr(Ending, "client_closed", Ending.signalled)


def never_ends(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ending, "begin", nothing)


MUTATIONS: tuple[Mutation, ...] = tuple(
    value
    for name, value in list(globals().items())
    if callable(value) and getattr(value, "__module__", "") == __name__ and name != "nothing"
)
