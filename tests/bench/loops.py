"""Which loop should the worker's stdio path run on? `python -m tests.bench.loops`

A chain of two links as supervisor and worker are: the first always on select.poll, the second on
each of the candidates, once with two file descriptors and once with a hundred idle ones beside
them (the stdout and stderr of fifty quiet backends). All candidates take turns in every round.
The result is docs/decisions/0002-worker-loop.md.
"""

import argparse
import importlib.util
import statistics
import sys
import tempfile
from pathlib import Path

import psutil

from tests.bench import processes
from tests.bench.client import Client
from tests.bench.contestants import BACKEND, environment, module

IDLE_FDS = 100
CANDIDATES = ["poll", "epoll", "selectors", "asyncio", "uvloop"]
COLUMNS = [
    ("p50_us", "p50 µs"),
    ("p99_us", "p99 µs"),
    ("cpu_us", "CPU µs/call"),
    ("rate", "calls/s, 64"),
    ("cpu64_us", "CPU µs then"),
    ("mb10_ms", "10 MB ms"),
    ("list_ms", "list ms"),
    ("pss_mb", "PSS MB"),
    ("uss_mb", "USS MB"),
]


def available() -> list[str]:
    """The candidates there are; uvloop is not among our dependencies."""
    missing = set()
    if sys.platform != "linux":
        missing.add("epoll")
    if importlib.util.find_spec("uvloop") is None:
        missing.add("uvloop")
    if missing:
        print(f"not available here: {', '.join(missing)}", file=sys.stderr)
    return [name for name in CANDIDATES if name not in missing]


def command(loop: str, idle: int) -> list[str]:
    """Chain: link on poll → link on `loop` → echo backend."""
    options = ["--idle", str(idle)] if idle else []
    return [*module("hop_poll"), *module(f"hop_{loop}"), *options, *BACKEND]


def measure(loop: str, idle: int, calls: int, turn: int, log: Path) -> dict[str, float]:
    """One round of one candidate. Memory is the second link's alone."""
    client = Client(command(loop, idle), environment(log.parent), log)
    client.handshake()
    client.tools()
    row = {"list_ms": client.age() * 1e3}
    pids = processes.tree(client.process.pid)
    client.sequential("echo", 200)
    memory = psutil.Process(pids[1]).memory_full_info()
    row["uss_mb"] = memory.uss / 2**20
    row["pss_mb"] = (processes.pss_bytes(pids[1]) or float("nan")) / 2**20
    with processes.on_one_core(pids, turn):
        before = processes.cpu_seconds(pids)
        times = sorted(client.sequential("echo", calls))
        row["cpu_us"] = (processes.cpu_seconds(pids) - before) / calls * 1e6
    row["p50_us"] = times[len(times) // 2] * 1e6
    row["p99_us"] = times[len(times) * 99 // 100] * 1e6
    before = processes.cpu_seconds(pids)
    row["rate"] = calls * 4 / client.pipelined("echo", calls * 4)
    row["cpu64_us"] = (processes.cpu_seconds(pids) - before) / (calls * 4) * 1e6
    row["mb10_ms"] = client.big_echo("echo", 10_000_000) * 1e3
    client.close()
    client.kill([])
    return row


def table(rows: dict[tuple[str, int], list[dict[str, float]]]) -> str:
    """Medians as a Markdown table, each with its ratio to poll with as many idle fds."""
    medians = {
        key: {column: statistics.median(row[column] for row in rounds) for column, _ in COLUMNS}
        for key, rounds in rows.items()
    }
    lines = ["| second link | idle fds | " + " | ".join(title for _, title in COLUMNS) + " |"]
    lines.append("|---" * (len(COLUMNS) + 2) + "|")
    for (loop, idle), row in medians.items():
        base = medians["poll", idle]
        cells = [f"{row[c]:,.{digits(row[c])}f} ({row[c] / base[c]:.2f})" for c, _ in COLUMNS]
        lines.append(f"| {loop} | {idle} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def digits(value: float) -> int:
    """Decimals that are worth printing."""
    return 1 if value < 100 else 0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=3000, help="per round; 64 in flight: x 4")
    options = parser.parse_args()
    keys = [(loop, idle) for idle in (0, IDLE_FDS) for loop in available()]
    rows: dict[tuple[str, int], list[dict[str, float]]] = {key: [] for key in keys}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "stderr"
        for number in range(options.rounds):
            # Rotating the order spreads whatever drifts during a round over all candidates.
            turn = number % len(keys)
            for loop, idle in keys[turn:] + keys[:turn]:
                rows[loop, idle].append(measure(loop, idle, options.calls, number, log))
    print(table(rows))


if __name__ == "__main__":
    main()
