"""One round of one contestant: start it, load it, weigh it, end it; section by section.

What goes wrong is part of the result: a section that fails says why, and the others go on.
"""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
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
LIST_SECONDS_MAX = 20.0
LIST_PAUSE_SECONDS = 0.005
SETTLE_SECONDS = 2.0
LEFT_BEHIND_SECONDS_MAX = 3.0
SLOW_SECONDS = 0.5
"""What a slow backend takes to start."""


@dataclass
class Round:
    """Figures by the names of `metrics.METRICS`; `failures`: by section, why some are missing."""

    figures: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
    """`calls`: so many are made one after another; `idle_seconds` 0 leaves that out; `skip` names
    sections.
    """

    calls: int
    idle_seconds: float = 0.0
    turn: int = 0
    skip: frozenset[str] = frozenset()


def one_round(contestant: Contestant, folder: Path, options: Options) -> Round:
    """Measure a contestant once, from its start to its end."""
    result = Round()
    for name, section in (WHOLE if contestant.whole else SMALL).items():
        if name in options.skip:
            continue
        try:
            section(contestant, folder, options, result.figures)
        except ContestantFailed as failure:
            result.failures[name] = str(failure)
    return result


def own_processes(pid: int) -> list[int]:
    """The tree without the echo backends; what the client started comes first, whatever it is."""
    return [pid, *(child for child in processes.tree(pid)[1:] if not _is_backend(child))]


# ---- sections -----------------------------------------------------------------------------------


def _small(
    contestant: Contestant, folder: Path, options: Options, figures: dict[str, float]
) -> None:
    """A first start with nothing cached; memory, rest, and small calls."""
    with running(contestant, folder / "a") as client:
        if contestant.whole:
            figures["init_ms"] = client.age() * 1e3
        elapsed = _complete_list(client, contestant)
        if contestant.whole:
            figures["cold_list_ms"] = elapsed * 1e3
        client.sequential(contestant.tool, WARM_UP_CALLS)
        pids = processes.tree(client.process.pid)
        own = own_processes(client.process.pid)
        figures |= _memory(pids, own)
        if options.idle_seconds:
            figures["idle_per_s"] = _idle_wakeups(own, options.idle_seconds)
        _small_calls(client, contestant, options, pids, figures)


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
    before = processes.cpu_seconds(pids)
    figures["spread_p50_us"] = statistics.median(client.sequential(tool, calls)) * 1e6
    figures["spread_cpu_us"] = (processes.cpu_seconds(pids) - before) / calls * 1e6

    calls *= PIPELINED_TIMES
    before = processes.cpu_seconds(pids)
    figures["rate"] = calls / client.pipelined(tool, calls)
    figures["cpu64_us"] = (processes.cpu_seconds(pids) - before) / calls * 1e6


def _large(
    contestant: Contestant, folder: Path, options: Options, figures: dict[str, float]
) -> None:
    """Large arguments there, large results back."""
    with running(contestant, folder / "a") as client:
        client.sequential(contestant.tool, 1)
        figures["mb1_ms"] = 1e3 * statistics.median(
            client.big_echo(contestant.tool, MB) for _ in range(MEGABYTE_ECHOES)
        )
        own = own_processes(client.process.pid)
        before = [processes.rss_bytes(pid) for pid in own]
        for pid in own:
            processes.reset_peak(pid)
        figures["mb10_ms"] = client.big_echo(contestant.tool, 10 * MB) * 1e3
        peaks = [processes.peak_rss_bytes(pid) for pid in own]
        growth = [peak - rss for peak, rss in zip(peaks, before, strict=True) if peak is not None]
        if growth:
            figures["peak_x"] = max(growth) / (10 * MB)


def _starts(
    contestant: Contestant, folder: Path, options: Options, figures: dict[str, float]
) -> None:
    """Started again in the same folder: Relay finds its cache there, the others know no difference.
    Then a first call with nothing cached.
    """
    with running(contestant, folder / "a") as client:
        figures["cached_init_ms"] = client.age() * 1e3
        figures["cached_list_ms"] = _complete_list(client, contestant) * 1e3
    with running(contestant, folder / "b") as client:
        client.sequential(contestant.tool, 1)
        figures["first_call_ms"] = client.age() * 1e3


def _slow_starts(
    contestant: Contestant, folder: Path, options: Options, figures: dict[str, float]
) -> None:
    """The same with a backend that takes its time."""
    for prefix in ("slow", "slow_cached"):
        with running(contestant, folder / "slow", SLOW_SECONDS) as client:
            figures[f"{prefix}_init_ms"] = client.age() * 1e3
            figures[f"{prefix}_list_ms"] = _complete_list(client, contestant) * 1e3


Section = Callable[[Contestant, Path, Options, dict[str, float]], None]

SMALL: dict[str, Section] = {"small calls": _small}
WHOLE: dict[str, Section] = SMALL | {
    "large results": _large,
    "starts": _starts,
    "starts with a slow backend": _slow_starts,
}


# ---- parts of them ------------------------------------------------------------------------------


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
        if sum(name.startswith(prefix) for name in names) >= contestant.tools * contestant.backends:
            return elapsed
        if elapsed > LIST_SECONDS_MAX:
            raise client.failed(f"only {len(names)} tools after {LIST_SECONDS_MAX} s")
        # Asking again at once would take processor time from the start that is measured.
        time.sleep(LIST_PAUSE_SECONDS)


@contextlib.contextmanager
def running(contestant: Contestant, folder: Path, delay_seconds: float = 0.0) -> Iterator[Client]:
    """A contestant after its handshake; afterwards nothing of it may be left."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = contestant.command(folder, contestant.backend(delay_seconds))
    client = Client(command, environment(folder), folder / "stderr")
    family: list[psutil.Process] = []
    try:
        client.handshake()
        family = processes.family(client.process.pid)
        yield client
        family = processes.family(client.process.pid)
        if not contestant.ours:
            return  # several peers run on, or leave something behind
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
