"""The load client: a raw legacy-era MCP client over the pipes of a child process.

It does as little as it can while the clock runs: frames are encoded before, and every answer is
kept and checked afterwards. A wrong, missing or failed answer raises ContestantFailed.
"""

import os
import select
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import psutil

from tests.bench import processes
from tests.bench.framing import READ_BYTES_MAX, Splitter, write_some

ANSWER_SECONDS_MAX = 30.0
LOAD_SECONDS_MAX = 120.0
EXIT_SECONDS_MAX = 5.0
IN_FLIGHT = 64

INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "relay-bench", "version": "1"},
}


class ContestantFailed(Exception):
    """A contestant did not do what was asked; the message says what and shows its stderr."""


class Client:
    """One contestant's process and the connection to it. Times are seconds."""

    def __init__(self, command: list[str], env: dict[str, str], stderr: Path) -> None:
        self._stderr = stderr
        self._splitter = Splitter()
        self._lines: deque[bytes] = deque()
        self._last_id = 0
        self.started = time.perf_counter()
        with stderr.open("wb") as log:
            try:
                self.process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=env,
                    # `python -m` prefers the code it finds in the working directory.
                    cwd=stderr.parent,
                    bufsize=0,
                    start_new_session=True,
                )
            except OSError as error:
                raise self.failed(f"cannot be started ({error})") from error
        assert self.process.stdin is not None and self.process.stdout is not None
        self._to = self.process.stdin.fileno()
        self._from = self.process.stdout.fileno()
        # A full pipe in both directions would deadlock a client that blocks on writing.
        os.set_blocking(self._to, False)
        self._poll = select.poll()
        self._poll.register(self._from, select.POLLIN)

    def age(self) -> float:
        """Time since just before the process was started."""
        return time.perf_counter() - self.started

    def request(self, method: str, params: object) -> Any:
        """Send one request, wait for its answer, return the decoded result."""
        self._last_id += 1
        body = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        answer = self._exchange(msgspec.json.encode(body) + b"\n", self._last_id)
        if "result" not in answer:
            raise self.failed(f"{method} was answered with {answer.get('error')}")
        return answer["result"]

    def notify(self, method: str) -> None:
        """Send a notification without params."""
        self._send(msgspec.json.encode({"jsonrpc": "2.0", "method": method}) + b"\n")

    def handshake(self) -> None:
        """initialize and notifications/initialized."""
        self.request("initialize", INITIALIZE)
        self.notify("notifications/initialized")

    def tools(self) -> list[str]:
        """The names of a complete tools/list, all pages."""
        names: list[str] = []
        params: dict[str, str] = {}
        while True:
            result = self.request("tools/list", params)
            names += [tool["name"] for tool in result["tools"]]
            if "nextCursor" not in result:
                return names
            params = {"cursor": result["nextCursor"]}

    def sequential(self, tool: str, count: int) -> list[float]:
        """Call `count` times, one after another; return each round trip's time."""
        ids, frames = self._small_calls(tool, count)
        answers, times = [], []
        clock, write, read, to, source = time.perf_counter, os.write, os.read, self._to, self._from
        with deadline(LOAD_SECONDS_MAX, lambda: self.failed("too slow, or a call unanswered")):
            for frame in frames:
                begin = clock()
                write(to, frame)
                data = read(source, READ_BYTES_MAX)
                elapsed = clock() - begin
                if data.endswith(b"\n") and data.count(b"\n") == 1 and not is_notification(data):
                    times.append(elapsed)
                    answers.append(data[:-1])
                else:  # Something came between; the answer counts, its time does not.
                    self._lines += self._splitter.feed(data)
                    answers.append(self._next_answer())
        self._check(ids, answers)
        return times

    def pipelined(self, tool: str, count: int) -> float:
        """Call `count` times with 64 in flight; return the time for all."""
        ids, frames = self._small_calls(tool, count)
        answers: list[bytes] = []
        with deadline(LOAD_SECONDS_MAX, lambda: self.failed("too slow, or a call unanswered")):
            begin = time.perf_counter()
            os.write(self._to, b"".join(frames[:IN_FLIGHT]))
            sent = IN_FLIGHT
            while len(answers) < count:
                self._read()
                lines = [line for line in self._lines if not is_notification(line)]
                self._lines.clear()
                answers += lines
                if lines and sent < count:
                    os.write(self._to, b"".join(frames[sent : sent + len(lines)]))
                    sent += len(lines)
            elapsed = time.perf_counter() - begin
        self._check(ids, answers)
        return elapsed

    def steady(self, tool: str, go_on: Callable[[], bool]) -> list[tuple[float, float]]:
        """Keep 64 calls in flight until `go_on()`, asked after each read, is False. Return when
        each was sent and when it was answered, in the order of the answers.
        """
        answers: list[bytes] = []
        arrived: list[float] = []
        sent: dict[int, float] = {}
        wanted = IN_FLIGHT
        with deadline(LOAD_SECONDS_MAX, lambda: self.failed("too slow, or a call unanswered")):
            while wanted or len(answers) < len(sent):
                if wanted:
                    ids, frames = self._small_calls(tool, wanted)
                    sent |= dict.fromkeys(ids, time.perf_counter())
                    self._send(b"".join(frames))
                self._read()
                lines = [line for line in self._lines if not is_notification(line)]
                self._lines.clear()
                answers += lines
                arrived += [time.perf_counter()] * len(lines)
                wanted = len(lines) if go_on() else 0
        self._check(list(sent), answers)
        numbers = [self._decode(line)["id"] for line in answers]
        return [(sent[number], at) for number, at in zip(numbers, arrived, strict=True)]

    def big_echo(self, tool: str, size_bytes: int) -> float:
        """Have a text of `size_bytes` echoed; return the time."""
        self._last_id += 1
        text = "x" * size_bytes
        frame = msgspec.json.encode(call(self._last_id, tool, text)) + b"\n"
        with deadline(ANSWER_SECONDS_MAX, lambda: self.failed(f"{size_bytes} bytes: no answer")):
            begin = time.perf_counter()
            self._send(frame)
            line = self._next_answer()
            elapsed = time.perf_counter() - begin
        answer = self._decode(line)
        content = answer.get("result", {}).get("content")
        if answer.get("id") != self._last_id or content != [{"type": "text", "text": text}]:
            raise self.failed(f"{size_bytes} bytes were answered with {line[:300]!r}")
        return elapsed

    def close(self) -> None:
        """End the input and wait for the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(EXIT_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise self.failed(f"ran on {EXIT_SECONDS_MAX} s after its input ended") from None

    def kill(self, family: list[psutil.Process]) -> None:
        """Make sure that the process, its descendants and `family` are gone, whatever happened."""
        assert self.process.stdin is not None and self.process.stdout is not None
        if self.process.poll() is None:
            family = family + processes.family(self.process.pid)
        for process in family:
            with suppress(psutil.NoSuchProcess):  # psutil looks whether the pid is still the same
                process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def failed(self, what: str) -> ContestantFailed:
        """An error that carries the end of the contestant's stderr."""
        tail = self._stderr.read_bytes()[-2000:].decode(errors="replace").strip()
        return ContestantFailed(f"{what}; its stderr ends: {tail or '(nothing)'}")

    def _small_calls(self, tool: str, count: int) -> tuple[list[int], list[bytes]]:
        ids = list(range(self._last_id + 1, self._last_id + 1 + count))
        self._last_id += count
        return ids, [msgspec.json.encode(call(n, tool, f"hello {n}")) + b"\n" for n in ids]

    def _check(self, ids: list[int], answers: list[bytes]) -> None:
        """Every id answered exactly once, with its own text."""
        waiting = set(ids)
        for line in answers:
            answer = self._decode(line)
            number = answer.get("id")
            if number not in waiting:
                raise self.failed(f"an answer that nobody waits for: {line[:200]!r}")
            waiting.discard(number)
            result = answer.get("result", {})
            if result.get("content") != [{"type": "text", "text": f"hello {number}"}]:
                raise self.failed(f"a wrong answer: {line[:200]!r}")
        if waiting:
            raise self.failed(f"{len(waiting)} calls were not answered")

    def _exchange(self, frame: bytes, number: int) -> dict[str, Any]:
        """Send a frame; return the answer with this id, skipping notifications."""
        with deadline(ANSWER_SECONDS_MAX, lambda: self.failed("no answer in time")):
            self._send(frame)
            while True:
                answer = self._decode(self._next_answer())
                if answer.get("id") == number:
                    return answer

    def _decode(self, line: bytes) -> dict[str, Any]:
        try:
            return msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise self.failed(f"no JSON object ({error}): {line[:200]!r}") from None

    def _send(self, frame: bytes) -> None:
        """Write all of it, reading meanwhile: two full pipes would wait for each other for ever."""
        rest = write_some(self._to, frame)
        if not rest:
            return
        self._poll.register(self._to, select.POLLOUT)
        while rest:
            for fd, _event in self._poll.poll():
                if fd == self._to:
                    rest = write_some(self._to, rest)
                else:
                    self._read()
        self._poll.unregister(self._to)

    def _next_answer(self) -> bytes:
        """The next line that is an answer."""
        while True:
            while self._lines:
                line = self._lines.popleft()
                if not is_notification(line):
                    return line
            self._read()

    def _read(self) -> None:
        data = os.read(self._from, READ_BYTES_MAX)
        if not data:
            raise self.failed("closed its output")
        self._lines += self._splitter.feed(data)


def call(number: int, tool: str, text: str) -> dict[str, object]:
    """A tools/call as Claude Code sends it: the progress token is the id."""
    params = {"name": tool, "arguments": {"text": text}, "_meta": {"progressToken": number}}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


def is_notification(line: bytes) -> bool:
    """Whether a line is none of our answers; looks at its beginning only."""
    return b'"method"' in line[:64]


@contextmanager
def deadline(seconds: float, failure: Callable[[], Exception]) -> Iterator[None]:
    """Raise `failure()` in the main thread when the body takes longer."""

    def on_alarm(_number: int, _frame: FrameType | None) -> None:
        raise failure()

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
