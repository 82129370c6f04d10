"""The suite's scenarios for the extension io.modelcontextprotocol/tasks: no revision scores them.
"""

from typing import Final

from tests.conformance import suite

TASKS: Final = (
    "tasks-lifecycle",
    "tasks-capability-negotiation",
    "tasks-wire-fields",
    "tasks-request-state-removal",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-dispatch-and-envelope",
    "tasks-required-task-error",
    "tasks-mrtr-composition",
)
"""All but `tasks-status-notifications`, which the suite skips: it has yet to be written for
subscriptions/listen.
"""


def run_tasks(url: str, *scenarios: str) -> suite.Checks:
    """Run these scenarios, or all of them, against a server that has the extension."""
    found: dict[suite.Key, suite.Outcome] = {}
    for name in scenarios or TASKS:
        words = ["--scenario", name, "--spec-version", suite.REVISIONS[-1], "--force"]
        found |= suite.run(["server", "--url", url, *words, *suite.TIMEOUT])
    return found
