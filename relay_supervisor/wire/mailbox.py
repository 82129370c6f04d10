"""The mailbox: memory shared with the supervisor in which a worker reads a backend's stdout, and
notes what it is writing to its stdin. It outlives the worker's SIGKILL.

The supervisor makes it (zeroed, as large as `Spawn` said) and hands it to whoever has the backend.
Only that worker stores in it. Each store is one aligned 8-byte word, so a kill leaves the old value
or the new one. The first page is the header, the rest two halves of equal size for what was read:

- A byte with stream offset *o* lies at position `o - BASE` of the rest. Bytes from HEAD to TAIL
  were read and not yet passed on whole. HEAD advances when what was made of a line is in the
  supervisor's pipe to the last byte.
- Everything behind TAIL in the half in use is NUL, and JSON has no NUL: what was read but not
  counted when the worker was killed is found there, at most READ_BYTES_MAX of it. The other half
  is all NUL.
- When nothing is left between HEAD and TAIL, what was used is zeroed, and BASE stored so that the
  next byte lies at the beginning of the half again. When a half is used up, the rest of it is
  copied to the beginning of the other one, which is all NUL; then BASE is stored (one word,
  negative for the second half's sake), then the first is zeroed.
- SKIPPING: where it is greater than HEAD, an over-long line begins there, and is being dropped: it
  has no newline before offset SKIPPING - 1, and does not count up to its newline. So the store of
  HEAD that lies behind the newline ends it. Its first bytes are at HINT_AT, padded with NUL.

What is being written is in the record: LENGTH, NUMBER (a call's, an errand's, or 0) and OFFSET are
stored in the order OFFSET = 0, NUMBER, LENGTH before a frame's first write; BUSY = 1 before each
system call; OFFSET, then BUSY = 0 after it; LENGTH = 0 once the frame is written and the ledger
says so. A frame goes out in one write; one over PIPE_BUF without its last two bytes, then those
alone: so a line that was cut off is never a whole JSON text, and a newline makes it harmless.

Whoever takes the backend over looks at the record first. Where it is `torn` and the custody does
not go on with that very frame (it says how many bytes are `sent`), a newline is written before
anything else, under the record as it stands. Then, or at once, it is cleared: LENGTH = 0, BUSY = 0.
A kill in between costs an empty line, and not the frame that would be glued to the torn one.
"""

import enum
import os
import select
from typing import Final

import msgspec

HEADER_BYTES: Final = 4096
PIPE_BUF: Final = getattr(select, "PIPE_BUF", 512)
"""Up to here a write to a pipe is whole or has not happened."""

READ_BYTES_MAX: Final = 1 << 20
"""Of a backend's stdout at most so much is read in one go."""

HINT_AT: Final = 1024
HINT_BYTES: Final = 256
"""Where in the header the beginning of a line that is being dropped is kept."""

LAST_BYTES: Final = 2
"""Held back of a frame over PIPE_BUF, and written alone."""


class Word(enum.IntEnum):
    """Positions of the header's words (signed, 8 bytes each)."""

    BASE = 0
    HEAD = 1
    TAIL = 2
    SKIPPING = 3
    NUMBER = 4
    LENGTH = 5
    OFFSET = 6
    BUSY = 7


class Fate(enum.Enum):
    """What had become of the frame a killed worker was writing."""

    CUT = "cut"
    """It is certainly not whole. A part of it may be there, which a newline has to end."""
    UNSURE = "unsure"
    """It may or may not be whole. Its end may be missing, which a newline makes up for."""
    WHOLE = "whole"


class Record(msgspec.Struct, frozen=True):
    """The frame a worker was writing when it was killed. `number` 0: neither call nor errand."""

    number: int
    fate: Fate
    torn: bool
    """A part of it may be in the pipe without its end: a newline is due before anything else."""


def record(header: memoryview) -> Record | None:
    """Return what the *header* (at least its words) says was being written; None: nothing."""
    with header[: len(Word) * 8].cast("q") as words:
        number, length = words[Word.NUMBER], words[Word.LENGTH]
        offset, busy = words[Word.OFFSET], bool(words[Word.BUSY])
    if not length:
        return None
    if offset >= length:
        return Record(number, Fate.WHOLE, torn=False)
    if length <= PIPE_BUF:
        return Record(number, Fate.UNSURE if busy else Fate.CUT, torn=False)
    last = offset >= length - LAST_BYTES
    fate = Fate.UNSURE if busy and last else Fate.CUT
    return Record(number, fate, torn=busy or offset > 0)


def read(fd: int) -> Record | None:
    """Return what the mailbox behind *fd* says was being written."""
    return record(memoryview(os.pread(fd, len(Word) * 8, 0)))
