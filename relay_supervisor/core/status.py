"""The answer to `relayctl status`: one instance of the JSON in DESIGN §12. Add-only.

Memory figures are left null: relayctl, which may use psutil, fills them in.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from relay_supervisor.core.generation import GONE, Generation, Source
from relay_supervisor.core.processes import Processes
from relay_supervisor.core.registry import Registry
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.state import Backend, Counts, State
from relay_supervisor.core.swap_record import Swap
from relay_supervisor.core.workers import WorkersState
from relay_supervisor.wire import cache, control_v1, v1

_ERAS: Final = {v1.LEGACY: "legacy", v1.MODERN: "modern", None: None}
_BROKEN: Final = ("failed", "backing_off", "restarting", "lost")
_STARTING: Final = ("unknown", "starting", "awaited")


def configuration(shared: Shared, source: Source) -> bytes:
    """Return the JSON text of where the configuration is, and (in base64) the bytes that are in
    force; null as long as none have been read.
    """
    path = shared.workers.identity.config_path
    return msgspec.json.encode({"path": path, "content": source.config})


def instance(
    shared: Shared, swap: Swap | None, now: float, *, degraded: bool, kept: Sequence[str]
) -> bytes:
    """Return the JSON text of this relay's status. *swap* is the one on probation, or the
    last; *kept* are the releases that must not be removed, whether they run or not.
    """
    identity, workers = shared.workers.identity, shared.workers.state
    state = shared.state
    per_generation: dict[int, int] = {}
    for call in state.calls.values():
        per_generation[call.generation] = per_generation.get(call.generation, 0) + 1
    return msgspec.json.encode(
        {
            "id": identity.instance,
            "health": "degraded" if degraded else _health(state, workers),
            "supervisor": {
                "pid": identity.pid,
                "version": identity.build,
                "uptime_s": round(now - state.started, 3),
                "rss_bytes": None,
                "release": shared.memory.reexec.release,
                "reexecs": shared.memory.reexec.count,
                "stderr_dropped": state.stderr_dropped,
            },
            "client": {
                "name": state.peer.name,
                "version": state.peer.version,
                "era": _ERAS[state.peer.era],
                "protocol": state.peer.protocol,
            },
            "workers": [
                _worker(generation, per_generation.get(generation.number, 0), shared.processes)
                for generation in workers.generations.values()
            ],
            "calls": _calls(state),
            "registry": _registry(shared.registry),
            "backends": [_backend(one, shared.processes) for one in state.backends.values()],
            "last_swap": _last_swap(swap, identity.started_at - state.started, now),
            "config_path": identity.config_path,
            "releases_kept": kept,
            "problems": [*state.problems, *filter(None, [state.worker_trouble])],
        }
    )


def _health(state: State, workers: WorkersState) -> str:
    if workers.active is None:
        # While the first worker is on its way nothing is wrong yet; later something is.
        first = workers.generations.get(1)
        alive = first is not None and first.state not in GONE
        return "starting" if not workers.last or (workers.last == 1 and alive) else "degraded"
    if state.broken:
        return "degraded"
    states = [backend.state for backend in state.backends.values()]
    if any(word in _BROKEN for word in states):
        return "degraded"
    return "starting" if any(word in _STARTING for word in states) else "ok"


def _worker(generation: Generation, in_flight: int, processes: Processes) -> dict[str, object]:
    return {
        "generation": generation.number,
        "pid": generation.pid,
        "state": generation.state.value,
        "release": generation.source.release or generation.build,
        "build": generation.build,
        "in_flight": in_flight,
        "rss_bytes": None,
        "signalled_by": processes.signalled_by(generation.pid),
    }


def _last_swap(swap: Swap | None, epoch: float, now: float) -> dict[str, object] | None:
    """*epoch* is the wall clock when the core's clock was at 0."""
    if swap is None:
        return None
    began = control_v1.timestamp(epoch + swap.began)
    return {
        "kind": swap.kind,
        "outcome": swap.outcome.value if swap.outcome else "probation",
        "from": swap.labels.get("from", {}).get("build"),
        "to": swap.labels.get("to", {}).get("build"),
        "seconds": swap.seconds if swap.outcome else round(now - swap.began, 3),
        "at": began,
        "reason": swap.reason,
    }


def _registry(registry: Registry) -> dict[str, object]:
    body = registry.body or cache.Body()
    return {
        "tools": len(body.tools),
        "prompts": len(body.prompts),
        "resources": len(body.resources),
        "templates": len(body.templates),
        "digest": registry.digest,
        "settled": registry.settled,
        "quarantined": [
            {"backend": q.backend, "kind": q.kind, "name": q.name, "reason": q.reason}
            for q in body.quarantined
        ],
    }


def _backend(backend: Backend, processes: Processes) -> dict[str, object]:
    shown = ("name", "kind", "state", "pid", "tools", "calls", "errors", "restarts", "last_error")
    status: dict[str, object] = {field: getattr(backend, field) for field in shown}
    return status | {
        "rss_bytes": None,
        "skipped_lines": backend.skipped_lines,
        "signalled_by": processes.signalled_by(backend.pid),
    }


def _calls(state: State) -> dict[str, object]:
    counts = state.counts
    return {
        "total": counts.total,
        "in_flight": len(state.calls),
        "queued": sum(r.phase.value == "held" for r in state.requests.values()),
        "retried": counts.retried,
        "unknown_outcome": counts.unknown_outcome,
        "late_replies": counts.late_replies,
        "p50_ms": _percentile(counts, 0.50),
        "p99_ms": _percentile(counts, 0.99),
    }


def _percentile(counts: Counts, share: float) -> float | None:
    if not counts.latencies:
        return None
    ordered = sorted(counts.latencies)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 3)
