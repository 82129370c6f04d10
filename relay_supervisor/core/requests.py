"""The table of what the client asked and waits for: every request is answered once, or cancelled.

Answers of a batch (2025-03-26) are gathered here until the last of them is known.
"""

from relay_supervisor.core import mcp
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.state import BatchReply, ClientRequest, Phase


class Requests:
    """Client requests from arrival to answer."""

    def __init__(self, shared: Shared) -> None:
        self._state = shared.state
        self._out = shared.out

    def add(self, request: ClientRequest) -> None:
        """Take a request in, with the params that a backend will need."""
        state = self._state
        state.requests[request.id] = request
        if request.params:
            state.retained_bytes += len(request.params)

    def find(self, key: mcp.Id | None) -> ClientRequest | None:
        """Return the open request with this id."""
        return None if key is None else self._state.requests.get(key)

    def waiting(self, phase: Phase) -> list[ClientRequest]:
        """Return the requests in *phase*, oldest first."""
        return [r for r in self._state.requests.values() if r.phase is phase]

    def answer(self, request: ClientRequest, members: bytes) -> None:
        """Answer a request, and forget it."""
        self._forget(request)
        self._send(request.raw_id, members, request.batch)

    def reject(
        self, raw_id: bytes, code: int, text: str, batch: int = 0, data: object = None
    ) -> None:
        """Answer what never became a request."""
        self._send(raw_id, mcp.error(code, text, data), batch)

    def cancel(self, request: ClientRequest) -> None:
        """Forget a request that the client no longer wants answered."""
        self._forget(request)
        if request.batch:
            self._settle(request.batch)

    def open_batch(self, answers: int) -> int:
        """Begin a batch that owes this many answers; return its number."""
        if not answers:
            return 0
        self._state.last_batch += 1
        self._state.batches[self._state.last_batch] = BatchReply(answers)
        return self._state.last_batch

    def _forget(self, request: ClientRequest) -> None:
        state = self._state
        del state.requests[request.id]
        state.retained_bytes -= len(request.params)
        state.calls.pop(request.call, None)

    def _send(self, raw_id: bytes, members: bytes, batch: int) -> None:
        buffers = mcp.response(raw_id, members)
        if batch:
            self._state.batches[batch].parts.append(b"".join(buffers[:-1]))
            self._settle(batch)
        else:
            self._out.client(buffers)

    def _settle(self, batch: int) -> None:
        """One more request of a batch is answered, or will never be."""
        reply = self._state.batches[batch]
        reply.waiting -= 1
        if not reply.waiting:
            del self._state.batches[batch]
            if reply.parts:
                self._out.client((b"[", b",".join(reply.parts), b"]\n"))
