"""Signals as bytes on a pipe, so that the loop meets them like everything else."""

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Final

from relay_supervisor.adapters.loop import READ, Loop

STOP: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""All mean the end; SIGHUP too, as it says that the terminal is gone."""


class Signals:
    """Calls back in the loop, once for each signal that arrived."""

    def __init__(
        self, loop: Loop, on_stop: Callable[[int], None], on_child: Callable[[], None]
    ) -> None:
        self._on_stop = on_stop
        self._on_child = on_child
        self._read, self._write = os.pipe()
        for fd in (self._read, self._write):
            os.set_blocking(fd, False)
        for number in (*STOP, signal.SIGCHLD):
            signal.signal(number, _nothing)
            signal.siginterrupt(number, False)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        loop.watch(self._read, READ, self._ready)

    def take(self) -> None:
        """Call back for what has arrived and the loop has not come to yet."""
        with contextlib.suppress(BlockingIOError):
            self._ready(READ)

    def _ready(self, _events: int) -> None:
        numbers = os.read(self._read, 4096)
        for number in numbers:
            if number in STOP:
                self._on_stop(number)
        if signal.SIGCHLD in numbers:
            self._on_child()


def _nothing(_number: int, _frame: object) -> None:
    """The byte on the pipe is all that matters."""
