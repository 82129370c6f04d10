"""`make conformance`: run the official suite directly and through the relay, and compare.

Writes docs/conformance.md after a full run; `--only WORD` runs only rows with that word (and the
direct ones they are measured by), `--revision` only one revision; both then print the page instead.
The exit status is 1 if a check passes directly and not through the relay, but for the excuses in
reasons.py. What was found is kept in
`.conformance` until a full run has written the page; `--resume` goes on from there: it runs what is
missing, and once more what had failures. The suite's own time limits are short for a busy machine.
"""

import argparse
import datetime
import pickle
import platform
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Final

import relay_supervisor
from tests.conformance import suite
from tests.conformance.reasons import excuse
from tests.conformance.report import CLIENT, SERVER, Leg, Row, figures, page
from tests.conformance.targets import DIRECT, TARGETS, Target, serving

PAGE: Final = suite.REPOSITORY / "docs" / "conformance.md"
KEPT: Final = suite.REPOSITORY / ".conformance"

WAYS: Final = {"direct": "the SDK's client", "relay": "the SDK's client, through the relay"}


@dataclass(frozen=True, slots=True)
class Found:
    """What one run of the suite has found; the swaps meanwhile; how many runs there were."""

    checks: suite.Checks
    swaps: int = 0
    runs: int = 1

    def faults(self, row: str) -> list[str]:
        """What has failed and had no excuse in this row."""
        return [
            f"{scenario}: {check}: {outcome.message}"
            for (scenario, check), outcome in self.checks.items()
            if outcome.counts and not outcome.passed and not excuse(row, (scenario, check))
        ]


def server_row(target: Target, revisions: list[str]) -> Row:
    """Run the server scenarios against one target."""

    def run(revision: str) -> Found:
        with serving(target) as one:
            checks = suite.run_server(one.url, revision)
        for failed in one.failed:
            progress(f"{target.name}: a swap has failed: {failed}")
        return Found(checks, one.swaps)

    found = {revision: once(target.name, revision, run) for revision in revisions}
    swaps = sum(each.swaps for each in found.values())
    return row(target.name, found, f"{swaps} swaps" if target.swapped else "")


def client_row(name: str, way: str, revisions: list[str]) -> Row:
    """Run the client scenarios with one way to the server."""

    def run(revision: str) -> Found:
        return Found(suite.run_client(way, revision))

    return row(name, {revision: once(name, revision, run) for revision in revisions})


def row(name: str, found: dict[str, Found], note: str = "") -> Row:
    """A row of the table, which says if it took more than one run."""
    notes = [note] if note else []
    notes += [
        f"{revision}: run {each.runs} times" for revision, each in found.items() if each.runs > 1
    ]
    return Row(name, {key: each.checks for key, each in found.items()}, "; ".join(notes))


def once(name: str, revision: str, run: Callable[[str], Found]) -> Found:
    """Run it, or take what is kept if that is sound; say what was found, and keep it."""
    path = KEPT / f"{name}, {revision}"
    before: Found | None = pickle.loads(path.read_bytes()) if path.exists() else None
    if before is not None and not before.faults(name):
        return before
    begin = time.monotonic()
    found = run(revision)
    progress(f"{name}, {revision}: {figures(found.checks)} in {time.monotonic() - begin:.0f} s")
    for fault in found.faults(name):
        progress(f"  {fault}")
    found = replace(found, runs=before.runs + 1) if before is not None else found
    path.write_bytes(pickle.dumps(found))
    return found


def progress(line: str) -> None:
    """To stderr: stdout is for the page."""
    print(line, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make conformance", description=__doc__)
    parser.add_argument("--only", default="", help="only rows with this word in their name")
    parser.add_argument("--revision", choices=suite.REVISIONS, help="only this revision")
    parser.add_argument("--leg", choices=("server", "client"), help="only these scenarios")
    parser.add_argument("--resume", action="store_true", help="go on from what is kept")
    parser.add_argument("--jobs", type=int, default=1, help="so many rows at a time")
    return parser.parse_args()


def legs(wanted: argparse.Namespace) -> tuple[Leg, ...]:
    """Run what is wanted."""
    revisions = [wanted.revision] if wanted.revision else list(suite.REVISIONS)
    done = []
    if wanted.leg != "client":
        targets = [each for each in TARGETS if each is DIRECT or wanted.only in each.name]
        with ThreadPoolExecutor(wanted.jobs) as pool:
            rows = tuple(pool.map(lambda target: server_row(target, revisions), targets))
        done.append(Leg("Server scenarios", SERVER, rows))
    if wanted.leg != "server":
        rows = tuple(client_row(name, way, revisions) for way, name in WAYS.items())
        done.append(Leg("Client scenarios", CLIENT, rows))
    return tuple(done)


def main() -> int:
    """Run, write, compare."""
    wanted = arguments()
    try:
        versions = {"Relay": relay_supervisor.__version__, **suite.versions()}
    except suite.SuiteMissing as reason:
        progress(str(reason))
        return 2
    if not wanted.resume:
        shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir(exist_ok=True)
    versions |= {"the Python SDK": version("mcp"), "Python": platform.python_version()}
    done = legs(wanted)
    text = page(done, datetime.datetime.now(datetime.UTC).date().isoformat(), versions)
    if wanted.only or wanted.revision or wanted.leg:
        print(text)
    else:
        PAGE.write_text(text, encoding="utf-8")
        shutil.rmtree(KEPT)
        progress(f"written: {PAGE.name}")
    lost = [each for leg in done for each in leg.differences() if not each.excuse]
    progress(f"checks that pass directly and not through the relay: {len(lost)}")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
