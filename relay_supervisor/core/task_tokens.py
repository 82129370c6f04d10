"""Progress tokens that outlive their requests: of calls answered with a task (2025-11-25).

Such a token is good until the task is over. When that is the relay learns from what passes, and
need not be told at all, so there is a limit to them; the oldest go first.
"""

from typing import Final

from msgspec import Raw

from relay_supervisor.core import mcp
from relay_supervisor.core.state import BackendCall, ClientRequest, State, TaskToken
from relay_supervisor.wire import v1

TASK_TOKENS_MAX: Final = 1024

STATUS: Final = "notifications/tasks/status"
ENDING: Final = ("tasks/result", "tasks/cancel")
"""Requests about a task that is over when they have an answer."""

_OVER: Final = ("completed", "failed", "cancelled")


def keep(state: State, call: BackendCall, request: ClientRequest, task: str) -> None:
    """A call has made a task: its token stays good."""
    if request.token:
        state.task_tokens[call.number] = TaskToken(task, call.backend, request.token)
    if len(state.task_tokens) > TASK_TOKENS_MAX:
        del state.task_tokens[next(iter(state.task_tokens))]


def find(state: State, message: v1.Progress) -> bytes:
    """Return the token under which the client hears of a call's task; empty where it does not."""
    known = state.task_tokens.get(message.call)
    return known.token if known is not None and known.backend == message.backend else b""


def told(state: State, params: bytes) -> None:
    """A backend tells how a task is."""
    members = mcp.members_or_none(Raw(params)) or {}
    if mcp.string(members.get("status")) in _OVER:
        _end(state, mcp.string(members.get("taskId")))


def answered(state: State, request: ClientRequest) -> None:
    """A request of `ENDING` has its answer."""
    members = mcp.members_or_none(Raw(request.params)) or {}
    _end(state, mcp.string(members.get("taskId")))


def _end(state: State, task: str | None) -> None:
    over = [number for number, known in state.task_tokens.items() if known.task == task]
    for number in over:
        del state.task_tokens[number]
