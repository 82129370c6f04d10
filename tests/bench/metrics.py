"""What is measured, by name, and what is aimed at."""

from dataclasses import dataclass

from tests.bench.processes import LINUX

MEMORY = "PSS" if LINUX else "RSS"

GROUPS = {
    "Small calls": {
        "p50_us": "p50, µs",
        "p99_us": "p99, µs",
        "cpu_us": "CPU/call, µs",
        "spread_p50_us": "p50 as the kernel places it, µs",
        "spread_cpu_us": "CPU/call as the kernel places it, µs",
        "rate": "calls/s, 64 in flight",
        "cpu64_us": "CPU/call, 64 in flight, µs",
    },
    "Large arguments and results": {
        "mb1_ms": "1 MB echo, ms",
        "mb10_ms": "10 MB echo, ms",
        "peak_x": "memory peak then, x 10 MB",
    },
    "From the start of the process, in ms": {
        "init_ms": "initialize",
        "cold_list_ms": "97 tools",
        "first_call_ms": "first call",
        "cached_init_ms": "initialize, second start",
        "cached_list_ms": "97 tools, second start",
    },
    "The same with a backend that takes 0.5 s to start": {
        "slow_init_ms": "initialize",
        "slow_list_ms": "97 tools",
        "slow_cached_init_ms": "initialize, second start",
        "slow_cached_list_ms": "97 tools, second start",
    },
    "Memory and rest": {
        "tree_mb": f"{MEMORY} of the tree, MB",
        "top_mb": "first process, MB",
        "second_mb": "second process, MB",
        "idle_per_s": "wake-ups per s when idle",
    },
}
METRICS = {metric: title for group in GROUPS.values() for metric, title in group.items()}
ABSOLUTE = {"peak_x", "idle_per_s"}
"""A ratio to the floor would say nothing."""

SCALING = ("p50_us", "p99_us", "cpu_us", "rate", "cpu64_us")
"""What is compared between few and many backends and tools."""


@dataclass(frozen=True)
class Aim:
    """A bound on a figure of Relay's: on its ratio to another's, or on the figure itself."""

    what: str
    metric: str
    bound: float
    against: str | None = "floor"
    against_metric: str | None = None
    at_least: bool = False
    of: str = "relay"


AIMS = (
    Aim("small call p50 ≤ 1.25 x floor", "p50_us", 1.25),
    Aim("small call p99 ≤ 1.5 x floor", "p99_us", 1.5),
    Aim("p50 as the kernel places it ≤ 1.25 x floor", "spread_p50_us", 1.25),
    Aim("calls/s, 64 in flight ≥ 0.6 x floor", "rate", 0.6, at_least=True),
    Aim("CPU per call ≤ 1.3 x floor", "cpu_us", 1.3),
    Aim("CPU per call as the kernel places it ≤ 1.3 x floor", "spread_cpu_us", 1.3),
    Aim("CPU per call, 64 in flight ≤ 1.5 x floor", "cpu64_us", 1.5),
    Aim("10 MB echo ≤ 1.3 x floor", "mb10_ms", 1.3),
    Aim("memory peak, 10 MB ≤ 4 x message", "peak_x", 4.0, against=None),
    Aim(
        "list from the cache, backend slow ≤ 1.5 x one hop's list, backend fast",
        "slow_cached_list_ms",
        1.5,
        "one-hop",
        "cold_list_ms",
    ),
    Aim(
        "first call, nothing cached ≤ 3 x floor's list",
        "first_call_ms",
        3.0,
        "floor",
        "cold_list_ms",
    ),
    Aim("supervisor's memory ≤ 1.4 x one hop", "top_mb", 1.4, "one-hop"),
    Aim("worker's memory ≤ 2.5 x one hop", "second_mb", 2.5, "one-hop", "top_mb"),
    Aim("idle: wake-ups < 0.1 per s", "idle_per_s", 0.1, against=None),
    Aim("p50, 50 backends, 5,000 tools ≤ 1.1 x one", "p50_us", 1.1, "relay", of="relay-50x100"),
    Aim("CPU, 50 backends, 5,000 tools ≤ 1.1 x one", "cpu_us", 1.1, "relay", of="relay-50x100"),
)
GAP_MS_MAX = {"swap": 20.0, "re-exec": 150.0}
"""So much longer than in a quiet window may be the longest gap between answers."""
P99_MS_MAX = 5.0
"""So much more may be the 99th percentile while the worker is swapped."""
