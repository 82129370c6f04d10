"""Log messages of backends, and which of them a client of the modern era wants."""

from typing import Final

from msgspec import Raw

from relay_supervisor.core import mcp
from relay_supervisor.core.state import State
from relay_supervisor.wire import v1

LEVELS: Final = (
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
)
"""From the least to the worst."""

MESSAGE: Final = "notifications/message"


def wanted(state: State, message: v1.Notification, payload: bytes) -> bool:
    """Tell whether a backend's notification is a log message that a request it works on has asked
    for. Which of several it is of cannot be known: such a message names none.
    """
    if message.method != MESSAGE:
        return False
    level = mcp.string((mcp.members_or_none(Raw(payload)) or {}).get("level"))
    if level not in LEVELS:
        return False
    enough = LEVELS[: LEVELS.index(level) + 1]
    return any(
        call.backend == message.backend and state.requests[call.request].log_level in enough
        for call in state.calls.values()
    )
