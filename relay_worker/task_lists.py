"""One list of the tasks of several backends (`tasks/list` of 2025-11-25).

Each backend is asked by a call of the relay's own, page by page; the client gets one page with the
tasks of all of them, in the order of the configuration. Of one that does not answer in time
there is what it has said by then; only where nobody answers that is the answer.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from relay_supervisor.wire import v1
from relay_worker import failures
from relay_worker.backends import frames
from relay_worker.loop import Loop, Timer

METHOD: Final = "tasks/list"

CALLS_MAX: Final = 1000
"""Calls that one list may take; what would take more is left out."""

LIST_SECONDS_MAX: Final = 30.0
"""Then the list is answered with what there is: one that is silent must not hide all others'."""

NUMBERS_FROM: Final = 10**17
"""Of calls for lists: no call of the relay's own that is for something else has such a number."""

CallFor = Callable[[v1.Call, bytes, Callable[[int, bytes], None]], None]
_tasks: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Gathering(msgspec.Struct):
    """A list on its way. `open`: the backends that have more to say."""

    message: v1.Call
    tasks: dict[str, list[msgspec.Raw]]
    open: set[str]
    calls: int = 0
    answered: bool = False
    refusal: bytes = b""
    limit: Timer | None = None

    def close(self) -> None:
        """It is answered, or another worker's: nothing more is waited for."""
        self.open.clear()
        if self.limit is not None:
            self.limit.cancel()


class TaskLists:
    """*call_for* carries out a call of the relay's own, *reply* answers the client's; *send* tells
    the supervisor that another worker is to carry that out, as a backend has gone there.
    """

    def __init__(
        self,
        call_for: CallFor,
        reply: Callable[[v1.Call, int, bytes], None],
        send: Callable[..., None],
        loop: Loop,
    ) -> None:
        self._call_for = call_for
        self._reply = reply
        self._send = send
        self._loop = loop

    def gather(self, message: v1.Call, params: bytes, backends: tuple[str, ...]) -> None:
        """Answer a request for the list with what these backends have."""
        if frames.text_of((frames.decode_object(params) or {}).get("cursor")) is not None:
            text = "unknown cursor: every list has one page"
            error = frames.error_members(frames.INVALID_PARAMS, text)
            return self._reply(message, v1.OUTCOME_REFUSED, error)
        one = _Gathering(message, {name: [] for name in backends}, set(backends))
        one.limit = self._loop.after(LIST_SECONDS_MAX, partial(self._late, one))
        for name in backends:
            self._ask(one, name, {})
        return None

    def _ask(self, one: _Gathering, backend: str, params: dict[str, object]) -> None:
        one.calls += 1
        number = NUMBERS_FROM + one.message.call * CALLS_MAX + one.calls
        call = v1.Call(-number, METHOD, backend, v1.LEGACY)
        self._call_for(call, frames.encode(params), partial(self._page, one, backend))

    def _page(self, one: _Gathering, backend: str, _outcome: int, members: bytes) -> None:
        if backend not in one.open:
            return None  # it was given back
        envelope = frames.decode_object(b"{" + members) or {}
        result = frames.decode_object(envelope.get("result"))
        if result is None:
            if members == failures.members(one.message, failures.MOVED.format(backend)):
                one.close()
                return self._send(v1.Returned([one.message.call]))
            one.refusal = one.refusal or members
            return self._end(one, backend)
        try:
            one.tasks[backend] += _tasks(result.get("tasks", b""))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._end(one, backend)
        one.answered = True
        cursor = frames.text_of(result.get("nextCursor"))
        if cursor is None or one.calls >= CALLS_MAX - 1:
            return self._end(one, backend)
        return self._ask(one, backend, {"cursor": cursor})

    def _late(self, one: _Gathering) -> None:
        for backend in sorted(one.open):
            text = failures.SILENT.format(backend, f"{METHOD} within {LIST_SECONDS_MAX:g} s")
            one.refusal = one.refusal or failures.members(one.message, text)
            self._end(one, backend)

    def _end(self, one: _Gathering, backend: str) -> None:
        one.open.discard(backend)
        if one.open:
            return
        one.close()
        if not one.answered and one.refusal:
            self._reply(one.message, v1.OUTCOME_BACKEND_ERROR, one.refusal)
            return
        tasks = [task for found in one.tasks.values() for task in found]
        self._reply(one.message, v1.OUTCOME_RESULT, frames.result_members({"tasks": tasks}))
