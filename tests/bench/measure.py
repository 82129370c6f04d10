"""One round of one contestant: start it, load it, weigh it, end it.

What goes wrong is part of the result: the figures had so far are kept beside the failure.
"""

import contextlib
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.bench import processes
from tests.bench.client import Client, ContestantFailed
from tests.bench.contestants import BACKEND, Contestant, environment

MB = 1_000_000
WARM_UP_CALLS = 300
PIPELINED_TIMES = 4
MEGABYTE_ECHOES = 5
LIST_SECONDS_MAX = 60.0
LIST_PAUSE_SECONDS = 0.02
SETTLE_SECONDS = 2.0
LEFT_BEHIND_SECONDS_MAX = 3.0


@dataclass
class Round:
    """Figures by the names of report.METRICS; `failure` says why some are missing."""

    figures: dict[str, float] = field(default_factory=dict)
    failure: str | None = None


@dataclass(frozen=True)
class Options:
    """`calls` is how many are made one after another; `idle_seconds` 0 leaves that out."""

    calls: int
    idle_seconds: float
    turn: int


def one_round(contestant: Contestant, folder: Path, options: Options) -> Round:
    """Measure a contestant once, from its start to its end."""
    result = Round()
    figures = result.figures
    try:
        with _running(contestant, folder / "a") as client:
            elapsed = _complete_list(client, contestant)
            if contestant.starts:
                figures["cold_list_ms"] = elapsed * 1e3
            _load(client, contestant, options, figures)
        if contestant.starts:
            # The same folder again: Relay finds its cache there, the others know no difference.
            with _running(contestant, folder / "a") as client:
                figures["cached_list_ms"] = _complete_list(client, contestant) * 1e3
            with _running(contestant, folder / "b") as client:
                client.sequential(contestant.tool, 1)
                figures["first_call_ms"] = client.age() * 1e3
    except ContestantFailed as failure:
        result.failure = str(failure)
    return result


def own_processes(pid: int) -> list[int]:
    """The tree without the echo backends; what the client started comes first, whatever it is."""
    return [pid, *(child for child in processes.tree(pid)[1:] if not _is_backend(child))]


def _load(
    client: Client, contestant: Contestant, options: Options, figures: dict[str, float]
) -> None:
    """Memory, rest, small calls, large frames; fills `figures` as it goes."""
    client.sequential(contestant.tool, WARM_UP_CALLS)
    pids = processes.tree(client.process.pid)
    own = own_processes(client.process.pid)
    figures |= _memory(pids, own)
    if options.idle_seconds:
        figures["idle_per_s"] = _idle_wakeups(own, options.idle_seconds)
    _small_calls(client, contestant, options, pids, figures)
    figures["mb1_ms"] = 1e3 * statistics.median(
        client.big_echo(contestant.tool, MB) for _ in range(MEGABYTE_ECHOES)
    )
    before = [processes.rss_bytes(pid) for pid in own]
    for pid in own:
        processes.reset_peak(pid)
    figures["mb10_ms"] = client.big_echo(contestant.tool, 10 * MB) * 1e3
    peaks = [processes.peak_rss_bytes(pid) for pid in own]
    growth = [peak - rss for peak, rss in zip(peaks, before, strict=True) if peak is not None]
    if growth:
        figures["peak_x"] = max(growth) / (10 * MB)


def _small_calls(
    client: Client,
    contestant: Contestant,
    options: Options,
    pids: list[int],
    figures: dict[str, float],
) -> None:
    """One after another on one core, then as the kernel places them, then 64 in flight.

    Left alone the kernel has the processes of a ping-pong share a core in one round and wake each
    other across cores in the next, which takes many times as long and hides what is compared.
    """
    tool, calls = contestant.tool, max(100, int(options.calls * contestant.share))
    with processes.on_one_core(pids, options.turn):
        before = processes.cpu_seconds(pids)
        times = sorted(client.sequential(tool, calls))
        figures["cpu_us"] = (processes.cpu_seconds(pids) - before) / calls * 1e6
    figures["p50_us"] = times[len(times) // 2] * 1e6
    figures["p99_us"] = times[len(times) * 99 // 100] * 1e6
    figures["spread_p50_us"] = statistics.median(client.sequential(tool, calls)) * 1e6

    calls *= PIPELINED_TIMES
    before = processes.cpu_seconds(pids)
    figures["rate"] = calls / client.pipelined(tool, calls)
    figures["cpu64_us"] = (processes.cpu_seconds(pids) - before) / calls * 1e6


def _idle_wakeups(pids: list[int], seconds: float) -> float:
    """Wake-ups per second while there is nothing to do."""
    time.sleep(SETTLE_SECONDS)
    before = processes.wakeups(pids)
    time.sleep(seconds)
    return (processes.wakeups(pids) - before) / seconds


def _memory(pids: list[int], own: list[int]) -> dict[str, float]:
    """Of the whole tree, of the first and of the second process of the contestant's own."""
    weights = {pid: processes.pss_bytes(pid) for pid in pids}
    if None in weights.values():
        weights = {pid: processes.rss_bytes(pid) for pid in pids}
    figures = {"tree_mb": sum(weight or 0 for weight in weights.values()) / 2**20}
    for name, pid in zip(("top_mb", "second_mb"), own, strict=False):
        figures[name] = (weights[pid] or 0) / 2**20
    return figures


def _complete_list(client: Client, contestant: Contestant) -> float:
    """List until every tool of every backend is there; return the time since the spawn."""
    prefix = contestant.tool.removesuffix("echo").removesuffix("__")
    while True:
        names = client.tools()
        elapsed = client.age()
        if sum(name.startswith(prefix) for name in names) >= contestant.tools:
            return elapsed
        if elapsed > LIST_SECONDS_MAX:
            raise client.failed(f"only {len(names)} tools after {LIST_SECONDS_MAX} s")
        # Asking again at once would take processor time from the start that is measured.
        time.sleep(LIST_PAUSE_SECONDS)


@contextlib.contextmanager
def _running(contestant: Contestant, folder: Path) -> Iterator[Client]:
    """A contestant after its handshake; afterwards nothing of it may be left."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    client = Client(contestant.command(folder), environment(folder), folder / "stderr")
    family: list[psutil.Process] = []
    try:
        client.handshake()
        family = processes.family(client.process.pid)
        yield client
        family = processes.family(client.process.pid)
        client.close()
        _, alive = psutil.wait_procs(family, LEFT_BEHIND_SECONDS_MAX)
        if alive:
            names = [" ".join(_argv(process.pid)[-3:]) for process in alive]
            raise client.failed(f"left processes behind after its input ended: {names}")
    except (OSError, psutil.NoSuchProcess) as error:
        raise client.failed(f"went away ({error})") from error
    finally:
        client.kill(family)


def _is_backend(pid: int) -> bool:
    return _argv(pid)[1:3] == BACKEND[1:3]


def _argv(pid: int) -> list[str]:
    try:
        argv: list[str] = psutil.Process(pid).cmdline()
    except psutil.Error:  # ended meanwhile, or a zombie that its parent has not collected yet
        return []
    return argv
