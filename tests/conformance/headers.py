"""The SDK's table of what is in the header Mcp-Name, with what the tasks extension adds to it."""

from typing import Final

from mcp.shared import inbound

TASK_METHODS: Final = ("tasks/get", "tasks/update", "tasks/cancel")


def compare_tasks_too() -> None:
    """Have the SDK's server and ours compare that header with the id of a task."""
    names = {**inbound.NAME_BEARING_METHODS, **dict.fromkeys(TASK_METHODS, "taskId")}
    inbound.NAME_BEARING_METHODS = names  # type: ignore[misc]
