"""What a client is told of a call that the relay, or a backend it could not use, has failed."""

from typing import Final

from relay_supervisor.wire import v1
from relay_worker.backends import frames

MOVED: Final = "Backend '{}' was handed over to another worker meanwhile."
DIED: Final = (
    "Backend '{}' died while it worked on this call: {}. The call may have run, wholly or in part."
)
UNREAD: Final = "Backend '{}' died before it read this call: {}. The call has not run."
UNUSABLE: Final = "The answer of backend '{}' {}. The call has run."
UNFINISHED: Final = "Backend '{}' did not complete this call: {}. The call may have run."
SILENT: Final = "Backend '{}' did not answer {}."
NOT_RUN: Final = "Backend '{}' did not complete this call: {}. The call has not run."


def members(message: v1.Call, text: str) -> bytes:
    """Return the members of the answer: a tool's error, which the model gets to see; else one of
    JSON-RPC.
    """
    if message.method == "tools/call":
        result = {"content": [{"type": "text", "text": text}], "isError": True}
        return frames.result_members(result)
    return frames.error_members(frames.BACKEND_UNAVAILABLE, text)
