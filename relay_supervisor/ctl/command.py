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

END_SECONDS_MAX: Final = 5.0
"""How long the end of killed processes is waited for; more only if the disk hangs."""

END_POLL_SECONDS: Final = 0.01

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
    tail: deque[str] = deque(maxlen=TAIL_LINES_MAX)
    process = None
    try:
        with _signals_held_back():
            process = _start(argv, env, cwd, keep)
        assert process.stdout is not None
        for line in _lines(process.stdout.fileno(), time.monotonic() + seconds_max):
            tail.append(line)
            on_line(line)
        status = process.wait()
    except TimeoutError:
        raise CommandFailed("\n".join([*tail, f"It took over {seconds_max:g} s."])) from None
    finally:
        if process is not None:
            _end(process)
    if status:
        raise CommandFailed("\n".join(tail) or f"{argv[0]} ended with status {status}")
    return list(tail)


def _start(
    argv: Sequence[str], env: Mapping[str, str], cwd: Path, keep: Sequence[int]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
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


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing of a program behind: whatever it has started is of its process group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # all of it has ended
    else:
        # A killed process may still end a system call, such as making the directory that its
        # parent is about to remove.
        process.wait()
        until = time.monotonic() + END_SECONDS_MAX
        while _lives(process.pid) and time.monotonic() < until:
            time.sleep(END_POLL_SECONDS)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _lives(group: int) -> bool:
    """Tell whether a process of the group still runs; a zombie does nothing any more."""
    import psutil  # noqa: PLC0415 - slow to import, and seldom wanted

    for process in psutil.process_iter(["status"]):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                return True
    return False


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """Let signals wait: one within Popen would leave a child that nobody knows of."""
    caught: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        caught.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, *_ENDING)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if caught:
            signal.raise_signal(caught[0])


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
