"""Tasks that the client carries out for backends (2025-11-25): whose each of them is.

The client knows one server, the relay; so it is the relay that keeps a backend from the tasks of
another. Whose a task is outlives this worker: the supervisor is told, as of links.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from relay_supervisor.wire import v1
from relay_worker.backends import frames
from relay_worker.links import HOSTED, Links

ID_CHARS_MAX: Final = 2048
"""A task with a longer id is anybody's."""

LIST: Final = "tasks/list"
STATUS: Final = "notifications/tasks/status"

_TASK_ID: Final = b'"taskId"'


class _Task(msgspec.Struct):
    taskId: str = ""


class _Result(msgspec.Struct):
    task: _Task = msgspec.field(default_factory=_Task)


class _Made(msgspec.Struct):
    result: _Result = msgspec.field(default_factory=_Result)


_made: Final = msgspec.json.Decoder(_Made).decode
_tasks: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_UNDECODABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class ClientTasks:
    """*send* tells the supervisor."""

    def __init__(self, send: Callable[..., None]) -> None:
        self._send = send
        self._owners = Links()

    def known(self, message: v1.KnownLinks) -> None:
        """Take over what another worker has seen."""
        self._owners.learn(message.backend, (uri for uri in message.uris if uri.startswith(HOSTED)))

    def owner(self, params: bytes) -> str | None:
        """Return whose the task is that *params* name, None where nobody knows."""
        task = frames.text_of((frames.decode_object(params) or {}).get("taskId"))
        return None if task is None else self._owners.get(HOSTED + task)

    def refusal(self, backend: str, method: str, params: bytes) -> bytes | None:
        """Return the error that a question of this backend's is due, as the task is another's."""
        if not method.startswith("tasks/") or self.owner(params) in {None, backend}:
            return None
        return frames.error_members(frames.INVALID_PARAMS, "Unknown task")

    def answered(self, message: v1.ClientAnswer, members: bytes) -> bytes:
        """Take note of a task that an answer makes, before its backend can ask for it. Returns the
        answer as that backend is to have it.
        """
        if _TASK_ID not in members:
            return members
        if message.method == LIST:
            return self._own(message.backend, members)
        try:
            task = _made(b"{" + members).result.task.taskId
        except _UNDECODABLE:
            return members
        if task and len(task) <= ID_CHARS_MAX:
            self._learn(message.backend, task)
        return members

    def _learn(self, backend: str, task: str) -> None:
        if news := self._owners.learn(backend, [HOSTED + task]):
            self._send(v1.LearnedLinks(backend, news))

    def _own(self, backend: str, members: bytes) -> bytes:
        """Leave the tasks of others out of a list."""
        envelope = frames.decode_object(b"{" + members) or {}
        result = frames.decode_object(envelope.get("result")) or {}
        try:
            tasks = _tasks(result.get("tasks", b""))
        except _UNDECODABLE:
            return members
        own = [task for task in tasks if self.owner(bytes(task)) in {None, backend}]
        if len(own) == len(tasks):
            return members
        result["tasks"] = msgspec.Raw(frames.encode(own))
        envelope["result"] = msgspec.Raw(frames.encode(result))
        return frames.encode(envelope)[1:]
