"""Takes the backends' pipe ends from the socketpair: descriptors and tokens, nothing else.

Not `socket.recv_fds`: it ignores its flags, and descriptors that are not close-on-exec would leak
into whatever is started later.
"""

import array
import os
import socket
from typing import Final

TOKEN_BYTES: Final = 8
FDS: Final = 3
"""Of a backend without a mailbox."""

FDS_MAX: Final = 4


class DescriptorError(Exception):
    """The descriptors of a backend did not come as announced."""


class Descriptors:
    """Receives stdin, stdout, stderr and maybe a mailbox by token. The supervisor sends them before
    it says so, hence a token that was announced and is not there never comes.
    """

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)
        self._waiting: dict[int, list[int]] = {}

    def take(self, token: int) -> list[int]:
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
                f"{len(fds)} descriptors and {len(data)} bytes came instead of {FDS} and "
                f"{TOKEN_BYTES}; is the limit of open files reached (ulimit -n)?"
            )
        for fd in fds:
            os.set_inheritable(fd, False)  # where there is no MSG_CMSG_CLOEXEC (macOS)
        self._waiting[int.from_bytes(data, "big")] = fds.tolist()


_CLOEXEC: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
