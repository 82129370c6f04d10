"""A descriptor for each child, so that a signal goes to the process that was started and never to
another one that has its number by now. Where there is none (macOS, an old kernel, no descriptors
left) the number has to do: it cannot be another's before we have reaped the child. Never waits.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Final

SIGNAL_PROCESS_GROUP: Final = 1 << 2
"""The flag of pidfd_send_signal for all of the group that the process leads; since Linux 6.9."""


class Pidfds:
    """The descriptors by pid."""

    def __init__(self, by_pid: dict[int, int], kill_group: Callable[[int, int], None]) -> None:
        """*by_pid* is what the process image before has left; *kill_group* signals by number."""
        self.by_pid = by_pid
        self._kill_group = kill_group

    def open(self, pid: int) -> bool:
        """Take hold of a child of ours; False where it can be had by its number only."""
        if sys.platform != "linux":
            return False
        try:
            self.by_pid[pid] = os.pidfd_open(pid)
        except OSError:
            return False
        return True

    def signal(self, pid: int, number: int) -> None:
        """Signal a child and the process group it leads; one that is gone is fine."""
        if (fd := self.by_pid.get(pid)) is None:
            return self._kill_group(pid, number)
        try:
            signal.pidfd_send_signal(fd, number, None, SIGNAL_PROCESS_GROUP)
        except ProcessLookupError:
            pass
        except OSError:  # before Linux 6.9: no more than the process itself
            if _is_there(fd):  # it leads its group, so it is reached once, with the others
                self._kill_group(pid, number)
        return None

    def close(self, pid: int) -> None:
        """The child is reaped; any other pid is fine."""
        if (fd := self.by_pid.pop(pid, None)) is not None:
            os.close(fd)


def _is_there(fd: int) -> bool:
    try:
        signal.pidfd_send_signal(fd, 0)
    except OSError:
        return False
    return True
