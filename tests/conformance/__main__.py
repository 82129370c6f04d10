"""`make conformance`: run the official suite directly and through the relay, and compare.

Writes docs/conformance.md after a full run; `--only WORD` runs only rows with that word (and the
direct ones they are measured by), `--revision` only one revision; both then print the page instead.
The exit status is 1 if a check passes directly and not through the relay.
"""

import argparse
import datetime
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Final

import relay_supervisor
from tests.conformance import suite
from tests.conformance.report import CLIENT, SERVER, Leg, Row, figures, page
from tests.conformance.targets import BRIDGED, DIRECT, TARGETS, Target, serving

PAGE: Final = Path(__file__).parents[2] / "docs" / "conformance.md"

WAYS: Final = {"direct": "the SDK's client", "relay": "the SDK's client, through the relay"}


def server_row(target: Target, revisions: list[str]) -> Row:
    """Run the server scenarios against one target."""
    checks, swaps = {}, 0
    for revision in revisions:
        begin = time.monotonic()
        with serving(target) as one:
            checks[revision] = suite.run_server(one.url, revision)
        swaps += one.swaps
        for refused in one.refused:
            progress(f"  a swap was refused: {refused}")
        told(target.name, revision, checks[revision], begin)
    return Row(target.name, checks, f"{swaps} swaps" if target.swapped else "")


def client_row(name: str, way: str, revisions: list[str]) -> Row:
    """Run the client scenarios with one way to the server."""
    checks = {}
    for revision in revisions:
        begin = time.monotonic()
        checks[revision] = suite.run_client(way, revision)
        told(name, revision, checks[revision], begin)
    return Row(name, checks)


def told(name: str, revision: str, checks: suite.Checks, begin: float) -> None:
    """Say what has been done."""
    progress(f"{name}, {revision}: {figures(checks)} in {time.monotonic() - begin:.0f} s")


def progress(line: str) -> None:
    """To stderr: stdout is for the page."""
    print(line, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make conformance", description=__doc__)
    parser.add_argument("--only", default="", help="only rows with this word in their name")
    parser.add_argument("--revision", choices=suite.REVISIONS, help="only this revision")
    parser.add_argument("--leg", choices=("server", "client"), help="only these scenarios")
    return parser.parse_args()


def legs(wanted: argparse.Namespace) -> tuple[Leg, ...]:
    """Run what is wanted."""
    revisions = [wanted.revision] if wanted.revision else list(suite.REVISIONS)
    done = []
    if wanted.leg != "client":
        targets = [each for each in TARGETS if each is DIRECT or wanted.only in each.name]
        rows = tuple(server_row(target, revisions) for target in targets)
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
    versions |= {"the Python SDK": version("mcp"), "Python": platform.python_version()}
    done = legs(wanted)
    text = page(done, datetime.datetime.now(datetime.UTC).date().isoformat(), versions)
    if wanted.only or wanted.revision or wanted.leg:
        print(text)
    else:
        PAGE.write_text(text, encoding="utf-8")
        progress(f"written: {PAGE.name}")
    lost = [each for leg in done for each in leg.differences() if each.row != BRIDGED.name]
    progress(f"checks that pass directly and not through the relay: {len(lost)}")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
