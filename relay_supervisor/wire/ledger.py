"""The ledger: what a worker has done with each call, in memory that outlives its SIGKILL.

The worker stores, the supervisor reads, and only after the worker's death has been proven and its
pipe has been read to the end. Each store is one aligned 8-byte word, so a kill leaves the old value
or the new one, never half of it.

A slot is four words: the call number, its stage, and two to spare. The stage is stored before the
number when a slot is taken, and a slot is let go by its number alone, so a slot with a number
always has the stage of that call. The first slot is the header; its first word counts the calls
under way that found no slot.
"""

import enum
from typing import Final

SLOTS: Final = 1 << 14
"""More than `requests_in_flight_max` is by default."""

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
    """Both sides' view of the memory, of which only one side stores."""

    __slots__ = ("_free", "_fresh", "_slots", "_unrecorded", "_words")

    def __init__(self, memory: memoryview) -> None:
        """Use *memory*: zeroed at first, `LEDGER_BYTES` long or whatever the other side made."""
        self._words = memory.cast("Q")
        self._slots: dict[int, int] = {}
        self._free: list[int] = []
        self._fresh = WORDS  # slots from here on were never taken
        self._unrecorded: set[int] = set()

    def close(self) -> None:
        """Let go of the memory, so that it can be unmapped."""
        self._words.release()

    def take(self, call: int) -> None:
        """A call was received."""
        words = self._words
        if self._free:
            slot = self._free.pop()
        elif self._fresh < len(words):
            slot = self._fresh
            self._fresh += WORDS
        else:
            self._unrecorded.add(call)
            words[0] = len(self._unrecorded)
            return
        words[slot + 1] = _RECEIVED
        words[slot] = call
        self._slots[call] = slot

    def mark(self, call: int, stage: int) -> None:
        """A call has come to *stage*, best given as a plain number: storing an enum takes twice the
        time. A call that is not in the ledger is passed over.
        """
        slot = self._slots.get(call)
        if slot is not None:
            self._words[slot + 1] = stage

    def release(self, call: int) -> None:
        """A call is answered: its reply is in the supervisor's pipe, or it was withdrawn."""
        slot = self._slots.pop(call, None)
        if slot is not None:
            self._words[slot] = 0
            self._free.append(slot)
        elif call in self._unrecorded:
            self._unrecorded.remove(call)
            self._words[0] = len(self._unrecorded)

    def read(self) -> dict[int, Stage]:
        """Return the stage of every call in the ledger. A call that is not there, and whose reply
        has not come, was never taken from the pipe; but see `complete`.
        """
        words = self._words
        found: dict[int, Stage] = {}
        for slot in range(WORDS, len(words), WORDS):
            if call := words[slot]:
                found[call] = _STAGES.get(words[slot + 1], Stage.WRITING)
        return found

    @property
    def complete(self) -> bool:
        """Return whether every call under way is in it; else any that is not may have run."""
        return not self._words[0]


_RECEIVED: Final = Stage.RECEIVED.value
_STAGES: Final = {stage.value: stage for stage in Stage}
"""What a newer worker may add besides counts as in doubt."""
