"""The suite's scenarios for the extension io.modelcontextprotocol/tasks, which are not scored."""

from collections.abc import Iterable
from typing import Final

from tests.conformance import suite
from tests.conformance.found import Found
from tests.conformance.jobs import Job
from tests.conformance.targets import Target, serving

TEXT: Final = """\
What the suite has for the extension `io.modelcontextprotocol/tasks` of 2026-07-28: calls that
become tasks, `tasks/get`, `tasks/update`, `tasks/cancel`, and who may have them. Against the server
of both eras only: the era before knows another kind of tasks, and nobody translates one into the
other."""

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
        words = ["--scenario", name, "--spec-version", suite.MODERN, "--force"]
        found |= suite.run(["server", "--url", url, *words, *suite.TIMEOUT])
    return found


def task_jobs(targets: Iterable[Target]) -> list[Job]:
    """The scenarios against those of these targets whose server speaks both eras."""

    def job(target: Target) -> Job:
        def run() -> Found:
            with serving(target) as one:
                checks = run_tasks(one.url)
            return Found(checks, one.swaps.committed, tuple(one.swaps.failed))

        return Job(f"tasks: {target.name}", f"tasks: {target.direct}", suite.MODERN, run)

    return [job(target) for target in targets if target.era == "dual"]
