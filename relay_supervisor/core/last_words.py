"""What still counts of a worker that was given up. A table; it decides nothing by itself."""

from typing import Final

from relay_supervisor.wire import v1

LAST_WORDS: Final = (
    v1.Reply,
    v1.Routed,
    v1.Progress,
    v1.Notification,
    v1.BackendRequest,
    v1.BackendCancel,
    v1.Joined,
    v1.Begun,
    v1.Done,
    v1.Returned,
    v1.Frozen,
)
"""What still counts of a worker that was given up, if its backends outlive it: they and its calls
are still its own, until it has given them back. What it has passed on nobody tells again.
"""
