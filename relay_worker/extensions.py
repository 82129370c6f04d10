"""Requests that the protocol itself does not have: which backend they are for.

One about a task is for whoever has made it, any other one for the first backend that declares the
extension. Whose a task is outlives this worker: the supervisor is told, as of links.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from relay_supervisor.wire import extensions, v1
from relay_worker.backends import frames
from relay_worker.backends.base import Backend
from relay_worker.links import TASK, Links
from relay_worker.routes import Everybody, Found, Refused, Target, Undecided
from relay_worker.task_lists import METHOD as TASK_LIST

TASK_ID_CHARS_MAX: Final = 2048
"""A task with a longer id is not found again."""

TASK_BYTES_MAX: Final = 64 << 10
"""A larger answer is a result, and makes no task."""


_TASK_ID: Final = b'"taskId"'


class _Task(msgspec.Struct):
    taskId: str = ""


class _Made(_Task):
    """What makes a task: the extension's result, or that of 2025-11-25."""

    task: _Task = msgspec.field(default_factory=_Task)


_made: Final = msgspec.json.Decoder(_Made).decode


def _lists(backend: Backend) -> bool:
    """Return whether it has a list of its tasks."""
    declared = frames.decode_object(backend.lists.capabilities if backend.lists else None) or {}
    return "list" in (frames.decode_object(declared.get("tasks")) or {})


class Extensions:
    """*send* tells the supervisor."""

    def __init__(self, send: Callable[..., None]) -> None:
        self._send = send
        self._makers = Links()
        self._watching: set[str] = set()

    def watch(self, tasks: Iterable[str], backends: Mapping[str, Backend]) -> None:
        """Have the backends tell of exactly these tasks, each of its own."""
        shares: dict[str, set[str]] = {}
        for task in tasks:
            if maker := self._makers.get(TASK + task):
                shares.setdefault(maker, set()).add(task)
        for name in self._watching | set(shares):
            if backend := backends.get(name):
                backend.watch(frozenset(shares.get(name, ())))
        self._watching = set(shares)

    def known(self, message: v1.KnownLinks) -> None:
        """Take over what another worker has seen."""
        self._makers.learn(message.backend, (uri for uri in message.uris if uri.startswith(TASK)))

    def answered(self, backend: Backend, message: v1.Call, result: msgspec.Raw | bytes) -> str:
        """Take note of a task that an answer makes, before the client can ask for it. Returns its
        id where a call of the legacy era has made it, else nothing.
        """
        if backend.lists is None or b"tasks" not in backend.lists.capabilities:
            return ""
        if len(result) > TASK_BYTES_MAX or bytes(result).find(_TASK_ID) < 0:
            return ""
        try:
            made = _made(result)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return ""
        task = made.taskId or made.task.taskId
        if not task or len(task) > TASK_ID_CHARS_MAX:
            return ""
        if news := self._makers.learn(backend.name, [TASK + task]):
            self._send(v1.LearnedLinks(backend.name, news))
        return made.task.taskId if message.method == "tools/call" else ""

    def find(self, message: v1.Call, params: bytes, backends: Mapping[str, Backend]) -> Found:
        """Return where a request of an extension's goes."""
        method = message.method
        able = [
            backend.name
            for backend in backends.values()
            if backend.lists is not None and extensions.has(backend.lists.capabilities, method)
        ]
        if not able:
            unknown = Refused(frames.METHOD_NOT_FOUND, f"Method not found: {method}")
            return Undecided(None, unknown)
        if method == TASK_LIST and message.call < 0:
            return Target(message.name)  # the relay's own, for the list of all
        if method == TASK_LIST and len(able) > 1:
            able = [name for name in able if _lists(backends[name])] or able[:1]
            return Everybody(tuple(able)) if len(able) > 1 else Target(able[0])
        task = frames.text_of((frames.decode_object(params) or {}).get("taskId"))
        maker = None if task is None else self._makers.get(TASK + task)
        if maker in able and maker is not None:
            return Target(maker)
        unknown = Refused(frames.INVALID_PARAMS, f"Unknown task: {task}")
        if maker in backends:
            return Undecided(maker, unknown)  # another may have one of the same id
        return Target(able[0]) if task is None or len(able) == 1 else unknown
