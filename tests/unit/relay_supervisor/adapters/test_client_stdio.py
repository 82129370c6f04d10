"""The client's lines come in, ours go out, and a client that does not read stops nobody."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_supervisor.adapters import client_stdio
from relay_supervisor.adapters.client_stdio import (
    FULL_BYTES,
    WAITING_BYTES_MAX,
    ClientState,
    ClientStdio,
)
from relay_supervisor.adapters.loop import Loop
from relay_supervisor.core.events import (
    AnyEvent,
    ClientClosed,
    ClientGone,
    ClientLine,
    ClientLineTooLong,
)
from tests.unit.relay_supervisor.adapters.descriptors import exists, read_now, written_down

REPOSITORY = Path(__file__).parents[4]


class Ends:
    """A ClientStdio, and the client's ends of its pipes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = Loop()
        self.events: list[AnyEvent] = []
        stdin, self.write = os.pipe()
        self.read, stdout = os.pipe()
        self._private = (stdin, stdout)
        monkeypatch.setattr(client_stdio, "_claim", lambda: self._private)
        self.stdio = ClientStdio(self.loop, self.events.append, 1000)

    def reexec(self) -> None:
        """Write the adapter down, and make another one of that."""
        left = written_down(self.stdio.export(), ClientState)
        self.loop._poller.close()
        self.loop = Loop()
        self.stdio = ClientStdio(
            self.loop, self.events.append, self.stdio._lines.line_bytes_max, left
        )
        self.stdio.flush()

    def says(self, data: bytes) -> list[AnyEvent]:
        """The client writes; returns what has happened then."""
        os.write(self.write, data)
        return self.turn()

    def turn(self) -> list[AnyEvent]:
        """One turn of the loop, without waiting."""
        self.loop.turn(0)
        events, self.events[:] = list(self.events), []
        return events

    def close(self) -> None:
        for fd in (self.write, self.read, *self._private):
            if exists(fd):
                self.loop.unwatch(fd)
                os.close(fd)


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    ends = Ends(monkeypatch)
    yield ends
    ends.close()


# ---- reading


def test_lines_become_events_in_order_also_in_pieces(ends: Ends) -> None:
    assert ends.says(b"one\ntwo\r\n\nthr") == [
        ClientLine(b"one"),
        ClientLine(b"two\r"),
        ClientLine(b""),
    ]
    assert ends.says(b"") == []
    assert ends.says(b"ee\n") == [ClientLine(b"three")]


def test_a_line_over_the_limit_is_told_with_the_limit_and_the_next_is_read(ends: Ends) -> None:
    assert ends.says(b"x" * 1001 + b"\nfine\n") == [ClientLine(b"fine"), ClientLineTooLong(1000)]
    ends.stdio.set_line_bytes_max(2000)
    assert ends.says(b"x" * 1001 + b"\n") == [ClientLine(b"x" * 1001)]


def test_a_closed_stdin_is_told_once(ends: Ends) -> None:
    os.close(ends.write)
    assert ends.turn() == [ClientClosed()]
    assert ends.turn() == []
    ends.stdio.send((b"still", b"\n"))
    ends.stdio.flush()
    assert read_now(ends.read) == b"still\n"
    assert ends.turn() == []


# ---- writing


def test_what_is_sent_is_written_with_the_next_flush(ends: Ends) -> None:
    ends.stdio.send((b'{"id":', b"1", b"}\n"))
    ends.stdio.send((b"two", b"\n"))
    assert read_now(ends.read) == b""
    ends.stdio.flush()
    assert read_now(ends.read) == b'{"id":1}\ntwo\n'


def test_a_line_break_inside_a_line_becomes_a_space(ends: Ends) -> None:
    """Between JSON tokens only: inside a string a line break is escaped."""
    ends.stdio.send((b'{"id":1,', b'"result":{\n\n"a":1}}', b"\n"))
    ends.stdio.send((b"[", b"1,\n2", b"]\n"))
    ends.stdio.send((b"[3,\n4]\n",))
    ends.stdio.flush()
    assert read_now(ends.read) == b'{"id":1,"result":{  "a":1}}\n[1, 2]\n[3, 4]\n'


def echo(ends: Ends) -> None:
    """From now on each line is answered while it is served."""
    ends.stdio._on_event = lambda event: ends.stdio.send((event.line + b"!\n",))  # type: ignore[union-attr]


def test_a_line_that_comes_alone_is_answered_at_once_and_several_at_the_end(ends: Ends) -> None:
    echo(ends)
    os.write(ends.write, b"one\n")
    ends.loop.turn(0)
    assert read_now(ends.read) == b"one!\n"
    ends.stdio.send((b"by itself\n",))
    assert read_now(ends.read) == b"", "it is no answer"
    ends.loop.end_turn()
    assert read_now(ends.read) == b"by itself\n"
    os.write(ends.write, b"two\nthree\n")
    ends.loop.turn(0)
    assert read_now(ends.read) == b"" and ends.stdio.waiting
    ends.loop.end_turn()
    assert read_now(ends.read) == b"two!\nthree!\n"


def test_an_answer_at_once_does_not_overtake_what_waits(ends: Ends) -> None:
    echo(ends)
    ends.stdio.send((b"before\n",))
    os.write(ends.write, b"one\n")
    ends.loop.turn(0)
    ends.loop.end_turn()
    assert read_now(ends.read) == b"before\none!\n"


