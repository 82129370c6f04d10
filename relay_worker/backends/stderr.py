"""What a backend writes to its stderr: kept for `relayctl logs`, its end for error texts."""

from collections import deque
from typing import Final

from relay_worker.backends.surroundings import Surroundings

TAIL_LINES: Final = 5
TAIL_CHARS_MAX: Final = 400
"""What of it goes into error texts: last lines, and characters of each."""


class Stderr:
    """One process's stderr."""

    def __init__(self, backend: str, around: Surroundings) -> None:
        self._backend = backend
        self._log = around.log
        self._keep = around.keep_stderr
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)

    def take(self, chunk: bytes) -> None:
        """Take in whole lines."""
        chunk = self._log.redact_bytes(chunk)
        self._keep(self._backend, chunk)
        for line in chunk.splitlines()[-TAIL_LINES:]:
            if line.strip():
                self._tail.append(line[:TAIL_CHARS_MAX].decode(errors="replace"))

    def tail(self) -> str:
        """Return the last lines, redacted."""
        return "\n".join(self._tail)
