"""Progress that its own answer overtakes in the client: held back for a moment, and then let out,
unless the answer is there by then.

Clients on the official TypeScript SDK take in all messages of one read before they handle the
progress among them. Where its answer came with it, the token is unknown by then; of which older
versions of Claude Code end the connection, newer ones complain, and none shows it to anybody. So
nothing is lost to such a client by what is dropped here; others get everything at once.
"""

from typing import Final

from relay_supervisor.core import mcp
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.state import BackendCall

CLIENTS: Final = frozenset({"claude-code"})
"""Names of clients that do harm to themselves so."""

HOLD_SECONDS: Final = 0.01
"""Servers write the last progress and the answer one right after the other."""


class Racing:
    """Tells the client of progress. What is held is kept with its call, and goes with it."""

    def __init__(self, shared: Shared) -> None:
        self._state = shared.state
        self._out = shared.out

    def report(self, call: BackendCall, payload: bytes, now: float) -> float | None:
        """A call has got on; returns when `release` is due for it, None where all is said."""
        token = self._state.requests[call.request].token
        if self._state.peer.name not in CLIENTS or not token:
            self.tell(token, payload)
            return None
        self._let_out(call)
        call.progress, call.progress_at = payload, now
        return now + HOLD_SECONDS

    def release(self, now: float) -> float | None:
        """Tell what has waited long enough; returns when to look again."""
        held = [call for call in self._state.calls.values() if call.progress]
        for call in held:
            if now >= call.progress_at + HOLD_SECONDS:  # the very sum that was returned
                self._let_out(call)
        return min((c.progress_at + HOLD_SECONDS for c in held if c.progress), default=None)

    def tell(self, token: bytes, payload: bytes) -> None:
        """Tell it at once; with no token there is nobody to be told."""
        if token:
            params = mcp.with_member(b"progressToken", token, payload)
            self._out.client(mcp.notification("notifications/progress", params))

    def _let_out(self, call: BackendCall) -> None:
        payload, call.progress = call.progress, b""
        if payload:
            self.tell(self._state.requests[call.request].token, payload)
