"""The configured checks: tool calls that tell whether this worker, with its backends, is any good.

They take the way of the client's calls, under numbers of their own. What a failed check means is
for the supervisor to decide; it gets the results.
"""

import itertools
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, TypeAlias

import msgspec

from relay_supervisor.wire import v1
from relay_worker.backends import frames
from relay_worker.backends.base import State
from relay_worker.config.model import CheckSpec, Expectation
from relay_worker.loop import Loop, Timer
from relay_worker.router import Router

SKIPPED: Final = "skipped: "
"""The detail of a check that could not be run yet begins so; it counts as passed for now."""

DETAIL_CHARS_MAX: Final = 300

GENERATION_BITS: Final = 20
"""Numbers of checks that a generation has to itself, as two may be at work on one backend."""

_PREMATURE: Final = {
    State.IDLE: "is started by its first call",
    State.AWAITED: "is still at work under the worker before this one",
}
"""States of a backend on which no check can be run before this worker serves."""

Done: TypeAlias = Callable[[list[v1.CheckResult]], None]


class _Content(msgspec.Struct):
    text: str = ""


class _Result(msgspec.Struct):
    content: list[_Content] = []
    isError: bool = False


class _Answer(msgspec.Struct):
    result: _Result | None = None
    error: msgspec.Raw = msgspec.Raw(b"")


_decode: Final = msgspec.json.Decoder(_Answer).decode


class Checks:
    """Runs each configured check once. *seconds_max* is the time for an answer, beyond the start
    of the backend; details pass *redact*.
    """

    def __init__(
        self,
        specs: Iterable[CheckSpec],
        router: Router,
        loop: Loop,
        *,
        generation: int,
        seconds_max: float,
        redact: Callable[[str], str],
    ) -> None:
        self._left = list(specs)
        self._router = router
        self._loop = loop
        self._seconds_max = seconds_max
        self._redact = redact
        self._numbers = itertools.count((generation << GENERATION_BITS) + 1)

    def run(self, done: Done, *, serving: bool, until: float = math.inf) -> None:
        """Run the checks that have not run yet, all at once, and tell *done* the results in
        configuration order. Until the worker is *serving*, a check on a backend that only a call
        would start, or that another worker has, is skipped, and left for the next time. No check
        outlasts *until*, in seconds of the monotonic clock.
        """
        specs, self._left = self._left, []
        results: dict[int, v1.CheckResult] = {}

        def finish(index: int, result: v1.CheckResult) -> None:
            results[index] = result
            if len(results) == len(specs):
                done([results[number] for number in range(len(specs))])

        if not specs:
            done([])
        for index, spec in enumerate(specs):
            if not serving and (reason := self._premature(spec)):
                self._left.append(spec)
                finish(index, v1.CheckResult(spec.tool, True, 0.0, SKIPPED + reason))
            else:
                self._start(spec, until, partial(finish, index))

    def _premature(self, spec: CheckSpec) -> str | None:
        """Return why a check has to wait until this worker serves."""
        catalogue = self._router.catalogue
        if catalogue is None:
            return "no client is there yet"
        route = catalogue.tools.get(spec.tool)
        backend = self._router.backends.get(route.backend) if route else None
        if backend is None or backend.state not in _PREMATURE:
            return None
        return f"backend {backend.name} {_PREMATURE[backend.state]}"

    def _start(
        self, spec: CheckSpec, until: float, finish: Callable[[v1.CheckResult], None]
    ) -> None:
        number = -next(self._numbers)
        began = self._loop.now
        timer: Timer | None = None

        def end(detail: str) -> None:
            assert timer is not None
            timer.cancel()
            text = self._redact(detail)[:DETAIL_CHARS_MAX]
            seconds = round(self._loop.now - began, 3)
            finish(v1.CheckResult(spec.tool, not detail, seconds, text))

        def overdue() -> None:
            nonlocal timer
            if self._loop.now < until and self._router.waits(number):
                timer = self._timer(until, overdue)  # its backend is still starting
                return
            self._router.cancel(v1.Cancel(number), b"")
            end(f"there was no answer within {self._loop.now - began:.3g} s")

        timer = self._timer(until, overdue)
        params = frames.encode({"name": spec.tool, "arguments": spec.arguments})
        self._router.call_for(
            v1.Call(number, "tools/call", spec.tool, v1.LEGACY),
            params,
            lambda _outcome, members: end(verdict(members, spec.expect)),
        )

    def _timer(self, until: float, overdue: Callable[[], None]) -> Timer:
        return self._loop.at(min(self._loop.now + self._seconds_max, until), overdue)


def verdict(members: bytes, expected: Expectation) -> str:
    """Return what is wrong with the answer to a check; empty where nothing is."""
    try:
        answer = _decode(b"{" + members)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return f"the answer is no result of a tool: {error}"
    if answer.result is None:
        return _message(answer.error)
    text = "\n".join(content.text for content in answer.result.content)
    if answer.result.isError:
        return text or "the tool reported an error"
    if expected.text_contains is not None and expected.text_contains not in text:
        return f"the answer does not contain {expected.text_contains!r}: {text}"
    return ""


def _message(error: msgspec.Raw) -> str:
    members: dict[str, Any] = {"error": error}
    found = frames.error_of(members)
    return f"{found[1]} ({found[0]})" if found else "the answer is no result of a tool"
