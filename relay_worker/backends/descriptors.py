"""Takes the backends' pipe ends from the socketpair: descriptors and tokens, nothing else.

Not `socket.recv_fds`: it ignores its flags, and descriptors that are not close-on-exec would leak
into whatever is started later.
"""

import array
import os
import socket
from typing import Final, NamedTuple

TOKEN_BYTES: Final = 8
FDS: Final = 3
FDS_MAX: Final = FDS + 1
"""With the memory of a mailbox, where the supervisor has such."""


class DescriptorError(Exception):
    """The descriptors of a backend did not come as announced."""


class Ends(NamedTuple):
    """The pipe ends of a backend, and the memory of its mailbox where the supervisor made one."""

    stdin: int
    stdout: int
    stderr: int
    mailbox: int | None = None

    @property
    def pipes(self) -> tuple[int, int, int]:
        """Return stdin, stdout, stderr."""
        return self[:3]

    def close(self) -> None:
        """Close them all, as nobody has taken them over."""
        for fd in self:
            if fd is not None:
                os.close(fd)


class Descriptors:
    """Receives what belongs to a backend, by token. The supervisor sends it before it says so,
    hence a token that was announced and is not there never comes.
    """

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)
        self._waiting: dict[int, Ends] = {}

    def take(self, token: int) -> Ends:
        """Return the descriptors sent with *token*; the caller closes them.

        Raises:
            DescriptorError: they are not there, or not whole.
        """
        while token not in self._waiting:
            self._receive()
        return self._waiting.pop(token)

    def _receive(self) -> None:
        fds = array.array("i")
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(
                TOKEN_BYTES, socket.CMSG_SPACE(FDS_MAX * fds.itemsize), _CLOEXEC
            )
        except OSError as error:
            raise DescriptorError(f"no descriptors came: {error.strerror}") from error
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
        if flags & socket.MSG_CTRUNC or not FDS <= len(fds) <= FDS_MAX or len(data) != TOKEN_BYTES:
            for fd in fds:
                os.close(fd)
            raise DescriptorError(
                f"{len(fds)} descriptors and {len(data)} bytes came instead of {FDS} or {FDS_MAX} "
                f"and {TOKEN_BYTES}; is the limit of open files reached (ulimit -n)?"
            )
        for fd in fds:
            os.set_inheritable(fd, False)  # where there is no MSG_CMSG_CLOEXEC (macOS)
        self._waiting[int.from_bytes(data, "big")] = Ends(*fds)


_CLOEXEC: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
