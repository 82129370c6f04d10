"""What of that which was written to a pipe nobody will ever read. Only Linux tells."""

import fcntl
import select
import struct
import termios
from typing import Final

_INT: Final = struct.Struct("i")


def unread_bytes(fd: int) -> int:
    """Return how much of what was written to a pipe nobody will ever read: 0 as long as anybody
    may, such as a child that inherited the other end.
    """
    poll = select.poll()
    poll.register(fd, 0)
    if not any(events & select.POLLERR for _, events in poll.poll(0)):
        return 0
    answer = fcntl.ioctl(fd, termios.FIONREAD, bytes(_INT.size))
    return int(_INT.unpack(answer)[0])
