"""One link of the floor's chain: both directions' buffers and their rewriting, without a loop.

The loops that drive it are in hop_*.py, one per file, so that a process imports only its own loop.
A link ends when its client closes the input; it never outlives its backend.
"""

import os
import sys
from collections.abc import Callable

from tests.bench.framing import NOTHING, READ_BYTES_MAX, Splitter, write_some
from tests.bench.remap import Remap


class Lane:
    """One direction: frames read from `source`, rewritten, written to `sink`."""

    __slots__ = ("_rewrite", "_splitter", "backlog", "sink", "source")

    def __init__(self, source: int, sink: int, rewrite: Callable[[bytes], bytes]) -> None:
        self.source = source
        self.sink = sink
        self.backlog = NOTHING
        self._rewrite = rewrite
        self._splitter = Splitter()

    def on_readable(self) -> bool:
        """Read once and pass on what is whole; False at the end of the input."""
        data = os.read(self.source, READ_BYTES_MAX)
        if not data:
            return False
        lines = self._splitter.feed(data)
        if lines:
            frames = b"\n".join([*map(self._rewrite, lines), b""])
            if self.backlog:
                self.backlog = memoryview(bytes(self.backlog) + frames)
            else:
                self.backlog = write_some(self.sink, frames)
        return True

    def on_writable(self) -> None:
        """Write what had to wait."""
        self.backlog = write_some(self.sink, self.backlog)


class Link:
    """Our own stdio on one side, a child's on the other."""

    __slots__ = ("child", "down", "idle", "up")

    def __init__(self, command: list[str], idle_pairs: int = 0) -> None:
        (child_in, sink), (source, child_out) = os.pipe(), os.pipe()
        self.child = os.posix_spawnp(
            command[0],
            command,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, child_in, 0),
                (os.POSIX_SPAWN_DUP2, child_out, 1),
            ],
        )
        os.close(child_in)
        os.close(child_out)
        for fd in (0, 1, sink, source):
            os.set_blocking(fd, False)
        remap = Remap()
        self.up = Lane(0, sink, remap.request)
        self.down = Lane(source, 1, remap.response)
        # Pipes on which nothing ever comes: the stdout and stderr of backends that sit idle.
        self.idle = [os.pipe() for _ in range(idle_pairs)]

    def finish(self) -> None:
        """Let the child see the end of its input, and wait for it."""
        os.close(self.up.sink)
        os.waitpid(self.child, 0)


def link_from_argv() -> Link:
    """`[--idle N] COMMAND ARG…` as the hop programs take it."""
    arguments, idle = sys.argv[1:], 0
    if arguments[0] == "--idle":
        idle, arguments = int(arguments[1]), arguments[2:]
    return Link(arguments, idle)
