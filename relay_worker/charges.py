"""The messages that concern stdio backends: their processes, and whose they are.

Each goes to the backend it names. One that names none of this configuration's is answered where the
supervisor waits for an answer; it must not wait for ever because two configurations differ.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from relay_supervisor.wire import v1
from relay_worker.backends.handover import MovableBackend
from relay_worker.router import Router

Handlers: TypeAlias = dict[type[Any], Callable[[Any, bytes], None]]

_OF_ONE: Final[dict[type[Any], Callable[[MovableBackend, Any], None]]] = {
    v1.Spawned: MovableBackend.spawned,
    v1.SpawnRefused: MovableBackend.refused,
    v1.Exited: MovableBackend.exited,
}
"""Messages about a process, and what the backend does with them."""


class Charges:
    """The stdio backends by name. `handlers` are these messages' lines of the table of messages."""

    def __init__(
        self, backends: Mapping[str, MovableBackend], router: Router, send: Callable[..., None]
    ) -> None:
        self._backends = backends
        self._router = router
        self._send = send
        self.handlers: Handlers = {
            **dict.fromkeys(_OF_ONE, self._told),
            v1.Await: self._await,
            v1.Freeze: self._freeze,
            v1.Adopt: self._adopt,
            v1.Stderr: self._complained,
        }

    def _told(self, message: Any, _payload: bytes) -> None:
        if backend := self._backends.get(message.backend):
            _OF_ONE[type(message)](backend, message)

    def _await(self, message: v1.Await, _payload: bytes) -> None:
        for name in message.backends:
            if backend := self._backends.get(name):
                backend.expect()

    def _freeze(self, message: v1.Freeze, _payload: bytes) -> None:
        self._router.give_back(message.backends)
        for name in message.backends:
            if backend := self._backends.get(name):
                backend.freeze()
            else:
                self._send(v1.Frozen(name, 0))

    def _adopt(self, message: v1.Adopt, payload: bytes) -> None:
        if backend := self._backends.get(message.backend):
            backend.adopt(message, payload)
        else:
            refusal = "it is not in the configuration of this worker"
            self._send(v1.Adopted(message.backend, message.pid, refusal))

    def _complained(self, message: v1.Stderr, payload: bytes) -> None:
        if backend := self._backends.get(message.backend):
            backend.complained(message, payload)
