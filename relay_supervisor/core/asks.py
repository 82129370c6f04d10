"""What backends ask of the client (roots, sampling, elicitation), under ids of the relay's own.

The answer goes back to the process that asked; if that is gone, the client is told to forget it.
"""

from typing import Final

import msgspec
from msgspec import Raw

from relay_supervisor.core import mcp
from relay_supervisor.core.errands import Errands
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.state import Ask
from relay_supervisor.wire import v1
from relay_supervisor.wire.errors import UNDECODABLE

ASKS_MAX: Final = 1024
"""Open questions to the client; one more is refused to the backend."""


class Asks:
    """Requests from backends to the client."""

    def __init__(self, shared: Shared, errands: Errands) -> None:
        self._errands = errands
        self._state = shared.state
        self._out = shared.out

    def ask(self, generation: int, message: v1.BackendRequest, payload: bytes) -> None:
        """Put a backend's question to the client, or say why it cannot be asked."""
        ask = self.note(generation, message, payload)
        if (refusal := self._refusal(message.method)) is not None:
            return self.settle(ask, refusal)
        if self._state.peer.ready:
            self._put(ask)
        return None

    def note(self, generation: int, message: v1.BackendRequest, payload: bytes) -> Ask:
        """Take a question in; whoever poses it, settles it."""
        state = self._state
        state.last_ask += 1
        ask = state.asks[state.last_ask] = Ask(
            number=state.last_ask,
            method=message.method,
            generation=generation,
            backend=message.backend,
            backend_id=message.id,
            pid=message.pid,
            params=payload,
            call=message.call,
        )
        return ask

    def settle(self, ask: Ask, members: bytes) -> None:
        """A question is answered, or refused: the backend gets to know it."""
        del self._state.asks[ask.number]
        self._errands.answer(ask, members)

    def open(self) -> None:
        """The client is ready: put to it what was asked before."""
        for ask in self._state.asks.values():
            if not ask.ticket:
                self._put(ask)

    def answered(self, message: mcp.Response) -> None:
        """The client answered; an answer to nothing we asked is dropped."""
        ask = self._state.asks.get(message.id) if type(message.id) is int else None
        if ask is not None and not ask.ticket:
            self.settle(ask, message.members)

    def withdraw(self, message: v1.BackendCancel, payload: bytes) -> None:
        """A backend no longer wants its answer."""
        for ask in list(self._state.asks.values()):
            if (ask.pid, ask.backend_id) == (message.pid, message.id):
                try:
                    reason = mcp.members_of(Raw(payload)).get("reason")
                except UNDECODABLE:
                    reason = None
                self._cancel(ask, reason)

    def move(self, pid: int, generation: int) -> None:
        """Another worker has the backend that asked; 0: none has it for now."""
        for ask in self._state.asks.values():
            if ask.pid == pid:
                ask.generation = generation

    def lose(self, *, pid: int | None = None, generation: int | None = None) -> None:
        """Whoever asked is gone: the client need not answer."""
        for ask in list(self._state.asks.values()):
            if pid == ask.pid or generation == ask.generation:
                self._cancel(ask, Raw(b'"the server that asked is gone"'))

    def _put(self, ask: Ask) -> None:
        self._out.client(mcp.request(ask.number, ask.method, ask.params))
        ask.params = b""

    def _cancel(self, ask: Ask, reason: Raw | None) -> None:
        del self._state.asks[ask.number]
        if self._state.peer.ready and not ask.ticket:
            params: dict[str, object] = {"requestId": ask.number}
            if mcp.string(reason) is not None:  # clients trip over one that is no text
                params["reason"] = reason
            body = msgspec.json.encode(params)
            self._out.client(mcp.notification("notifications/cancelled", body))

    def _refusal(self, method: str) -> bytes | None:
        peer = self._state.peer
        capability = mcp.LEGACY_REQUEST_CAPABILITY.get(method)
        if capability is None:
            return mcp.error(mcp.METHOD_NOT_FOUND, f"Method not found: {method}")
        if peer.era != v1.LEGACY:
            text = "Method not found: this client can be asked only while a call of its is open"
            return mcp.error(mcp.METHOD_NOT_FOUND, text)
        if capability not in peer.capabilities:
            text = f"Method not found: the client behind the relay did not declare {capability}"
            return mcp.error(mcp.METHOD_NOT_FOUND, text)
        if len(self._state.asks) > ASKS_MAX:
            text = f"the client has {ASKS_MAX} questions to answer already"
            return mcp.error(mcp.RELAY_ERROR, text)
        return None
