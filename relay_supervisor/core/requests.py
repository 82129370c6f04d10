"""The table of what the client asked and waits for: every request is answered once, or cancelled.

One that is parked (`parking`) has no id for the time being; its answer is kept for the retry.

Answers of a batch (2025-03-26) are gathered here until the last of them is known.
"""

from relay_supervisor.core import mcp, seats
from relay_supervisor.core.seats import Step
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.state import BatchReply, ClientRequest, Parked, Phase
from relay_supervisor.wire import v1


def failure(request: ClientRequest, text: str) -> bytes:
    """Return the members that tell of a failure of the relay's, in the form its method wants."""
    if request.method == "tools/call":
        return mcp.tool_error(text, modern=request.era == v1.MODERN)
    return mcp.error(mcp.RELAY_ERROR, text)


class Requests:
    """Client requests from arrival to answer."""

    def __init__(self, shared: Shared) -> None:
        self._state = shared.state
        self._parked = shared.memory.parking.open
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
        if request.raw_id:
            self._send(request.raw_id, members, request.batch)
        else:
            self._keep(request, members)

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
        if request.ticket and request.raw_id:
            del self._parked[request.ticket]

    # ---- parked -----------------------------------------------------------------------------

    def set_aside(self, request: ClientRequest, key: str, members: bytes) -> None:
        """Answer a request for now. It goes on under a key of ours, until it is retried."""
        raw_id, batch = request.raw_id, request.batch
        request.raw_id, request.token, request.batch = b"", b"", 0
        request.log_level = ""
        self._rename(request, key)
        self._send(raw_id, members, batch)

    def take_up(self, request: ClientRequest, retry: ClientRequest) -> None:
        """The client waits again for what was set aside: under the id of its *retry*, which is no
        request of its own any more.
        """
        self._forget(retry)
        request.raw_id, request.token, request.batch = retry.raw_id, retry.token, retry.batch
        request.log_level, request.arrived = retry.log_level, retry.arrived
        self._rename(request, retry.id)

    def _rename(self, request: ClientRequest, key: mcp.Id) -> None:
        requests = self._state.requests
        del requests[request.id]
        request.id = key
        requests[key] = request
        if (call := self._state.calls.get(request.call)) is not None:
            call.request = key

    def _keep(self, request: ClientRequest, members: bytes) -> None:
        limit = self._state.limits.retained_bytes_max
        if self._state.retained_bytes and self._state.retained_bytes + len(members) > limit:
            text = (
                "Relay: the answer came while the client was being asked something, and there was "
                f"no room to keep it (retained_bytes_max = {limit}). The call has run."
            )
            members = failure(request, text)
        parked = self._parked[request.ticket]
        seats.advance(parked, Step.SETTLED)
        parked.answer = members
        self._state.retained_bytes += len(members)

    def fetch(self, parked: Parked) -> bytes:
        """Take out the answer that was kept; the request is over."""
        del self._parked[parked.ticket]
        self._state.retained_bytes -= len(parked.answer)
        return parked.answer

    # ---- writing ----------------------------------------------------------------------------

    def _send(self, raw_id: bytes, members: bytes, batch: int) -> None:
        buffers = mcp.response(raw_id, members)
        if batch:
            self._state.batches[batch].parts.append(b"".join(buffers)[:-1])
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
