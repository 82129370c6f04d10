"""Where this worker's ledger is: in memory of the supervisor's, or nowhere."""

import mmap
import os
from typing import Final

from relay_supervisor.wire.ledger import WORDS, Ledger

UNREAD: Final = Ledger(memoryview(bytearray(WORDS * 8)))
"""A ledger for nobody, with room for no call: it stands where no supervisor wants to know."""


def attach(fd: int) -> Ledger:
    """Return the ledger in the memory behind *fd*, which is closed.

    Raises:
        OSError, ValueError: *fd* is nothing that can be mapped.
    """
    try:
        return Ledger(memoryview(mmap.mmap(fd, os.fstat(fd).st_size)))
    finally:
        os.close(fd)
