"""The relay's own tools, as a backend of its own that needs no process.

`relay__status` shows what `relayctl status` shows; the figures are the supervisor's.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from relay_supervisor.wire import v1
from relay_worker.backends import frames
from relay_worker.backends.base import State
from relay_worker.backends.client import Client
from relay_worker.catalogue import BUILTIN_BACKEND
from relay_worker.lists import RawLists

ERROR_CHARS_MAX: Final = 300
"""Characters shown of a backend's last error."""

_STATUS_TOOL: Final = {
    "name": "status",
    "title": "Relay status",
    "description": (
        "Health of this relay and of the MCP servers behind it: their state, tools, calls, "
        "errors and restarts. Use it when a tool of one of them fails or is missing."
    ),
    "inputSchema": {"type": "object", "properties": {}},
    "annotations": {"readOnlyHint": True, "openWorldHint": False},
}

LISTS: Final = RawLists(capabilities=b'{"tools":{}}', tools=[msgspec.json.encode(_STATUS_TOOL)])
"""What the relay itself offers."""


class BuiltinBackend:
    """The backend named `relay`, always READY; implements `base.Backend`. *reply* is told a call
    number and members.
    """

    modern = False

    def __init__(self, send: Callable[..., None], reply: Callable[[int, bytes], None]) -> None:
        self.name = BUILTIN_BACKEND
        self.kind = "builtin"
        self.state = State.READY
        self.lists: RawLists | None = LISTS
        self.pid: int | None = None
        self.restarts = 0
        self.last_error: str | None = None
        self.skipped_lines = 0
        self.learning = False
        self.trouble = ""
        self.start_timeout_seconds = 0.0
        self._send = send
        self._reply = reply

    def call(self, call: int, method: str, params: bytes) -> str | None:
        """Ask the supervisor; its answer names the call."""
        del method, params  # there is one tool, and it takes no arguments
        self._send(v1.StatusRequest(call))
        return None

    def introduce(self, client: Client) -> None:
        """Nothing to do: it does not ask the client."""

    def want(self) -> None:
        """Nothing to do: it is always there."""

    def cancel(self, call: int, params: bytes, errand: int = 0) -> bool:
        """Nothing to do: the router drops the answer."""
        return False

    def answer(self, pid: int, raw_id: bytes, members: bytes, errand: int = 0) -> bool:
        """Nothing to do: it asks nothing."""
        return False

    def notify(self, method: str, params: bytes, capability: str | None = None) -> None:
        """Nothing to do: it follows nothing."""

    def set_level(self, level: str) -> None:
        """Nothing to do: it does not log to the client."""

    def subscribe(self, uris: frozenset[str]) -> None:
        """Nothing to do: it has no resources."""

    def subscribed(self, uri: str, *, wanted: bool) -> None:
        """Nothing to do: it has no resources."""

    def watch(self, tasks: frozenset[str]) -> None:
        """Nothing to do: it makes no tasks."""

    def pause(self, *, paused: bool) -> None:
        """Nothing to do: it is not read from."""

    def status(self, call: int, payload: bytes) -> None:
        """The supervisor's answer is there: answer the call with it."""
        status = msgspec.json.decode(payload)
        text = {"type": "text", "text": render(status)}
        result = {"content": [text], "structuredContent": msgspec.Raw(payload), "isError": False}
        self._reply(call, frames.result_members(result))


def render(status: dict[str, Any]) -> str:
    """Return the status as a short text; what is missing in it is left out."""
    calls = status.get("calls") or {}
    registry = status.get("registry") or {}
    summary = (
        f"Relay {status.get('id', '')}: {status.get('health', 'unknown')}, "
        f"{registry.get('tools', 0)} tools, {calls.get('total', 0)} calls, "
        f"{calls.get('in_flight', 0)} in flight"
    )
    lines = [summary]
    for backend in status.get("backends") or []:
        facts = [str(backend.get("state", "unknown")), f"{backend.get('tools', 0)} tools"]
        figures = ("calls", "errors", "restarts")
        facts += [f"{backend[key]} {key}" for key in figures if backend.get(key)]
        line = f"- {backend.get('name', '?')}: {', '.join(facts)}"
        if error := backend.get("last_error"):
            line += f"; last error: {str(error)[:ERROR_CHARS_MAX]}"
        lines.append(line)
    if quarantined := registry.get("quarantined"):
        lines.append(f"{len(quarantined)} items left out because clients could trip over them")
    lines += [f"Configuration: {problem}" for problem in status.get("problems") or []]
    return "\n".join(lines)
