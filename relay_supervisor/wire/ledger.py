"""The ledger: what a worker has done with each call, in memory that outlives its SIGKILL.

The worker stores, the supervisor reads, and only after the worker's death has been proven. Each
store is one aligned 8-byte word, so a kill leaves the old value or the new one, never half of it.

A slot is four words: the call number, its stage, the length of its frame in bytes, and spare. The
stage is stored before the number when a slot is taken and after it when it is let go, so a slot with
a number always has a valid stage.
"""

import enum
from typing import Final

SLOTS: Final = 1 << 14
"""More than `requests_in_flight_max` can be; a call without a slot counts as in doubt."""

WORDS: Final = 4
LEDGER_BYTES: Final = SLOTS * WORDS * 8


class Stage(enum.IntEnum):
    """What the worker has done with a call."""

    RECEIVED = 1
    """It was taken from the pipe; no backend has seen a byte of it."""
    WRITING = 2
    """It may be in the middle of the system call that gives it to the backend."""
    WRITTEN = 3
    """The backend's pipe has all of it."""


class Ledger:
    """Both sides' view of the memory."""

    __slots__ = ("_slots", "_words")

    def __init__(self, memory: memoryview) -> None:
        """Use *memory*, `LEDGER_BYTES` long and zeroed at first."""
        self._words = memory.cast("Q")
        self._slots: dict[int, int] = {}

    def take(self, call: int) -> None:
        """A call was received."""
        words = self._words
        slot = (call % SLOTS) * WORDS
        for _ in range(SLOTS):
            if not words[slot]:
                words[slot + 1] = Stage.RECEIVED
                words[slot] = call
                self._slots[call] = slot
                return
            slot = (slot + WORDS) % (SLOTS * WORDS)

    def mark(self, call: int, stage: Stage) -> None:
        """A call has come to *stage*."""
        slot = self._slots.get(call)
        if slot is not None:
            self._words[slot + 1] = stage

    def release(self, call: int) -> None:
        """A call is answered: its reply is in the supervisor's pipe, or it was withdrawn."""
        slot = self._slots.pop(call, None)
        if slot is not None:
            self._words[slot] = 0

    def read(self) -> dict[int, Stage]:
        """Return the stage of every call in the ledger."""
        words = self._words
        found: dict[int, Stage] = {}
        for slot in range(0, SLOTS * WORDS, WORDS):
            if call := words[slot]:
                found[call] = Stage(words[slot + 1])
        return found
