"""`make conformance`: run the official suite directly and through the relay, and compare.

Writes docs/conformance.md after a full run; `--only WORD` runs only rows with that word (and the
direct ones they are measured by), `--revision` only one revision; both then print the page instead.
The exit status is 1 if a check passes directly and not through the relay, if one is not translated
and reasons.py does not say why, or if a swap has failed. What was found is kept in `.conformance`
until a full run has written the page; `--resume` goes on from there: it runs what is missing or of
another commit, and once more what had failures.
"""

import argparse
import datetime
import platform
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Final

import relay_supervisor
from tests.conformance import extension, suite
from tests.conformance.extension import task_jobs
from tests.conformance.found import KEPT
from tests.conformance.jobs import PAGE, client_jobs, progress, rows, server_jobs
from tests.conformance.page import CLIENT, SERVER, page
from tests.conformance.report import Leg
from tests.conformance.targets import TARGETS

JOBS: Final = 2
"""Rows at a time. The suite has time limits of half a second: no more than there are cores."""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make conformance", description=__doc__)
    parser.add_argument("--only", default="", help="only rows with this word in their name")
    parser.add_argument("--revision", choices=suite.REVISIONS, help="only this revision")
    parser.add_argument("--leg", choices=("server", "client"), help="only these scenarios")
    parser.add_argument("--resume", action="store_true", help="go on from what is kept")
    parser.add_argument("--jobs", type=int, default=JOBS, help="so many rows at a time")
    return parser.parse_args()


def legs(wanted: argparse.Namespace) -> tuple[Leg, ...]:
    """Run what is wanted."""
    revisions = [wanted.revision] if wanted.revision else list(suite.REVISIONS)
    measures = {each.direct for each in TARGETS}
    targets = [each for each in TARGETS if each.name in measures or wanted.only in each.name]
    done = []
    with ThreadPoolExecutor(wanted.jobs) as pool:
        if wanted.leg != "client":
            found = rows(server_jobs(targets, revisions), pool)
            done.append(Leg("Server scenarios", SERVER, found))
        if wanted.leg != "client" and suite.MODERN in revisions:
            done.append(Leg("Tasks extension", extension.TEXT, rows(task_jobs(targets), pool)))
        if wanted.leg != "server":
            found = rows(client_jobs(revisions), pool)
            done.append(Leg("Client scenarios", CLIENT, found))
    return tuple(done)


def verdict(done: tuple[Leg, ...]) -> int:
    """Say what is wrong; the exit status."""
    lost = [one for leg in done for one in leg.lost() if not one.why]
    odd = [one for leg in done for one in leg.untranslated() if not one.why]
    found = [one for leg in done for row in leg.rows for one in row.found.values()]
    swaps = sum(len(one.failed_swaps) for one in found)
    progress(f"checks that pass directly and not through the relay: {len(lost)}")
    progress(f"checks that are not translated, for no reason known: {len(odd)}")
    progress(f"swaps that failed: {swaps}")
    return 1 if lost or odd or swaps else 0


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
    versions |= {"the Python SDK": version("mcp"), "Python": platform.python_version()}
    done = legs(wanted)
    text = page(done, datetime.datetime.now(datetime.UTC).date().isoformat(), versions)
    if wanted.only or wanted.revision or wanted.leg:
        print(text)
    else:
        PAGE.write_text(text, encoding="utf-8")
        shutil.rmtree(KEPT, ignore_errors=True)
        progress(f"written: {PAGE.name}")
    return verdict(done)


if __name__ == "__main__":
    sys.exit(main())
