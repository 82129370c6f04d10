"""What the client says to the backends without asking anything: its roots have changed, how far it
has come with a question.

It goes to every worker, and each tells the backends that it has. So it waits while a process is
between two of them, or nobody would be told; it is never told twice.
"""

from typing import Final

import msgspec

from relay_supervisor.core import mcp
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.state import Hold
from relay_supervisor.wire import v1

NOTICES_MAX: Final = 256
"""So many wait at most; the oldest are dropped first."""


class Notice(msgspec.Struct, frozen=True):
    """One, as the client said it."""

    method: str
    params: bytes


class Notices:
    """The client's notifications, on their way to the backends."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._waiting = shared.memory.notices

    def take(self, message: mcp.Notification) -> None:
        """The client says something."""
        if len(self._waiting) >= NOTICES_MAX:
            dropped = self._waiting.pop(0)
            text = f"{dropped.method} of the client is dropped: more than {NOTICES_MAX} wait"
            self._shared.out.log("warning", text)
        self._waiting.append(Notice(message.method, bytes(message.params)))
        self.tell()

    def tell(self) -> None:
        """Say what waits, once every process has a worker."""
        charges = self._shared.state.charges.values()
        if not self._waiting or any(c.pid and c.hold is not Hold.HELD for c in charges):
            return
        for notice in self._waiting:
            self._shared.tell_workers(v1.ClientNotification(notice.method), notice.params)
        self._waiting.clear()
