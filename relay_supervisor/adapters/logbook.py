"""The supervisor's log: to stderr, which may never block it, and to a file, which it may not write.

What stderr does not take at once is dropped and counted. Lines for the file are kept in a bounded
buffer until a worker takes them.
"""

import os
import stat
import time
from collections.abc import Callable
from typing import Final

import msgspec

LEVELS: Final = ("debug", "info", "warning", "error")

KEPT_BYTES_MAX: Final = 256 << 10
"""Lines kept for the file while no worker is up; more are dropped and counted."""


class LogbookState(msgspec.Struct):
    """What is left of it when the code is replaced."""

    fd: int
    kept: list[bytes]
    dropped: int
    file_dropped: int


class Logbook:
    """Writes lines of the relay's own and passes on those of its workers."""

    def __init__(
        self,
        level: str,
        log_format: str,
        left: LogbookState | None = None,
        on_dropped: Callable[[int], None] = lambda dropped: None,
    ) -> None:
        """*on_dropped* is told how many lines stderr did not take so far."""
        left = left or LogbookState(_private_stderr(), [], 0, 0)
        self._least = LEVELS.index(level)
        self._json = log_format == "json"
        self._fd = left.fd
        self._on_dropped = on_dropped
        self._kept = left.kept
        self._kept_bytes = sum(map(len, left.kept))
        self.dropped = left.dropped
        """Lines that stderr did not take."""
        self.file_dropped = left.file_dropped
        self.waiting = bool(left.kept)
        """There are lines for the file."""

    def export(self) -> LogbookState:
        """Return what another one can go on from."""
        return LogbookState(self._fd, self._kept, self.dropped, self.file_dropped)

    def write(self, level: str, text: str) -> None:
        """Log one event."""
        if LEVELS.index(level) < self._least:
            return
        line = self._line(level, text)
        self.pass_on(line)
        if self._kept_bytes + len(line) > KEPT_BYTES_MAX:
            self.file_dropped += 1
        else:
            self._kept.append(line)
            self.waiting = True
            self._kept_bytes += len(line)

    def pass_on(self, data: bytes) -> None:
        """Write bytes to stderr, or drop and count them where it is full or gone."""
        try:
            written = os.write(self._fd, data)
        except OSError:
            written = 0
        if written < len(data):
            self.dropped += 1
            self._on_dropped(self.dropped)

    def take_for_file(self) -> tuple[bytes, int]:
        """Return the lines for the log file since the last call, and how many were dropped."""
        lines, dropped = b"".join(self._kept), self.file_dropped
        self._kept.clear()
        self._kept_bytes = self.file_dropped = 0
        self.waiting = False
        return lines, dropped

    def _line(self, level: str, text: str) -> bytes:
        now = time.time()
        stamp = (
            time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
        )
        text = text.encode(errors="replace").decode()  # a path need not be UTF-8
        if self._json:
            event = {"time": stamp, "level": level, "source": "supervisor", "message": text}
            return msgspec.json.encode(event) + b"\n"
        # One event, one line: nothing that is quoted in it can pass for another.
        return f"{stamp} {level:7} supervisor: {' '.join(text.splitlines())}\n".encode()


def _private_stderr() -> int:
    """Return a non-blocking descriptor for stderr that leaves the client's own one blocking.

    O_NONBLOCK belongs to the open file, which the client or a terminal shares with us; opened
    anew through /proc it is ours alone. Where that fails (a socket, macOS) the shared one is set.
    """
    if stat.S_ISFIFO(os.fstat(2).st_mode) or os.isatty(2):
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_APPEND
        try:
            return os.open("/proc/self/fd/2", flags)
        except OSError:
            pass
    fd = os.dup(2)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.set_blocking(fd, False)
    return fd
