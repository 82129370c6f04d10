"""One request whose answer takes a while: reads the relay's lines as they come.

As long as nothing comes the relay is asked for its status now and then, on a connection of its
own: so the wait has no limit that a slow backend could reach, and yet a relay that hangs or is gone
is noticed within seconds.
"""

import contextlib
import socket
import time
from collections.abc import Generator
from typing import Final

import msgspec

from relay_supervisor.ctl import client
from relay_supervisor.wire.control_v1 import Reply, Request, decode_reply, encode
from relay_supervisor.wire.framing import LineReader

TICK_SECONDS: Final = 0.5
"""How often the caller is given a chance to look at something else."""

PROBE_SECONDS: Final = 5.0
"""Of silence, after which the relay has to show that it lives."""

CONVERSATION_SECONDS_MAX: Final = 3600.0
"""More than any swap takes; a relay that lives and never finishes has a fault."""


class RelayLost(Exception):
    """The relay gave no final answer; the text says why."""


def converse(path: str, request: Request) -> Generator[Reply | None]:
    """Send *request* to the relay behind the socket at *path*; yield its replies, the last one
    being `done`, and None after each `TICK_SECONDS` without one.

    Whoever stops listening before the end does not stop the relay.

    Raises:
        RelayLost: there will be no final answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        _begin(connection, path, request)
        reader = LineReader(client.REPLY_BYTES_MAX)
        end = time.monotonic() + CONVERSATION_SECONDS_MAX
        probe_at = time.monotonic() + PROBE_SECONDS
        while True:
            data = _read(connection)
            if data is not None:
                for line in _lines(reader, data):
                    reply = _decode(line)
                    yield reply
                    if reply.done:
                        return
                probe_at = time.monotonic() + PROBE_SECONDS
                continue
            yield None
            if time.monotonic() >= end:
                raise RelayLost(f"it gave no final answer within {CONVERSATION_SECONDS_MAX:g} s")
            if time.monotonic() >= probe_at:
                _probe(path)
                probe_at = time.monotonic() + PROBE_SECONDS


def _begin(connection: socket.socket, path: str, request: Request) -> None:
    connection.settimeout(client.ANSWER_SECONDS_MAX)
    try:
        connection.connect(path)
    except (ConnectionRefusedError, FileNotFoundError):
        raise RelayLost("it has ended") from None
    except (BlockingIOError, TimeoutError):
        raise RelayLost("it cannot be reached, its queue is full: stopped or hung") from None
    except OSError as error:
        raise RelayLost(f"it cannot be reached: {error.strerror}") from error
    # A relay that refuses the connection closes it at once, but has said why before that.
    with contextlib.suppress(OSError):
        connection.sendall(encode(request))
    connection.settimeout(TICK_SECONDS)


def _read(connection: socket.socket) -> bytes | None:
    """Return what has come, None where nothing did for a tick.

    Raises:
        RelayLost: the relay has closed the connection.
    """
    try:
        data = connection.recv(client.READ_BYTES_MAX)
    except TimeoutError:
        return None
    except OSError:
        data = b""
    if not data:
        raise RelayLost("it closed the connection without a final answer: it ended, or was killed")
    return data


def _lines(reader: LineReader, data: bytes) -> list[bytes]:
    lines = reader.feed(data)
    if reader.oversized:
        raise RelayLost(f"it sent a line over {client.REPLY_BYTES_MAX} bytes")
    return lines


def _decode(line: bytes) -> Reply:
    try:
        return decode_reply(line)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise RelayLost(f"its answer is none of the control protocol: {error}") from error


def _probe(path: str) -> None:
    """Make sure that the relay still answers.

    Raises:
        RelayLost: it does not.
    """
    answers = client.ask_all([path], Request("status"), client.ANSWER_SECONDS_MAX)
    if not answers:
        raise RelayLost("it has ended")
    if answers[0].result is None:
        raise RelayLost(f"it does not answer any more: {answers[0].trouble}")
