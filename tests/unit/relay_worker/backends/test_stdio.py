"""The raw transport: lines in, frames out, bounded, with nobody at the other end but us."""

import os
from collections.abc import Callable, Iterator

import msgspec
import pytest

from relay_supervisor.wire.mailbox import PIPE_BUF, READ_BYTES_MAX
from relay_worker.backends import stdio
from relay_worker.backends.stdio import Callbacks, Transport
from relay_worker.loop import Loop

FRAME_BYTES_MAX = 1 << 20


class Process:
    """The ends a backend would hold."""

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self.errors: list[Exception] = []
        self.loop = Loop(lambda _where, error: self.errors.append(error))
        self.lines: list[bytes] = []
        self.oversized: list[tuple[bytes, bytes]] = []
        self.stderr: list[bytes] = []
        self.ends: list[str] = []
        self.stdin, theirs_in = os.pipe()
        theirs_out, self.stdout = os.pipe()
        theirs_err, self.err = os.pipe()
        os.set_blocking(self.stdin, False)
        os.set_blocking(self.stdout, False)
        self.fds = {self.stdin, self.stdout, self.err}
        self.transport = Transport(
            self.loop,
            (theirs_in, theirs_out, theirs_err),
            Callbacks(
                line=lambda _at, line: self.lines.append(line),
                oversized=lambda head, tail: self.oversized.append((head, tail)),
                stderr=self.stderr.append,
                end=self.ends.append,
            ),
            frame_bytes_max=frame_bytes_max,
            when_written=lambda act, number: act(number),
        )

    def close(self, fd: int) -> None:
        self.fds.discard(fd)
        os.close(fd)

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.loop.turn(0)

    def say(self, data: bytes) -> None:
        """Write to stdout, letting the transport read."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self.stdout, view) :]
            except BlockingIOError:
                self.turn()
        self.turn(2)

    def say_what_is_taken(self, data: bytes) -> int:
        """Write to stdout until nothing more is read of it; returns how many bytes it took."""
        said = 0
        for _ in range(200):
            try:
                said += os.write(self.stdout, data)
            except BlockingIOError:
                pass
            self.turn()
        return said

    def heard(self) -> bytes:
        data = b""
        try:
            while chunk := os.read(self.stdin, 1 << 20):
                data += chunk
        except BlockingIOError:
            pass
        return data

    def end(self) -> None:
        """Let go of everything."""
        self.transport.close()
        self.loop.close()
        for fd in self.fds:
            os.close(fd)


@pytest.fixture
def process() -> Iterator[Process]:
    one = Process()
    yield one
    one.end()
    assert one.errors == []


@pytest.mark.parametrize("chunk", [1, 2, 7, 10_000])
def test_lines_are_found_however_they_are_cut(process: Process, chunk: int) -> None:
    data = b'{"a":1}\n\n{"b":2}\r\n' + b"x" * 5000 + b"\nrest"
    for start in range(0, len(data), chunk):
        process.say(data[start : start + chunk])
    assert process.lines == [b'{"a":1}', b'{"b":2}\r', b"x" * 5000]


def test_all_frames_of_a_turn_go_out_at_its_end(process: Process) -> None:
    assert process.transport.write(b"one\n")
    assert process.transport.write(b"t", b"wo", b"\n")
    assert process.heard() == b""
    process.turn()
    assert process.heard() == b"one\ntwo\n"


def test_a_call_is_written_at_once(process: Process) -> None:
    assert process.transport.post(1, b"one\n")
    assert process.heard() == b"one\n" and process.transport.queued_bytes == 4
    process.turn()
    assert process.heard() == b""


def test_a_call_waits_for_the_rest_of_another(process: Process) -> None:
    process.transport.write(b"z" * (1 << 17))
    process.turn()
    heard = process.heard()
    assert process.transport.post(1, b"one\n")
    while len(heard) < (1 << 17) + 4:
        process.turn()
        heard += process.heard()
    assert heard == b"z" * (1 << 17) + b"one\n"


@pytest.mark.parametrize("why", ["a frame waits", "something is due before", "large", "full"])
def test_a_call_waits_for_what_comes_before_it(process: Process, why: str) -> None:
    frame, before = b"one\n", b""
    if why == "a frame waits":
        process.transport.write(before := b"zero\n")
    elif why == "something is due before":
        process.loop.at_turn_end(lambda: process.lines.append(process.heard()))
    elif why == "large":
        frame = b"x" * (PIPE_BUF + 1)
    else:
        process.transport.write(before := b"z" * (1 << 16))
        process.turn()
    assert process.transport.post(1, frame)
    assert process.heard() == (before if why == "full" else b"")
    process.turn(2)
    assert process.heard() == (frame if why == "full" else before + frame)
    assert process.transport.queued_bytes == len(before + frame)
    assert process.lines == [b""] * (why == "something is due before")


def test_a_call_for_a_process_that_is_gone_is_told_of_at_the_end_of_the_turn(
    process: Process,
) -> None:
    process.close(process.stdin)
    assert process.transport.post(1, b"one\n")
    assert process.ends == []
    process.turn()
    assert process.ends == ["it closed its input (Broken pipe)"]
    assert process.transport.post(2, b"in vain\n")


def test_one_frame_of_any_size_is_always_taken_more_only_within_the_bound(
    process: Process,
) -> None:
    large = b"x" * (stdio.OUT_BYTES_MAX + (1 << 20))  # more than a pipe takes
    assert process.transport.write(large)
    process.turn()
    assert not process.transport.write(b"y")
    received = 0
    while received < len(large):
        received += len(process.heard())
        process.turn()
    assert process.transport.write(b"y")
    process.turn()
    assert process.heard() == b"y"


def test_small_frames_share_the_bound(process: Process) -> None:
    half = b"x" * (stdio.OUT_BYTES_MAX // 2)
    assert process.transport.write(half)
    assert process.transport.write(half)
    assert not process.transport.write(b"y")


def test_a_paused_transport_reads_nothing_and_loses_nothing(process: Process) -> None:
    process.transport.pause(paused=True)
    process.transport.pause(paused=True)
    os.write(process.stdout, b"held\n")
    process.turn(3)
    assert process.lines == []
    process.transport.pause(paused=False)
    process.turn()
    assert process.lines == [b"held"]


def test_the_end_of_stdout_is_told_once(process: Process) -> None:
    os.write(process.stdout, b"last\n")
    process.close(process.stdout)
    process.turn(5)
    assert process.lines == [b"last"]
    assert process.ends == ["it closed its output"]


def test_the_end_of_stdin_is_told_and_output_is_still_read(process: Process) -> None:
    process.close(process.stdin)
    process.transport.write(b"lost\n")
    process.turn()
    assert process.ends == ["it closed its input (Broken pipe)"]
    assert process.transport.write(b"in vain\n")
    process.turn()
    process.say(b"still here\n")
    assert process.lines == [b"still here"]
    assert len(process.ends) == 1


def test_a_full_stdin_that_closes_is_told_too(process: Process) -> None:
    process.transport.write(b"x" * (1 << 20))
    process.turn()
    process.close(process.stdin)
    process.turn()
    assert len(process.ends) == 1


def test_end_of_input_reaches_the_process(process: Process) -> None:
    process.transport.write(b"dropped")
    process.transport.end_input()
    process.turn()
    assert os.read(process.stdin, 10) == b""


def test_what_was_left_behind_is_drained(process: Process) -> None:
    os.write(process.stdout, b"one\ntwo\nthr")
    os.write(process.err, b"why\nunfinished")
    process.transport.drain()
    process.transport.close()
    process.transport.drain()
    assert process.lines == [b"one", b"two"]
    assert b"".join(process.stderr) == b"why\nunfinished\n"


def test_nothing_is_read_after_a_line_that_closed_it(process: Process) -> None:
    def line(_at: int, line: bytes) -> None:
        process.lines.append(line)
        process.transport.close()

    process.transport._tell = msgspec.structs.replace(process.transport._tell, line=line)
    process.say(b"one\ntwo\n")
    assert process.lines == [b"one"]


def test_a_callback_that_raises_ends_this_backend_alone() -> None:
    process = Process()

    def broken(_at: int, _line: bytes) -> None:
        raise ValueError("boom")

    process.transport._tell = msgspec.structs.replace(process.transport._tell, line=broken)
    process.say(b"one\n")
    process.end()
    assert process.ends == ["the relay failed to read it (ValueError: boom)"]
    assert len(process.errors) == 1


def test_stderr_comes_in_whole_lines_and_never_piles_up(process: Process) -> None:
    os.write(process.err, b"one\ntw")
    process.turn()
    os.write(process.err, b"o\n")
    process.turn()
    assert process.stderr == [b"one\n", b"two\n"]
    for _ in range(3):
        os.write(process.err, b"x" * 5000)
        process.turn()
    assert process.stderr[2:] == [b"x" * 10_000 + b"\n"]
    process.close(process.err)
    process.turn(3)
    assert process.ends == []


LONG = b'{"jsonrpc":"2.0","id":7,"result":"' + b"x" * 3_000_000 + b'"}'
LONG_ID_LAST = b'{"result":"' + b"x" * 3_000_000 + b'","jsonrpc":"2.0","id":7}'


@pytest.mark.parametrize("line", [LONG, LONG_ID_LAST])
def test_both_ends_of_an_oversized_line_are_shown(process: Process, line: bytes) -> None:
    process.say(b"before\n")
    process.say(line + b"\nafter\n")
    ((head, tail),) = process.oversized
    assert line.startswith(head) and len(head) > 0
    assert line.endswith(tail) and len(tail) > 0
    assert process.lines == [b"before", b"after"]


def test_an_oversized_line_within_one_chunk_is_shown_too() -> None:
    process = Process(frame_bytes_max=100)
    process.say(b'{"id":5}\n' + b"x" * 100 + b"y" * 200 + b"z" * 100 + b"\n{}\n")
    process.end()
    assert process.oversized == [(b"x" * 100 + b"y" * 156, b"y" * 156 + b"z" * 100)]
    assert process.lines == [b'{"id":5}', b"{}"]


def test_a_supervisor_that_takes_nothing_stops_the_reading_and_loses_nothing() -> None:
    """All that was read stays in the mailbox until it is taken; when that is full, in the pipe."""
    process = Process(frame_bytes_max=1000)
    waiting: list[tuple[Callable[[int], None], int]] = []
    process.transport._when_written = lambda act, number: waiting.append((act, number))
    line = b"x" * 999 + b"\n"
    said = process.say_what_is_taken(line * 16)
    read = process.transport._mailbox.tail
    assert READ_BYTES_MAX < read < said, "it has stopped"
    while waiting:
        act, number = waiting.pop(0)
        act(number)
        process.turn(3)
    assert process.lines == [line[:-1]] * (said // len(line))
    process.end()


def test_the_last_words_of_a_process_are_heard_though_the_mailbox_is_full() -> None:
    process = Process(frame_bytes_max=1000)
    process.transport._when_written = lambda _act, _number: None
    line = b"x" * 999 + b"\n"
    said = process.say_what_is_taken(line * 16)
    process.transport.drain()
    assert process.lines == [line[:-1]] * (said // len(line))
    process.end()
