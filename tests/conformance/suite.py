"""The official suite: where it is, what it requires, how one run of it goes, what it has found."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

REPOSITORY: Final = Path(__file__).parents[2]
FOLDER: Final = REPOSITORY / ".node" / "conformance"
PACKAGE: Final = FOLDER / "node_modules" / "@modelcontextprotocol" / "conformance"
BINARIES: Final = FOLDER / "node_modules" / ".bin"
LEGACY: Final = "2025-11-25"
MODERN: Final = "2026-07-28"
REVISIONS: Final = (LEGACY, MODERN)
RUN_SECONDS_MAX: Final = 3600.0
# Milliseconds for a scenario: the suite's own limit is for idle machines.
TIMEOUT: Final = ("--timeout", "180000")

PASSED: Final = "SUCCESS"
ABSENT: Final = "absent"
# A check that is reported several times counts as the worst of them.
SEVERITY: Final = ("FAILURE", "WARNING", PASSED, "SKIPPED", "INFO", ABSENT)
_NAME: Final = re.compile(r"(?:server-)?(?P<scenario>.+?)-\d{4}-\d\d-\d\dT[\d-]+Z$")

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one check, and what the suite says of it."""

    status: str
    message: str = ""

    @property
    def passed(self) -> bool:
        """True only for a success: a warning is a SHOULD that was not kept."""
        return self.status == PASSED

    @property
    def counts(self) -> bool:
        """Whether it was put to the test at all."""
        return self.status in SEVERITY[:3]


Checks = Mapping[Key, Outcome]
NOT_THERE: Final = Outcome(ABSENT, "the suite did not get as far as this check")


class SuiteMissing(Exception):
    """It is not installed, and the message says why."""


def required(revision: str, leg: str) -> list[str]:
    """The scenarios of this revision that are scored; *leg* is server or client."""
    text = (PACKAGE / "requirements" / f"{revision}.yaml").read_text(encoding="utf-8")
    scenarios: list[str] = yaml.safe_load(text)[leg]
    return scenarios


def versions() -> dict[str, str]:
    """The suite's version and Node's."""
    if not PACKAGE.exists():
        note = FOLDER / "missing"
        reason = note.read_text(encoding="utf-8").strip() if note.exists() else "run `make node`"
        raise SuiteMissing(f"the conformance suite is not installed: {reason}")
    suite = json.loads((PACKAGE / "package.json").read_text(encoding="utf-8"))["version"]
    node = subprocess.run([BINARIES / "node", "-v"], capture_output=True, text=True, check=True)
    return {"suite": suite, "Node": node.stdout.strip().lstrip("v")}


def run(arguments: Sequence[str], env: Mapping[str, str] | None = None) -> dict[Key, Outcome]:
    """Run the suite's command line once, and return what it has found."""
    path = f"{BINARIES}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory(prefix="conformance-") as name:
        done = subprocess.run(
            [BINARIES / "node", PACKAGE / "dist" / "index.js", *arguments, "-o", name],
            env={**os.environ, **(env or {}), "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS_MAX,
            check=False,
        )
        found = read(Path(name))
    if not found:
        raise SuiteMissing(f"the suite has found nothing:\n{done.stdout}\n{done.stderr}")
    return found


def run_server(url: str, revision: str, scenarios: Sequence[str] = ()) -> Checks:
    """Run the server scenarios of a revision, or these, which need not be scored."""
    where = ["server", "--url", url, *TIMEOUT]
    if not scenarios:
        found = run([*where, "--requirements", revision])
        return scored(found, revision, "server")
    return _each([*where, "--spec-version", revision], scenarios)


def run_client(way: str, revision: str) -> Checks:
    """Run the client scenarios of a revision; *way* is direct or relay."""
    command = f"{sys.executable} -m tests.conformance.client {way}"
    arguments = ["client", "--command", command, "--spec-version", revision, "--force", *TIMEOUT]
    # One after the other: by itself the suite starts all clients at once, and then they are slow.
    return _each(arguments, required(revision, "client"), {"PYTHONPATH": str(REPOSITORY)})


def _each(
    arguments: Sequence[str], scenarios: Sequence[str], env: Mapping[str, str] | None = None
) -> Checks:
    found: dict[Key, Outcome] = {}
    for name in scenarios:
        found |= run([*arguments, "--scenario", name], env)
    return found


def read(folder: Path) -> dict[Key, Outcome]:
    """All checks of a run."""
    found: dict[Key, Outcome] = {}
    for path in sorted(folder.rglob("checks.json")):
        name = _NAME.match(str(path.parent.relative_to(folder)))
        assert name is not None, f"a name of a folder that says no scenario: {path.parent}"
        for check in json.loads(path.read_text(encoding="utf-8")):
            key = name["scenario"], check["id"]
            found[key] = _worse(found.get(key, NOT_THERE), _outcome(check))
    return found


def _outcome(check: Mapping[str, Any]) -> Outcome:
    return Outcome(check["status"], check.get("errorMessage") or "")


def _worse(one: Outcome, other: Outcome) -> Outcome:
    return min(one, other, key=lambda outcome: SEVERITY.index(outcome.status))


def scored(found: Checks, revision: str, leg: str) -> dict[Key, Outcome]:
    """Those of them that count for this revision."""
    scenarios = set(required(revision, leg))
    return {key: outcome for key, outcome in found.items() if key[0] in scenarios}
