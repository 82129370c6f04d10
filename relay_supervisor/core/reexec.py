"""Replacing the supervisor's own code: tried first, then done between two events, or not at all.

`check → replace → committed`, and from each of them to `failed`, which changes nothing. What is
kept here is the record of it and who waits for its outcome; how one process image follows another
is nothing the core knows about.
"""

import enum
from typing import Final

import msgspec

from relay_supervisor.core import effects, events
from relay_supervisor.core.generation import Source
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.swap_record import SUPERVISOR, Outcome, Swap
from relay_supervisor.core.swap_replies import Replies

CHECK_SECONDS_MAX: Final = 10.0
"""How long other code may take to say that it can go on from here."""

REASON_CHARS_MAX: Final = 400


class Stage(enum.Enum):
    """How far it has come."""

    IDLE = "idle"
    CHECKING = "checking"
    REPLACING = "replacing"


class ReexecState(msgspec.Struct):
    """Plain data of this room."""

    count: int = 0
    """How often the code has been replaced."""
    release: str = ""
    """The one the code is of; empty: what the relay was started from."""
    stage: Stage = Stage.IDLE
    swap: Swap | None = None
    """The record of the one under way."""

    def label(self, build: str) -> dict[str, object]:
        """Return what is said of the supervisor that serves now."""
        return {"release": self.release, "build": build}


class Reexec:
    """The replacement under way."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._state = shared.memory.reexec
        self._swaps = shared.memory.swaps
        self._replies = Replies(shared)

    @property
    def open(self) -> bool:
        """Tell whether one is under way."""
        return self._state.stage is not Stage.IDLE

    @property
    def replacing(self) -> bool:
        """Tell whether the other code is to take over now."""
        return self._state.stage is Stage.REPLACING

    def request(self, connection: int, args: dict[str, object], now: float) -> None:
        """relayctl wants other code."""
        if self._swaps.warming is not None or self._swaps.probation is not None:
            where = "under way" if self._swaps.warming is not None else "on probation"
            text = f"a swap of the worker is {where}; wait for its end, or take it back"
            return self._replies.deny(connection, "busy", text)
        python = str(args.get("python") or "")
        release = str(args.get("release") or ("" if python else self._state.release))
        self._swaps.count += 1
        swap = Swap(self._swaps.count, Source(python, release), now, None, kind=SUPERVISOR)
        swap.watchers.append(connection)
        swap.labels["from"] = self._label()
        swap.labels["to"] = {"release": release}
        self._state.stage, self._state.swap = Stage.CHECKING, swap
        self._replies.phase(swap, "checking", now)
        self._shared.timers.set("self-check", now + CHECK_SECONDS_MAX)
        self._shared.out.put(effects.CheckSupervisor(python))
        return None

    def checked(self, event: events.SupervisorChecked, now: float) -> None:
        """The other code has been tried. An answer that nobody waits for any more is dropped."""
        swap = self._state.swap
        if swap is None or self._state.stage is not Stage.CHECKING:
            return None
        self._shared.timers.clear("self-check")
        if event.refusal:
            return self._end(swap, Outcome.FAILED, event.refusal, now)
        swap.labels["to"] = {"release": swap.source.release, "build": event.version}
        swap.calls_at_cut_over = len(self._shared.state.calls)
        self._state.stage = Stage.REPLACING
        self._replies.phase(swap, "replacing", now)
        self._shared.out.put(effects.ReplaceSupervisor(swap.source.python))
        return None

    def late(self, now: float) -> None:
        """The other code does not say anything."""
        if (swap := self._state.swap) is not None:
            self._shared.out.put(effects.StopCheck())
            text = f"it did not say within {CHECK_SECONDS_MAX:g} s that it can go on from here"
            self._end(swap, Outcome.FAILED, text, now)

    def replaced(self, event: events.SupervisorReplaced, now: float) -> None:
        """We are the other code."""
        self._state.count += 1
        if (swap := self._state.swap) is not None:
            self._state.release = swap.source.release
            swap.labels["to"] = self._label()
            self._end(swap, Outcome.COMMITTED, "", now)

    def stayed(self, event: events.SupervisorStayed, now: float) -> None:
        """We are the code from before."""
        if (swap := self._state.swap) is not None:
            self._end(swap, Outcome.FAILED, event.reason, now)

    def interrupt(self, now: float) -> None:
        """The relay ends: whoever waits is told."""
        if (swap := self._state.swap) is not None:
            self._shared.timers.clear("self-check")
            self._shared.out.put(effects.StopCheck())
            self._end(swap, Outcome.FAILED, "the relay ends", now)

    def _label(self) -> dict[str, object]:
        return self._state.label(self._shared.workers.identity.build)

    def _end(self, swap: Swap, outcome: Outcome, reason: str, now: float) -> None:
        self._state.stage, self._state.swap = Stage.IDLE, None
        self._replies.ended(swap, outcome, reason[:REASON_CHARS_MAX], now)
