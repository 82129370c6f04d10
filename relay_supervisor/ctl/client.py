"""Finds the running relays and asks them all at once. Knows lines and replies, not their meaning.

A relay that is stopped, hung or talks nonsense costs the caller a bounded time and is reported as
such; it never keeps the others' answers back.
"""

import contextlib
import errno
import os
import selectors
import socket
import stat
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from relay_supervisor.settings import secure_dir
from relay_supervisor.socket_files import PROBES_MAX, SUFFIX, remove_stale
from relay_supervisor.wire.control_v1 import Request, decode_reply, encode
from relay_supervisor.wire.framing import LineReader

ANSWER_SECONDS_MAX: Final = 2.0
"""A relay answers within milliseconds; one that takes longer is stopped or hung."""

REPLY_BYTES_MAX: Final = 16 << 20
"""A longer reply is refused."""

READ_BYTES_MAX: Final = 1 << 18


class Answer(msgspec.Struct, frozen=True):
    """What came of asking one relay: its result as JSON text, or the trouble with it."""

    id: str
    result: bytes | None = None
    trouble: str | None = None


def find(directory: str, uid: int) -> list[str]:
    """Return the paths of the control sockets in the runtime directory, sorted; the dead removed.

    Raises:
        ConfigurationError: the directory is not safely ours.
    """
    if not os.path.lexists(directory):
        return []  # asking must not leave a directory behind
    secure_dir(directory, uid)
    with contextlib.suppress(OSError):
        remove_stale(directory, uid, time.time())
    names = sorted(name for name in os.listdir(directory) if name.endswith(SUFFIX))
    paths = [os.path.join(directory, name) for name in names[:PROBES_MAX]]
    return [path for path in paths if _is_our_socket(path, uid)]


def ask_all(paths: Sequence[str], request: Request, seconds: float) -> list[Answer]:
    """Ask the relays behind *paths* at the same time, and wait at most *seconds* for them all.

    Answers come in the order of *paths*; a relay that ended meanwhile has none.
    """
    talks = [_Talk(path) for path in paths]
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for talk in talks:
            if talk.begin(encode(request)):
                selector.register(talk.socket, selectors.EVENT_READ, talk)
        while selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                if key.data.read():
                    selector.unregister(key.fileobj)
    for talk in talks:
        talk.socket.close()
    return [
        talk.answer or Answer(talk.id, trouble=f"no answer within {seconds:g} s: stopped or hung")
        for talk in talks
        if not talk.gone
    ]


class _Talk:
    """One request to one relay."""

    def __init__(self, path: str) -> None:
        self.id = os.path.basename(path).removesuffix(SUFFIX)
        self.answer: Answer | None = None
        self.gone = False
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self._path = path
        self._reader = LineReader(REPLY_BYTES_MAX)

    def begin(self, line: bytes) -> bool:
        """Send the request; True while there is something to wait for."""
        try:
            self.socket.connect(self._path)
        except (ConnectionRefusedError, FileNotFoundError):
            self.gone = True
            return False
        except OSError as error:
            full = error.errno == errno.EAGAIN
            reason = "its queue is full: stopped or hung" if full else error.strerror
            return not self._fail(f"cannot be reached: {reason}")
        # A relay that refuses the connection closes it at once, but has said why before that.
        with contextlib.suppress(OSError):
            self.socket.send(line)
        return True

    def read(self) -> bool:
        """Take in what has come; True when the answer is complete."""
        try:
            data = self.socket.recv(READ_BYTES_MAX)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            return self._fail("closed the connection without an answer")
        lines = self._reader.feed(data)
        if self._reader.oversized:
            return self._fail(f"its answer is over {REPLY_BYTES_MAX} bytes")
        return any(self._take(line) for line in lines)

    def _take(self, line: bytes) -> bool:
        try:
            reply = decode_reply(line)
        except (msgspec.MsgspecError, RecursionError) as error:
            return self._fail(f"its answer is none of the control protocol: {error}")
        if reply.error is not None:
            return self._fail(f"refused: {reply.error.message}")
        if reply.done:
            self.answer = Answer(self.id, result=bytes(reply.result))
        return reply.done

    def _fail(self, trouble: str) -> bool:
        self.answer = Answer(self.id, trouble=trouble)
        return True


def _is_our_socket(path: str, uid: int) -> bool:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return False
    return stat.S_ISSOCK(status.st_mode) and status.st_uid == uid
