"""What backends ask of the client, what it answers, and what it tells them without being asked.

It looks at envelopes, and at the ids of tasks that the client carries out; the backends and the
supervisor do the rest.
"""

from collections.abc import Callable, Mapping
from typing import Final

from relay_supervisor.wire import v1
from relay_worker.backends import frames
from relay_worker.backends.base import Backend
from relay_worker.client_tasks import STATUS, ClientTasks

PROGRESS: Final = "notifications/progress"
ROOTS_CHANGED: Final = "notifications/roots/list_changed"


class Questions:
    """*send* tells the supervisor."""

    def __init__(self, send: Callable[..., None]) -> None:
        self._send = send
        self.tasks = ClientTasks(send)

    def ask(self, backend: Backend, message: v1.BackendRequest, params: bytes) -> None:
        """Put a backend's question to the client, unless it is about what is another's."""
        refusal = self.tasks.refusal(backend.name, message.method, params)
        if refusal is None:
            self._send(message, params)
        else:
            backend.answer(message.pid, message.id, refusal)

    def answer(
        self, message: v1.ClientAnswer, members: bytes, backends: Mapping[str, Backend]
    ) -> None:
        """Pass the client's answer on to the backend that asked."""
        members = self.tasks.answered(message, members)
        backend = backends.get(message.backend)
        under_way = backend is not None and backend.answer(
            message.pid, message.id, members, message.errand
        )
        if message.errand and not under_way:
            self._send(v1.Done(message.errand))

    def tell(
        self, message: v1.ClientNotification, params: bytes, backends: Mapping[str, Backend]
    ) -> None:
        """Pass a notification of the client's on to whom it concerns."""
        if message.method == PROGRESS:
            found = frames.token_towards_backend(params)
            if found and (backend := backends.get(found[0])):
                backend.notify(message.method, found[1])
        elif message.method == STATUS:
            if backend := backends.get(self.tasks.owner(params) or ""):
                backend.notify(message.method, params)
        elif message.method == ROOTS_CHANGED:
            for backend in backends.values():
                backend.notify(message.method, params, "roots")
