"""Runs a program to its end, with its output line by line, and never leaves it behind."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from relay_supervisor.wire.framing import LineReader

TAIL_LINES_MAX: Final = 15
"""Of a failed program's output; the reason is at its end."""

LINE_BYTES_MAX: Final = 64 << 10

_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)


class CommandFailed(Exception):
    """A program did not do its work; the text is what it said last."""


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    keep: Sequence[int],
    seconds_max: float,
    on_line: Callable[[str], None],
) -> list[str]:
    """Run a program to its end; return the last lines of its output (stdout and stderr).

    It inherits the descriptors *keep*. It is in a session of its own, and whatever makes us stop
    ends all of it.

    Raises:
        CommandFailed: it could not be started, failed, or took longer than *seconds_max*.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            pass_fds=keep,
            start_new_session=True,
        )
    except OSError as error:
        raise CommandFailed(f"{argv[0]} cannot be started: {error.strerror}") from error
    tail: deque[str] = deque(maxlen=TAIL_LINES_MAX)
    try:
        assert process.stdout is not None
        for line in _lines(process.stdout.fileno(), time.monotonic() + seconds_max):
            tail.append(line)
            on_line(line)
        status = process.wait()
    except TimeoutError:
        raise CommandFailed("\n".join([*tail, f"It took over {seconds_max:g} s."])) from None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    if status:
        raise CommandFailed("\n".join(tail) or f"{argv[0]} ended with status {status}")
    return list(tail)


@contextlib.contextmanager
def tidy_at_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end this program the way Ctrl-C does: cleaning up behind it."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, leave) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _lines(fd: int, deadline: float) -> Iterator[str]:
    """Yield what is written to the pipe *fd*, until it is closed.

    Raises:
        TimeoutError: the deadline has passed.
    """
    os.set_blocking(fd, False)
    reader = LineReader(LINE_BYTES_MAX)
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            data = os.read(fd, 1 << 16)
            for line in reader.feed(data or b"\n"):
                if text := line.decode(errors="replace").strip():
                    yield text
            if not data:
                return
