"""The rows of the page, one revision each: what is run for them, and what of that is kept."""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from tests.conformance import suite
from tests.conformance.commit import commit_of
from tests.conformance.found import Found, keep, kept
from tests.conformance.report import Row, figures
from tests.conformance.targets import Target, serving

PAGE: Final = suite.REPOSITORY / "docs" / "conformance.md"

WAYS: Final = {"direct": "the SDK's client", "relay": "the SDK's client, through the relay"}


@dataclass(frozen=True, slots=True)
class Job:
    """One row under one revision. *hopeless*: its server is of the other era, and nothing
    translates, so that what fails is no fault.
    """

    name: str
    direct: str
    revision: str
    run: Callable[[], Found]
    hopeless: bool = False

    def found(self) -> Found:
        """Run it, or take what is kept if that is sound; say what was found, and keep it."""
        commit = commit_of(suite.REPOSITORY, but=PAGE)
        before = kept(commit, self.name, self.revision)
        if before is not None and not self._faults(before):
            return before
        begin = time.monotonic()
        found = replace(self.run(), commit=commit, runs=1 + (before.runs if before else 0))
        seconds = time.monotonic() - begin
        progress(f"{self.name}, {self.revision}: {figures(found.checks)} in {seconds:.0f} s")
        for fault in self._faults(found):
            progress(f"  {fault}")
        keep(found, self.name, self.revision)
        return found

    def _faults(self, found: Found) -> list[str]:
        return [] if self.hopeless else found.faults(self.name)


def server_jobs(targets: Iterable[Target], revisions: Sequence[str]) -> list[Job]:
    """The server scenarios against these targets."""

    def job(target: Target, revision: str) -> Job:
        def run() -> Found:
            with serving(target) as one:
                checks = suite.run_server(one.url, revision)
            return Found(checks, one.swaps.committed, tuple(one.swaps.failed))

        hopeless = not target.speaks(revision)
        return Job(target.name, target.direct, revision, run, hopeless)

    return [job(target, revision) for target in targets for revision in revisions]


def client_jobs(revisions: Sequence[str]) -> list[Job]:
    """The client scenarios, with each way to the server."""

    def job(way: str, revision: str) -> Job:
        def run() -> Found:
            return Found(suite.run_client(way, revision))

        return Job(WAYS[way], WAYS["direct"], revision, run)

    return [job(way, revision) for way in WAYS for revision in revisions]


def rows(jobs: Sequence[Job], pool: ThreadPoolExecutor) -> tuple[Row, ...]:
    """Run the jobs, and put what they found into rows."""
    found: dict[str, Row] = {}
    for job, one in zip(jobs, pool.map(Job.found, jobs), strict=True):
        row = found.get(job.name) or Row(job.name, job.direct, {})
        found[job.name] = replace(row, found={**row.found, job.revision: one})
    return tuple(found.values())


def progress(line: str) -> None:
    """To stderr: stdout is for the page."""
    print(line, file=sys.stderr, flush=True)
