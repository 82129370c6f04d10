"""`python -m tests.bench.opcodes [DIR]`: how many opcodes a small call takes, function by function.

One call after another, the processes drive each other out of the processor's caches, so that a call
costs what is executed for it. The time follows this count, which unlike time is the same in every
run. DIR is another checkout of Relay.
"""

import dataclasses
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from tests.bench import contestants, measure
from tests.harness.processes import wait_until

CALLS = 200
SHOWN = 40
FILE_SECONDS_MAX = 10.0
TRACING = Path(__file__).with_name("tracing")


def count(code: Path, folder: Path) -> list[tuple[str, dict[str, float]]]:
    """Opcodes per call by function, of the supervisor and of the worker."""
    plain = contestants.relay(code=code)
    settings = [f"PYTHONPATH={code}:{TRACING}", f"BENCH_OPCODES={folder}"]
    start = [sys.executable, "-m", "relay_supervisor", "--config"]
    traced = dataclasses.replace(
        contestants.RELAY,
        command=lambda home, backend: ["env", *settings, *start, plain(home, backend)[-1]],
    )
    with measure.running(traced, folder / "home") as client:
        client.sequential(traced.tool, measure.WARM_UP_CALLS)
        pids = measure.own_processes(client.process.pid)[:2]
        for pid in pids:
            os.kill(pid, signal.SIGUSR1)
        client.sequential(traced.tool, CALLS)
        for pid in pids:
            os.kill(pid, signal.SIGUSR1)
        found = [_read(folder / f"{pid}.json") for pid in pids]
    per_call = [{name: n / CALLS for name, n in each.items()} for each in found]
    return list(zip(("supervisor", "worker"), per_call, strict=True))


def _read(file: Path) -> dict[str, int]:
    wait_until(file.exists, FILE_SECONDS_MAX, f"{file.name} written: was the process ended?")
    counts: dict[str, int] = json.loads(file.read_bytes())
    return counts


def main() -> None:
    """Measure and print."""
    code = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else contestants.REPOSITORY
    with tempfile.TemporaryDirectory() as folder:
        for name, functions in count(code, Path(folder)):
            print(f"{name}: {sum(functions.values()):.0f} opcodes per call")
            for function, opcodes in sorted(functions.items(), key=lambda item: -item[1])[:SHOWN]:
                print(f"{opcodes:8.1f}  {function}")


if __name__ == "__main__":
    main()