def test_an_answer_at_once_that_is_not_taken_waits_for_its_reader(ends: Ends) -> None:
    echo(ends)
    left = os.write(ends._private[1], b"x" * (1 << 20))  # what the pipe holds
    os.write(ends.write, b"one\n")
    ends.loop.turn(0)
    assert ends.stdio.waiting == len(b"one!\n")
    assert len(read_now(ends.read)) == left
    ends.loop.turn(0)
    assert read_now(ends.read) == b"one!\n" and not ends.stdio.waiting


def test_a_client_that_dies_before_an_answer_at_once_is_gone(ends: Ends) -> None:
    seen: list[AnyEvent] = []

    def answer(event: AnyEvent) -> None:
        seen.append(event)
        ends.stdio.send((b"to nobody\n",))

    ends.stdio._on_event = answer
    os.close(ends.read)
    os.write(ends.write, b"one\n")
    ends.loop.turn(0)
    assert seen == [ClientLine(b"one"), ClientGone()] and ends.stdio.waiting == 0


def fill(ends: Ends, size: int) -> bytes:
    """Send lines of so many bytes together that the client does not read; returns them."""
    line = b"x" * ((1 << 20) - 1) + b"\n"
    count = size // len(line) + 1
    for _ in range(count):
        ends.stdio.send((line[:-1], b"\n"))
    ends.stdio.flush()
    return line * count


def test_what_comes_while_the_client_does_not_read_counts_too(ends: Ends) -> None:
    fill(ends, 1 << 20)
    assert not ends.stdio.full, "it waits, and there is room"
    line = b"x" * ((1 << 20) - 1) + b"\n"
    while ends.stdio.waiting <= FULL_BYTES:
        ends.stdio.send((line,))
    ends.turn()
    assert ends.stdio.full
    while ends.stdio.waiting <= WAITING_BYTES_MAX:
        ends.stdio.send((line,))
    assert ends.says(b"unheard\n") == []


def test_a_client_that_does_not_read_is_waited_for_and_nothing_is_lost(ends: Ends) -> None:
    wanted = fill(ends, FULL_BYTES)
    assert ends.stdio.full and ends.stdio.waiting > FULL_BYTES
    got = bytearray()
    while ends.stdio.waiting:
        got += read_now(ends.read)
        ends.turn()
    got += read_now(ends.read)
    assert got == wanted and not ends.stdio.full


def test_while_it_does_not_read_its_cancellations_are_heard_up_to_a_limit(ends: Ends) -> None:
    fill(ends, FULL_BYTES)
    assert ends.says(b"cancel\n") == [ClientLine(b"cancel")]
    fill(ends, WAITING_BYTES_MAX)
    assert ends.says(b"more\n") == [], "a client that only writes does not fill our memory"
    while ends.stdio.waiting > WAITING_BYTES_MAX:
        read_now(ends.read)
        ends.loop.turn(0)
    assert ClientLine(b"more") in [*ends.turn(), *ends.turn()]


def test_a_client_that_reads_no_more_is_gone_and_told_once(ends: Ends) -> None:
    os.close(ends.read)
    ends.stdio.send((b"to nobody", b"\n"))
    ends.stdio.flush()
    assert ends.events == [ClientGone()]
    ends.stdio.send((b"again", b"\n"))
    ends.stdio.flush()
    assert ends.stdio.waiting == 0
    assert ends.turn() == [ClientGone()]
    assert ends.turn() == []


def test_a_client_that_dies_while_much_is_unread_is_noticed_by_the_loop(ends: Ends) -> None:
    fill(ends, FULL_BYTES)
    os.close(ends.read)
    assert ends.turn() == [ClientGone()]
    assert ends.stdio.waiting == 0


def test_the_descriptors_are_left_as_they_were_found(ends: Ends) -> None:
    assert [os.get_blocking(fd) for fd in ends._private] == [False, False]
    ends.stdio.close()
    assert [os.get_blocking(fd) for fd in ends._private] == [True, True]


# ---- the real descriptors, in a process of their own

CHILD = """
import os, sys
from relay_supervisor.adapters import client_stdio
from relay_supervisor.adapters.loop import Loop
{before}
stdio = client_stdio.ClientStdio(Loop(), print, 1000)
{after}
"""


def child(after: str, before: str = "", **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run a program with a ClientStdio in it."""
    return subprocess.run(
        [sys.executable, "-c", CHILD.format(before=before, after=after)],
        cwd=REPOSITORY,
        capture_output=True,
        timeout=30,
        check=True,
        **options,  # type: ignore[call-overload]
    )


def test_no_print_reaches_the_client() -> None:
    done = child(
        """
print("from python", flush=True)
os.write(1, b"from anybody\\n")
os.system("echo from a child")
stdio.send((b"from the relay", b"\\n"))
stdio.flush()
"""
    )
    assert done.stdout == b"from the relay\n"
    for word in (b"from python", b"from anybody", b"from a child"):
        assert word in done.stderr


def test_nobody_else_reads_what_the_client_says() -> None:
    done = child(
        "print(repr(os.read(0, 100)), stdio._read_ready(1), flush=True)", input=b"for the relay\n"
    )
    assert b"ClientLine(line=b'for the relay')" in done.stderr
    assert b"b''" in done.stderr, "descriptor 0 is /dev/null now"


def test_started_without_standard_descriptors_nothing_is_taken_for_the_client() -> None:
    done = child(
        "assert stdio._in > 2 and stdio._out > 2",
        before="os.close(0); os.close(1)\n"
        "client_stdio.occupy()\n"
        "assert os.fstat(0).st_rdev == os.stat(os.devnull).st_rdev\n"
        "assert os.fstat(1).st_rdev == os.stat(os.devnull).st_rdev",
    )
    assert done.stdout == b""
