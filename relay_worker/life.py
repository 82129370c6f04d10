"""The thread that ends everything when the supervisor is gone, whatever the loop is doing.

Only the supervisor holds the write end of the life pipe, so its end of file is the one proof of
the supervisor's death that needs no loop, no timer and no message. The backends are then killed
by process group, and after that by the mark in their environment, which finds what has left its
group.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Final, NoReturn

MARKER: Final = "MCP_RELAY_INSTANCE"
"""Environment variable with the relay's instance that every backend carries."""

PASSES_MAX: Final = 5
"""Looks at the process table; a process may fork while it is being looked for."""

PASS_SECONDS: Final = 0.02
"""Between two looks, so that what was killed is gone."""


class Life:
    """Watches the life pipe. `groups` are the process groups of the backends, `mark` what their
    environment carries; both may change while the thread waits.
    """

    def __init__(self, fd: int) -> None:
        self.groups: set[int] = set()
        self._fd = fd
        self._mark: bytes | None = None
        self._thread = threading.Thread(target=self._watch, name="life", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        os.set_blocking(self._fd, True)
        self._thread.start()

    def mark(self, instance: str) -> None:
        """Name the instance whose backends are to be found by their environment."""
        self._mark = f"{MARKER}={instance}".encode()

    def wait(self, seconds: float) -> None:
        """Give the thread so long to end this process, in case the supervisor is gone."""
        self._thread.join(seconds)

    def _watch(self) -> NoReturn:
        with contextlib.suppress(OSError):  # an unusable pipe is no proof of life either
            while os.read(self._fd, 1):
                pass
        self._kill_all()
        os._exit(0)

    def _kill_all(self) -> None:
        for group in tuple(self.groups):
            with contextlib.suppress(OSError):
                os.killpg(group, signal.SIGKILL)
        if self._mark is None or not sys.platform.startswith("linux"):
            return
        for _ in range(PASSES_MAX):
            if not kill_marked(self._mark):
                return
            time.sleep(PASS_SECONDS)


def kill_marked(mark: bytes) -> int:
    """Kill every other process of this user whose environment holds *mark*; return their number."""
    killed = 0
    own = os.getpid()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == own:
            continue
        try:
            if mark in Path("/proc", entry, "environ").read_bytes().split(b"\0"):
                os.kill(int(entry), signal.SIGKILL)
                killed += 1
        except OSError:
            continue  # gone meanwhile, or not ours to look at
    return killed
