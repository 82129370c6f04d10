"""Lets other code go on in this process: tried in a child, then given all there is, at the end of a
turn. Whatever fails, the code that serves goes on as if nothing had been.
"""

import sys
from collections.abc import Callable
from typing import Final

from relay_supervisor import image as images
from relay_supervisor.adapters import children, reexec
from relay_supervisor.adapters.loop import Loop
from relay_supervisor.adapters.reexec import Code
from relay_supervisor.adapters.self_check import SelfCheck
from relay_supervisor.core import effects, events
from relay_supervisor.errors import StateRefused
from relay_supervisor.image import Image

OUR_FAULT: Final = "this is a bug of the relay's, please report it:"


class Succession:
    """The code after this one, if there is to be any."""

    def __init__(
        self,
        loop: Loop,
        on_event: Callable[[events.AnyEvent], None],
        home: str,
        write_down: Callable[[list[int]], Image],
    ) -> None:
        """*home* is the interpreter the relay was started with; *write_down* returns all there is,
        with the signal mask to go on with.
        """
        self._on_event = on_event
        self._home = home
        self._write_down = write_down
        self._check = SelfCheck(loop, on_event, self._spawn, children.kill_group)
        self.appointed: str | None = None
        """The interpreter that is to go on after this turn."""

    def check(self, effect: effects.CheckSupervisor) -> None:
        """Try other code."""
        try:
            state = images.dump(self._write_down([]))
        except Exception as error:  # noqa: BLE001 - what cannot be written can still be served
            self._on_event(events.SupervisorChecked("", _why(error)))
        else:
            self._check.begin(effect.python or sys.executable, state)

    def stop_check(self, effect: effects.StopCheck) -> None:
        """Stop trying."""
        self._check.stop()

    def reaped(self, pid: int) -> None:
        """A child is dead, maybe the one that tried."""
        self._check.reaped(pid)

    def appoint(self, effect: effects.ReplaceSupervisor) -> None:
        """Other code is to go on after this turn."""
        self.appointed = effect.python or sys.executable

    def take_place(self, last_call: Callable[[], bool]) -> None:
        """Give way, if other code is appointed. *last_call* takes in the signals that came so far,
        none come after, and returns whether it is still to be.
        """
        if self.appointed is None:
            return
        python, self.appointed = self.appointed, None
        with reexec.signals_held() as mask:
            if not last_call():
                return
            try:
                reason = self._become(python, mask)
            except Exception as error:  # noqa: BLE001 - the same
                reason = _why(error)
        self._on_event(events.SupervisorStayed(reason))

    def _become(self, python: str, mask: list[int]) -> str:
        image = self._write_down(mask)
        keep = image.descriptors()
        state = images.dump(image)
        return reexec.become(self._code(python), self._code(sys.executable), state, keep)

    def _code(self, python: str) -> Code:
        return Code(python, own=python == self._home)

    def _spawn(self, python: str, state: int, output: int) -> int:
        return children.spawn_self_check(python, state, output, own=python == self._home)


def _why(error: Exception) -> str:
    if isinstance(error, StateRefused):
        return str(error)
    return f"{OUR_FAULT} its state cannot be written down: {error!r}"
