"""`make storm`: figures of a quiet run, and of the same load while the relay is disturbed.

Modes: `swap` (as fast as swaps are accepted, at most every 0.3 s), `kill` (SIGKILL of the active
worker at random times), `reexec` (other code for the supervisor, every 0.3 s), `mixed` (all of them
by turns), `endure` (a hundred swaps, twenty kills and a hundred re-execs in one session, under a
backend that remembers and a long call) and `gap` (64 small calls in flight, no answer of which
costs the load client anything: what is missed there is the relay's own). Prints calls, how often it
was done, added latency and the longest gap without an answer, and fails if a call was lost,
answered wrongly or run twice, if more than one for each kill and backend had an unknown outcome, or
if anything grew.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.bench import disturbance as small_calls
from tests.harness import Relay, fixture_backend, resident_bytes
from tests.storm.disturbances import DISTURBANCES, KILLING, killer, replacer, swapper
from tests.storm.endurance import endure
from tests.storm.holdings import GROWTH_BYTES_MAX, grown, measure, renew, settle, told_of
from tests.storm.load import Load, Tally

BACKENDS: Final = ("one", "two", "three")
MODES: Final = ("swap", "kill", "reexec", "mixed", "endure", "gap")
PAUSE_SECONDS_MIN: Final = 0.3
KILL_SECONDS_MAX: Final = 1.5
GAP_WINDOWS: Final = 8


class Disturbance:
    """Does something to the relay again and again, in a thread of its own. *pause* says for how
    many seconds to wait before each time.
    """

    def __init__(self, once: Callable[[], bool], pause: Callable[[], float]) -> None:
        self.done = 0
        self.refused: list[str] = []
        self._once = once
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Disturbance":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._pause()):
            try:
                self.done += self._once()
            except (OSError, ValueError, LookupError) as error:
                self.refused.append(repr(error))


@contextmanager
def relay_under_test(scratch: Path) -> Iterator[Relay]:
    """A relay with three backends that keep a log of side effects."""
    log = scratch / "effects"
    backends = {name: fixture_backend("--log", str(log)) for name in BACKENDS}
    settings = {"probation_seconds": 0, "log_files_max": 1, "builtin_tools": True}
    with Relay({"backends": backends, "relay": settings}) as relay:
        relay.client.initialize()
        yield relay


def run(mode: str, seconds: float, seed: int) -> dict[str, Any]:
    """Run one mode and return its figures; `faults` says what is wrong."""
    with tempfile.TemporaryDirectory(prefix="storm-") as name:
        scratch = Path(name)
        with relay_under_test(scratch) as relay:
            before = json.dumps(relay.client.request("tools/list", {}))
            first = measure(relay, Load(relay.client, list(BACKENDS), seed + 2))
            quiet = Load(relay.client, list(BACKENDS), seed)
            quiet.run(time.monotonic() + seconds / 4)
            memory = resident_bytes(relay.pid)
            storm = Load(relay.client, list(BACKENDS), seed + 1)
            chance = random.Random(seed)
            longest = KILL_SECONDS_MAX if mode in KILLING else PAUSE_SECONDS_MIN
            pause = lambda: chance.uniform(PAUSE_SECONDS_MIN, longest)  # noqa: E731
            with Disturbance(DISTURBANCES[mode](relay), pause) as disturbance:
                storm.run(time.monotonic() + seconds)
            settle(relay)
            faults = [*quiet.tally.wrong, *storm.tally.wrong]
            if not disturbance.done:
                faults.append("nothing has disturbed it")
            faults += [f"ran twice or never: {tag}" for tag in storm.twice(scratch / "effects")]
            faults += [f"refused: {text[-300:]}" for text in disturbance.refused]
            if json.dumps(relay.client.request("tools/list", {})) != before:
                faults.append("tools/list has changed")
            if told := relay.client.notifications("notifications/tools/list_changed"):
                faults.append(f"{len(told)} list_changed")
            unknown = len(BACKENDS) * disturbance.done if mode in KILLING else 0
            if storm.tally.unknown > unknown:
                faults.append(f"{storm.tally.unknown} unknown outcomes, and {unknown} may be")
            growth = resident_bytes(relay.pid) - memory
            if growth > GROWTH_BYTES_MAX:
                faults.append(f"the supervisor grew by {growth >> 20} MiB")
            renew(relay)
            last = measure(relay, Load(relay.client, list(BACKENDS), seed + 2), first)
            faults += grown(first, last)
            shown = figures(mode, quiet.tally, storm.tally, disturbance.done)
            return shown | told_of(first, last) | {"faults": faults}


def last() -> dict[str, Any]:
    """One session through a hundred swaps, twenty kills and a hundred re-execs."""
    with tempfile.TemporaryDirectory(prefix="storm-") as name:
        scratch = Path(name)
        with relay_under_test(scratch) as relay:
            trials = [
                ("swaps", swapper(relay), 100),
                ("kills", killer(relay), 20),
                ("reexecs", replacer(relay), 100),
            ]
            return endure(relay, BACKENDS[0], scratch / "effects", trials)


def gaps() -> dict[str, Any]:
    """The longest time without an answer, in windows of a second: the median and the worst."""
    with tempfile.TemporaryDirectory(prefix="storm-") as name:
        seen, missing = small_calls.measure(Path(name), GAP_WINDOWS)
    shown: dict[str, Any] = {"mode": "gap", "windows": GAP_WINDOWS}
    for kind, found in seen.items():
        shown[f"{kind} ms"] = f"{found['gap_ms']:.1f} (worst {found['gap_max_ms']:.1f})"
    return shown | {"faults": [f"{kind}: {reason}" for kind, reason in missing.items()]}


def figures(mode: str, quiet: Tally, storm: Tally, times: int) -> dict[str, Any]:
    """What is printed."""

    def ms(value: float) -> float:
        return round(value * 1000, 1)

    return {
        "mode": mode,
        "calls": storm.calls,
        "times": times,
        "unknown": storm.unknown,
        "wrong": len(storm.wrong),
        "added p50 ms": ms(storm.percentile(0.5) - quiet.percentile(0.5)),
        "added p99 ms": ms(storm.percentile(0.99) - quiet.percentile(0.99)),
        "max ms": ms(storm.percentile(1.0)),
        "gap ms": ms(storm.gap()),
        "quiet gap ms": ms(quiet.gap()),
    }


WHOLE: Final = {"endure": last, "gap": gaps}
"""Modes that are not a load of so many seconds."""


def main() -> int:
    """Run the modes asked for; exit status 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.storm", description=__doc__)
    # Not with nargs: Python 3.11 checks the default against the choices as one word.
    parser.add_argument("--mode", action="append", choices=MODES, help="default: all, in turn")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    bad = False
    for mode in asked.mode or MODES:
        shown = WHOLE[mode]() if mode in WHOLE else run(mode, asked.seconds, asked.seed)
        faults = shown.pop("faults")
        print("  ".join(f"{name}: {value}" for name, value in shown.items()))
        for fault in faults[:20]:
            print(f"  FAULT {fault}")
        bad = bad or bool(faults)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
