"""The children we are the parent of, and how each is brought to its end.

Ending is a ladder: close its stdin, then TERM, then KILL, with named waits between; nobody stays
on a rung for ever, and nobody is signalled who is not ours and alive.
"""

import enum
from collections.abc import Mapping
from signal import SIGKILL, SIGTERM
from typing import Final

import msgspec

from relay_supervisor.core import effects
from relay_supervisor.core.outbox import Outbox
from relay_supervisor.core.timers import Timers


class Rung(enum.Enum):
    """How far the end of a process has come."""

    RUNNING = "running"
    CLOSED = "closed"
    TERMINATED = "terminated"
    KILLED = "killed"


NEXT: Final[Mapping[Rung, Rung]] = {
    Rung.RUNNING: Rung.CLOSED,
    Rung.CLOSED: Rung.TERMINATED,
    Rung.TERMINATED: Rung.KILLED,
}


class Pace(enum.Enum):
    """How fast somebody has to end; the fastest has the lowest number."""

    PATIENT = 3
    """A backend that is no longer wanted may still have something to save."""
    HURRIED = 2
    """The client has closed stdin: all has to be gone within 2 s."""
    URGENT = 1
    """A signal: Claude Code kills us 0.5 s after its first one."""
    AT_ONCE = 0


WAIT_SECONDS: Final[Mapping[Pace, Mapping[Rung, float]]] = {
    Pace.PATIENT: {Rung.CLOSED: 2.0, Rung.TERMINATED: 2.0},
    Pace.HURRIED: {Rung.CLOSED: 0.3, Rung.TERMINATED: 0.5},
    Pace.URGENT: {Rung.TERMINATED: 0.12},
    Pace.AT_ONCE: {},
}
"""How long each rung is given; one that is not there is not waited on."""


class Process(msgspec.Struct):
    """A child of ours. `backend` is empty for a worker."""

    pid: int
    generation: int
    backend: str = ""
    rung: Rung = Rung.RUNNING
    pace: Pace = Pace.PATIENT
    pidfd: bool = False
    """Signals go through a descriptor of it."""


class Processes:
    """All children by pid."""

    def __init__(self, by_pid: dict[int, Process], timers: Timers, out: Outbox) -> None:
        self.by_pid = by_pid
        self._timers = timers
        self._out = out

    def add(self, pid: int, generation: int, backend: str = "", *, pidfd: bool = False) -> None:
        """A child was started."""
        self.by_pid[pid] = Process(pid, generation, backend, pidfd=pidfd)

    def signalled_by(self, pid: int | None) -> str | None:
        """Return how signals find a child: `pidfd`, or `pid` where that cannot be had."""
        if (process := self.by_pid.get(pid or 0)) is None:
            return None
        return "pidfd" if process.pidfd else "pid"

    def backends_of(self, generation: int) -> list[Process]:
        """Return the backends that a generation holds."""
        return [p for p in self.by_pid.values() if p.backend and p.generation == generation]

    def end(self, pid: int, pace: Pace, now: float) -> None:
        """Begin to end a child, or hurry an end that has begun."""
        process = self.by_pid.get(pid)
        if process is None:
            return
        if process.rung is Rung.RUNNING or pace.value < process.pace.value:
            process.pace = pace
            self.climb(pid, now)

    def climb(self, pid: int, now: float) -> None:
        """Take a child to the next rung, and over all rungs with no wait."""
        process = self.by_pid.get(pid)
        while process is not None and (rung := NEXT.get(process.rung)) is not None:
            process.rung = rung
            if rung is Rung.CLOSED:
                self._out.put(effects.CloseStdin(pid))
            else:
                self._out.put(effects.Signal(pid, _SIGNALS[rung]))
            if seconds := WAIT_SECONDS[process.pace].get(rung):
                self._timers.set(f"process#{pid}", now + seconds)
                return

    def exited(self, pid: int) -> Process | None:
        """Take out a child that is dead and reaped; None where it was none of ours."""
        self._timers.clear(f"process#{pid}")
        return self.by_pid.pop(pid, None)


_SIGNALS: Final[Mapping[Rung, int]] = {
    Rung.TERMINATED: int(SIGTERM),
    Rung.KILLED: int(SIGKILL),
}
