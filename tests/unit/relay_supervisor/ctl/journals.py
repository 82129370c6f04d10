"""Journals for tests: as workers write them."""

import json
from pathlib import Path
from typing import Any

from tests.unit.relay_supervisor.ctl.fake_relay import version


def event(name: str, at: str, instance: str = "a1b2c3d4", **fields: Any) -> str:
    """One line of a journal."""
    return json.dumps({"at": f"2026-11-23T{at}Z", "instance": instance, "event": name, **fields})


PHASES = (
    ("spawning", 0.0),
    ("handshaking", 0.2),
    ("warming", 0.3),
    ("ready", 1.3),
    ("active", 1.4),
)
OLD = version(1, "0.1.0+aaaa")
NEW = version(2, "0.2.0+bbbb", "two")


def swap(number: int = 3, outcome: str = "committed", **changes: Any) -> list[str]:
    """All events of a swap, half a minute after the minute *number*."""
    at = f"10:{number:02}:3"
    phases = [[name, seconds] for name, seconds in (*PHASES, (outcome, 11.4))]
    fields = {
        "outcome": outcome,
        "reason": "",
        "from": OLD,
        "to": NEW,
        "seconds": 11.4,
        "phases": phases,
        "tools": {"kept": 2, "added": ["new"], "lost": []},
        "calls": {"at_cut_over": 4, "finished_by_old": 1, "answered": 3, "relay_errors": 0},
        "checks": [],
        "backup": "",
        "problems": [],
        "op": "swap",
        "force": False,
        "refused": False,
        **changes,
    }
    lines = [
        event("swap_phase", f"{at}0", swap=number, phase=name, seconds=seconds)
        for name, seconds in phases
    ]
    return [*lines, event("swap_ended", f"{at}9", swap=number, **fields)]


def write(state: Path, *lines: str, rotated: tuple[str, ...] = ()) -> None:
    """The journal in a state directory."""
    state.mkdir(exist_ok=True)
    (state / "journal.jsonl").write_text("".join(f"{line}\n" for line in lines))
    if rotated:
        (state / "journal.1.jsonl").write_text("".join(f"{line}\n" for line in rotated))
