"""A child process on three pipes, read and written by threads: a test can never block on it.

It knows lines and nothing of JSON. Writing is queued: a process that does not read costs the
test a bound in flush(), not a deadlock.
"""

import os
import queue
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.harness.processes import (
    MARK_VARIABLE,
    describe,
    kill_marked,
    new_mark,
    wait_gone,
    wait_until,
)

READ_BYTES_MAX = 1 << 20
STDERR_BYTES_KEPT_MAX = 1 << 20
STDERR_SECONDS_MAX = 10.0
FLUSH_SECONDS_MAX = 30.0
EXIT_SECONDS_MAX = 5.0
END = None  # in the queue of lines to write: close stdin


class Child:
    """A process whose stdout lines go to on_line(line) and on_end(), both on a thread of ours."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        on_line: Callable[[bytes], None],
        on_end: Callable[[], None],
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        new_session: bool = True,
    ) -> None:
        self.argv = list(argv)
        environment = dict(os.environ if env is None else env)
        self.mark = environment.setdefault(MARK_VARIABLE, new_mark())
        self.process = subprocess.Popen(
            self.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=cwd,
            start_new_session=new_session,
            bufsize=0,
        )
        self.pid = self.process.pid
        self._on_line = on_line
        self._on_end = on_end
        self._may_read = threading.Event()
        self._may_read.set()
        self._may_read_stderr = threading.Event()
        self._may_read_stderr.set()
        self._to_write: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._unwritten = 0
        self._written = threading.Condition()
        self._stdin_closed = False
        self._stderr: deque[bytes] = deque()
        self._stderr_lock = threading.Lock()
        self._stderr_bytes = 0
        self._threads = [
            threading.Thread(target=body, name=f"{body.__name__}-{self.pid}", daemon=True)
            for body in (self._read_stdout, self._read_stderr, self._write_stdin)
        ]
        for thread in self._threads:
            thread.start()

    # -- writing

    def write(self, data: bytes) -> None:
        """Queue bytes for stdin; never blocks. Bytes for a process that is gone are dropped."""
        assert not self._stdin_closed, "stdin was closed by the test itself"
        with self._written:
            self._unwritten += 1
        self._to_write.put(data)

    def flush(self, seconds: float = FLUSH_SECONDS_MAX) -> None:
        """Wait until the process's pipe has taken everything; TimeoutError if it does not."""
        with self._written:
            if not self._written.wait_for(lambda: self._unwritten == 0, seconds):
                raise TimeoutError(f"{self.argv} has not read its stdin for {seconds} s")

    def close_stdin(self) -> None:
        """EOF for the process, after all that was queued. Twice is harmless."""
        if not self._stdin_closed:
            self._stdin_closed = True
            self._to_write.put(END)

    def _write_stdin(self) -> None:
        stdin = _pipe(self.process.stdin)
        while (data := self._to_write.get()) is not END:
            view = memoryview(data)
            try:
                while view:
                    view = view[os.write(stdin.fileno(), view) :]
            except OSError:
                pass  # the process is gone; whoever waits for its answer is told by on_end
            with self._written:
                self._unwritten -= 1
                self._written.notify_all()
        stdin.close()

    # -- reading

    def pause_reading(self) -> None:
        """Stop reading stdout (what one read brings may still arrive)."""
        self._may_read.clear()

    def resume_reading(self) -> None:
        """Read stdout again."""
        self._may_read.set()

    def pause_reading_stderr(self) -> None:
        """Stop reading stderr, as a client does that ignores it."""
        self._may_read_stderr.clear()

    def resume_reading_stderr(self) -> None:
        """Read stderr again."""
        self._may_read_stderr.set()

    def stderr_text(self) -> str:
        """The end of what the process wrote to stderr."""
        with self._stderr_lock:
            return b"".join(self._stderr).decode(errors="replace")

    def wait_stderr(self, text: str, seconds: float = STDERR_SECONDS_MAX) -> None:
        """Wait until the process has written this to stderr; it comes on a pipe of its own, so it
        may come after an answer that was written later. TimeoutError with what came instead.
        """
        try:
            wait_until(lambda: text in self.stderr_text(), seconds)
        except TimeoutError:
            raise TimeoutError(f"no {text!r} in {self.stderr_text()!r}") from None

    def _read_stdout(self) -> None:
        stdout = _pipe(self.process.stdout)
        pieces: list[bytes] = []  # of the line not yet complete; joined once, so time stays linear
        while True:
            self._may_read.wait()
            data = os.read(stdout.fileno(), READ_BYTES_MAX)
            if not data:
                break
            *lines, rest = data.split(b"\n")
            for line in lines:
                self._on_line(b"".join([*pieces, line]))
                pieces.clear()
            if rest:
                pieces.append(rest)
        if pieces:
            self._on_line(b"".join(pieces))
        stdout.close()
        self._on_end()

    def _read_stderr(self) -> None:
        stderr = _pipe(self.process.stderr)
        while True:
            self._may_read_stderr.wait()
            data = os.read(stderr.fileno(), READ_BYTES_MAX)
            if not data:
                break
            with self._stderr_lock:
                self._stderr.append(data)
                self._stderr_bytes += len(data)
                while self._stderr_bytes > STDERR_BYTES_KEPT_MAX and len(self._stderr) > 1:
                    self._stderr_bytes -= len(self._stderr.popleft())
        stderr.close()

    # -- the end

    def send_signal(self, number: int) -> None:
        """Signal the process itself, not its children."""
        self.process.send_signal(number)

    def wait_exit(self, seconds: float = EXIT_SECONDS_MAX) -> int:
        """Wait for the end; return the exit code (negative: the signal), or TimeoutError."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.argv} still runs after {seconds} s") from None

    def close(self, seconds: float = EXIT_SECONDS_MAX) -> int:
        """End the input, wait for the process and all it started; AssertionError for leftovers."""
        begin = time.monotonic()
        self.close_stdin()
        self._let_go()
        try:
            code = self.wait_exit(seconds)
            left = wait_gone(self.mark, max(1.0, seconds - (time.monotonic() - begin)))
            assert not left, f"left behind by {self.argv}:\n{describe(left)}"
        finally:
            self.kill()
        return code

    def kill(self) -> None:
        """SIGKILL the process and everything that carries its mark, and end our threads."""
        if self.process.poll() is None:
            self.send_signal(signal.SIGKILL)
        kill_marked(self.mark)
        self.process.wait(EXIT_SECONDS_MAX)
        self._stdin_closed = True
        self._to_write.put(END)
        self._let_go()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(EXIT_SECONDS_MAX)

    def _let_go(self) -> None:
        self._may_read.set()
        self._may_read_stderr.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            error.add_note(f"stderr of {self.argv}:\n{self.stderr_text()[-4000:]}")
            self.kill()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream
