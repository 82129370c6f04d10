"""Resident memory of a relay's processes, which the relay leaves to relayctl to look up.

A backend counts with all its descendants: behind `npx` or `uvx` the real server is a grandchild.
Pages that processes share are counted in each. A process that is gone or hidden has no figure.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import psutil


def fill(instances: Iterable[dict[str, Any]]) -> None:
    """Set `rss_bytes` where it is null, in every supervisor, worker and backend of *instances*."""
    children: dict[int, list[psutil.Process]] | None = None
    for instance in instances:
        for process in [instance.get("supervisor", {}), *instance.get("workers", [])]:
            _set(process, [])
        for backend in instance.get("backends", []):
            if backend.get("pid") is not None:
                children = _children() if children is None else children
                _set(backend, _descendants(backend["pid"], children))


def _set(entry: dict[str, Any], descendants: list[psutil.Process]) -> None:
    if entry.get("rss_bytes") is not None or entry.get("pid") is None:
        return
    try:
        own = psutil.Process(entry["pid"]).memory_info().rss
    except psutil.Error:
        return
    entry["rss_bytes"] = own + sum(_resident(process) for process in descendants)


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _children() -> dict[int, list[psutil.Process]]:
    """Every process under its parent's pid: one look at the process table for all backends."""
    children: dict[int, list[psutil.Process]] = defaultdict(list)
    for process in psutil.process_iter(["ppid"]):
        children[process.info["ppid"]].append(process)
    return children


def _descendants(pid: int, children: dict[int, list[psutil.Process]]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    seen = {pid}
    todo = [pid]
    while todo:
        for process in children.get(todo.pop(), ()):
            if process.pid not in seen:  # the table was not read in one instant
                seen.add(process.pid)
                found.append(process)
                todo.append(process.pid)
    return found
