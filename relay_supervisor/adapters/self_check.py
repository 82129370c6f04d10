"""Trying other code for the supervisor in a child process, before it takes over. Never waits.

The child gets a copy of the state and says on its stdout, in one line, which version it is and
whether it can go on from there. What it says instead, and its silence, are reasons not to.
"""

import os
from collections.abc import Callable
from typing import Final

import msgspec

from relay_supervisor import memory_file
from relay_supervisor.adapters.loop import READ, Loop
from relay_supervisor.core.events import AnyEvent, SupervisorChecked
from relay_supervisor.errors import SpawnFailed
from relay_supervisor.wire.errors import UNDECODABLE

OUTPUT_BYTES_MAX: Final = 64 << 10
"""The beginning of what the child says is kept; one that goes on gets no more attention."""

SIGKILL: Final = 9


class Verdict(msgspec.Struct, frozen=True):
    """The line that the child writes. Add-only, as it may be of any release."""

    self_check: int
    """Always 1: what else a program prints is no verdict."""
    version: str
    refusal: str = ""


Spawn = Callable[[str, int, int], int]
"""Starts the interpreter's self-check with the state's descriptor and one for its output."""


class SelfCheck:
    """At most one child that is trying."""

    def __init__(
        self,
        loop: Loop,
        on_event: Callable[[AnyEvent], None],
        spawn: Spawn,
        kill: Callable[[int, int], None],
    ) -> None:
        self._loop = loop
        self._on_event = on_event
        self._spawn = spawn
        self._kill = kill
        self._pid = 0
        self._dead = False
        self._out = -1
        self._said = b""

    def begin(self, python: str, state: bytes) -> None:
        """Start the child; `SupervisorChecked` follows, at once where it cannot be started."""
        try:
            copy = memory_file.write("self-check", state)
        except OSError as error:
            return self._on_event(SupervisorChecked("", f"no memory for its state: {error}"))
        try:
            self._out, output = os.pipe()
        except OSError as error:
            os.close(copy)
            return self._on_event(SupervisorChecked("", f"no descriptors are left: {error}"))
        try:
            self._pid = self._spawn(python, copy, output)
        except SpawnFailed as error:
            os.close(self._out)
            return self._on_event(SupervisorChecked("", str(error)))
        finally:
            os.close(copy)
            os.close(output)
        self._said, self._dead = b"", False
        os.set_blocking(self._out, False)
        self._loop.watch(self._out, READ, self._ready)
        return None

    def stop(self) -> None:
        """End the child, if there is one; it has nothing that could be lost."""
        if self._pid:
            if not self._dead:
                self._kill(self._pid, SIGKILL)
            self._close()

    def reaped(self, pid: int) -> None:
        """A child is dead; what it has said may still be on its way."""
        if pid == self._pid:
            self._dead = True

    def _close(self) -> None:
        self._loop.unwatch(self._out)
        os.close(self._out)
        self._pid = 0

    def _ready(self, _events: int) -> None:
        try:
            data = os.read(self._out, OUTPUT_BYTES_MAX)
        except BlockingIOError:
            return
        self._said = (self._said + data)[:OUTPUT_BYTES_MAX]
        if not data:
            self._close()
            self._on_event(self._judge())

    def _judge(self) -> SupervisorChecked:
        lines = [line for line in self._said.split(b"\n") if line.strip()]
        last = lines[-1] if lines else b"it said nothing"
        try:
            verdict = _verdict.decode(last)
        except UNDECODABLE:
            return SupervisorChecked("", f"it failed: {last.decode(errors='replace').strip()}")
        return SupervisorChecked(verdict.version, verdict.refusal)


_verdict: Final = msgspec.json.Decoder(Verdict)
