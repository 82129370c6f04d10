"""What a process tree costs: CPU time, memory, wake-ups. Reads /proc; on macOS psutil's figures.

A figure that cannot be had is None, never a guess.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

LINUX = sys.platform == "linux"


def family(pid: int) -> list[psutil.Process]:
    """The process and all its descendants, parents first."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def tree(pid: int) -> list[int]:
    """`pid` and the pids of all its descendants, parents first."""
    return [process.pid for process in family(pid)]


@contextmanager
def on_one_core(pids: list[int], turn: int) -> Iterator[None]:
    """Keep the processes and ourselves on one core meanwhile; which one, goes round with `turn`.

    Where that is not possible (macOS), nothing happens.
    """
    if sys.platform != "linux":
        yield
        return
    before = os.sched_getaffinity(0)
    threads = [0, *(int(task.name) for pid in pids for task in _tasks(pid))]
    core = sorted(before)[turn % len(before)]
    for thread in threads:
        os.sched_setaffinity(thread, {core})
    try:
        yield
    finally:
        for thread in threads:
            with suppress(ProcessLookupError):  # it may have died of what was asked of it
                os.sched_setaffinity(thread, before)


def cpu_seconds(pids: list[int]) -> float:
    """User and system time the processes have used so far."""
    return sum(_cpu_linux(pid) if LINUX else _cpu_psutil(pid) for pid in pids)


def pss_bytes(pid: int) -> int | None:
    """Proportional set size: shared pages divided among those that share them."""
    match = _search(Path(f"/proc/{pid}/smaps_rollup"), rb"^Pss:\s+(\d+) kB")
    return None if match is None else match * 1024


def rss_bytes(pid: int) -> int:
    """Resident set size."""
    rss: int = psutil.Process(pid).memory_info().rss
    return rss


def peak_rss_bytes(pid: int) -> int | None:
    """Largest resident set so far, or since reset_peak."""
    match = _search(Path(f"/proc/{pid}/status"), rb"^VmHWM:\s+(\d+) kB")
    return None if match is None else match * 1024


def reset_peak(pid: int) -> None:
    """Start peak_rss_bytes anew (Linux; elsewhere there is no such figure)."""
    if LINUX:
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def wakeups(pids: list[int]) -> int:
    """How often the processes' threads went to sleep so far, each sleep ended by a wake-up."""
    total = 0
    for pid in pids:
        if LINUX:
            for task in _tasks(pid):
                total += _search(task / "status", rb"^voluntary_ctxt_switches:\s+(\d+)") or 0
        else:
            total += psutil.Process(pid).num_ctx_switches().voluntary
    return total


def _cpu_linux(pid: int) -> float:
    """From schedstat, in nanoseconds: /proc/PID/stat counts in ticks of 10 ms."""
    return sum(int((task / "schedstat").read_bytes().split()[0]) for task in _tasks(pid)) / 1e9


def _cpu_psutil(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _tasks(pid: int) -> list[Path]:
    folder = Path(f"/proc/{pid}/task")
    return [folder / task for task in os.listdir(folder)]


def _search(path: Path, pattern: bytes) -> int | None:
    try:
        text = path.read_bytes()
    except OSError:
        return None
    found = re.search(pattern, text, re.MULTILINE)
    return None if found is None else int(found[1])
