"""What a swap does to calls under way: 64 in flight, and relayctl beside them.

Quiet windows, in which relayctl only asks for the status, alternate with those in which it replaces
something. What is compared is the longest time without any answer, and the 99th percentile.
"""

import itertools
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.client import Client
from tests.bench.contestants import RELAY, environment
from tests.bench.measure import WARM_UP_CALLS, running

RELAYCTL = [sys.executable, "-m", "relay_supervisor.ctl"]
BEFORE_SECONDS = 0.3
AFTER_SECONDS = 0.5
RELAYCTL_SECONDS_MAX = 60.0

KINDS = {
    "quiet": ["status"],
    "swap": ["swap"],
    "re-exec": ["swap", "--supervisor"],
}


def measure(folder: Path, windows: int) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Return figures by kind, and for a kind without any the reason.

    `gap_ms` is the median of the windows' longest gaps, `gap_max_ms` the longest of all.
    """
    env = environment(folder)
    seen: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    missing: dict[str, str] = {}
    with running(RELAY, folder) as client:
        client.sequential(RELAY.tool, WARM_UP_CALLS)
        for kind in [*KINDS] * windows:
            if kind in missing:
                continue
            found = _window(client, KINDS[kind], env)
            if isinstance(found, str):
                missing[kind] = found
            else:
                seen[kind].append(found)
    figures = {
        kind: {
            "gap_ms": statistics.median(each["gap_ms"] for each in found),
            "gap_max_ms": max(each["gap_ms"] for each in found),
            "p99_ms": statistics.median(each["p99_ms"] for each in found),
            "windows": len(found),
        }
        for kind, found in seen.items()
        if found and kind not in missing
    }
    return figures, missing


class Command:
    """relayctl, started a while after the load has begun; the load goes on a while after it."""

    def __init__(self, arguments: list[str], env: dict[str, str]) -> None:
        self._arguments = arguments
        self._env = env
        self._begun = time.perf_counter()
        self._ended: float | None = None
        self._process: subprocess.Popen[str] | None = None

    def go_on(self) -> bool:
        """Whether the load is to go on."""
        now = time.perf_counter()
        if self._process is None:
            if now - self._begun > BEFORE_SECONDS:
                self._process = _relayctl(self._arguments, self._env)
            return True
        if self._ended is None:
            late = now - self._begun > RELAYCTL_SECONDS_MAX
            if late or self._process.poll() is not None:
                self._ended = now
        return self._ended is None or now - self._ended < AFTER_SECONDS

    def failure(self) -> str | None:
        """Its last line, if it failed."""
        assert self._process is not None
        self._process.kill()  # nothing, where it has ended
        out, _ = self._process.communicate()
        if self._process.returncode == 0:
            return None
        words = " ".join(["relayctl", *self._arguments])
        return f"{words}: {out.strip().splitlines()[-1] if out.strip() else 'failed'}"


def _window(client: Client, arguments: list[str], env: dict[str, str]) -> dict[str, float] | str:
    """Load while relayctl does one thing; its words where it fails."""
    command = Command(arguments, env)
    calls = client.steady(RELAY.tool, command.go_on)
    if (failure := command.failure()) is not None:
        return failure
    times = [at for _, at in calls]
    latencies = sorted(at - sent for sent, at in calls)
    return {
        "gap_ms": 1e3 * max(after - before for before, after in itertools.pairwise(times)),
        "p99_ms": 1e3 * latencies[len(latencies) * 99 // 100],
    }


def _relayctl(arguments: list[str], env: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*RELAYCTL, *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
