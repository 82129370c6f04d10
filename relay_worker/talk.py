"""What backends and client say to each other besides calls: questions and their answers, levels.

It carries these as they are, and says of an errand when it is done. Calls are the router's.
"""

from collections.abc import Callable, Mapping

from relay_supervisor.wire import v1
from relay_worker.backends import frames
from relay_worker.backends.base import Backend
from relay_worker.client_tasks import STATUS, ClientTasks


class Talk:
    """A part of `backends.base.Host`, and of what the supervisor says. *send* is the pipe's."""

    def __init__(self, send: Callable[..., None]) -> None:
        self.backends: Mapping[str, Backend] = {}
        self.client_tasks = ClientTasks(send)
        self._send = send

    def answer(self, message: v1.ClientAnswer, members: bytes) -> None:
        """Pass the client's answer on to the backend that asked."""
        members = self.client_tasks.answered(message, members)
        backend = self.backends.get(message.backend)
        under_way = backend is not None and backend.answer(
            message.pid, message.id, members, message.errand
        )
        if message.errand and not under_way:
            self.done(message.errand)

    def notification(self, message: v1.ClientNotification, params: bytes) -> None:
        """Pass a notification of the client's on to whom it concerns."""
        if message.method == "notifications/progress":
            found = frames.token_towards_backend(params)
            if found and (backend := self.backends.get(found[0])):
                backend.notify(message.method, found[1])
        elif message.method == STATUS:
            if backend := self.backends.get(self.client_tasks.owner(params) or ""):
                backend.notify(message.method, params)
        elif message.method == "notifications/roots/list_changed":
            for backend in self.backends.values():
                backend.notify(message.method, params, "roots")

    def set_level(self, level: str) -> None:
        """Set the log level of all backends, also of those that start later."""
        for backend in self.backends.values():
            backend.set_level(level)

    def asked(
        self,
        backend: Backend,
        pid: int,
        raw_id: bytes,
        method: str,
        params: bytes,
        at: int,
        call: int = 0,
    ) -> None:
        """Pass on what a backend asks the client, unless it is about what is another's."""
        refusal = self.client_tasks.refusal(backend.name, method, params)
        if refusal is None:
            self._send(v1.BackendRequest(backend.name, raw_id, pid, method, at, call), params)
        else:
            backend.answer(pid, raw_id, refusal)

    def withdrew(self, backend: Backend, pid: int, raw_id: bytes, params: bytes) -> None:
        """Tell the client that nobody waits for its answer."""
        self._send(v1.BackendCancel(backend.name, raw_id, pid), params)

    def done(self, errand: int) -> None:
        """An errand is done, or void."""
        self._send(v1.Done(errand))
