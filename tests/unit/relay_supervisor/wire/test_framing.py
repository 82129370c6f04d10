"""Byte streams become frames and lines again, however they were cut up, and in linear time."""

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_supervisor.errors import FrameTooLarge, RemoteProtocolError
from relay_supervisor.wire import framing
from relay_supervisor.wire.framing import (
    HEADER_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
    PREFIX,
    FrameReader,
    LineReader,
    WriteQueue,
    prefix,
)

FRAMES = [(b"head", b"payload"), (b"", b""), (b"h", b""), (b"", b"p"), (b"x" * 300, b"\n" * 999)]
LINES = [b"one", b"", b"a longer line", b"\xff\x00\r", b"x" * 50]


def stream_of(frames: list[tuple[bytes, bytes]]) -> bytes:
    """The bytes on the pipe."""
    return b"".join(prefix(header, len(payload)) + header + payload for header, payload in frames)


def cut(stream: bytes, cuts: list[int]) -> Iterator[bytes]:
    """The stream in pieces."""
    places = sorted({c % (len(stream) + 1) for c in cuts})
    for start, end in zip([0, *places], [*places, len(stream)], strict=True):
        yield stream[start:end]


# ---- frames


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 100, 10_000])
def test_frames_are_found_whatever_the_size_of_the_pieces(size: int) -> None:
    stream, reader = stream_of(FRAMES), FrameReader()
    got = []
    for start in range(0, len(stream), size):
        got += reader.feed(stream[start : start + size])
    assert got == FRAMES


def test_frames_are_found_with_the_stream_cut_at_any_two_places() -> None:
    stream = stream_of(FRAMES[:4])
    for first in range(len(stream)):
        for second in range(first, len(stream)):
            reader = FrameReader()
            got = [f for piece in cut(stream, [first, second]) for f in reader.feed(piece)]
            assert got == FRAMES[:4]


@given(
    frames=st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=80)), max_size=8),
    cuts=st.lists(st.integers(0, 2000), max_size=12),
)
def test_any_frames_cut_anywhere_come_out_as_they_went_in(
    frames: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    reader = FrameReader()
    assert [f for piece in cut(stream_of(frames), cuts) for f in reader.feed(piece)] == frames


def test_a_frame_is_given_out_with_its_last_byte_and_not_before() -> None:
    stream, reader = stream_of([(b"head", b"payload")]), FrameReader()
    assert reader.feed(stream[:-1]) == []
    assert reader.feed(b"") == []
    assert reader.feed(stream[-1:]) == [(b"head", b"payload")]


@pytest.mark.parametrize(
    ("header", "payload"), [(HEADER_BYTES_MAX + 1, 0), (0, PAYLOAD_BYTES_MAX + 1), (2**32 - 1,) * 2]
)
def test_a_frame_over_its_limit_is_refused_at_its_prefix(header: int, payload: int) -> None:
    with pytest.raises(FrameTooLarge) as caught:
        FrameReader().feed(PREFIX.pack(header, payload))
    assert isinstance(caught.value, RemoteProtocolError)
    assert str(header + payload) in str(caught.value)


def test_frames_of_exactly_their_limit_are_let_through() -> None:
    assert FrameReader().feed(PREFIX.pack(HEADER_BYTES_MAX, PAYLOAD_BYTES_MAX)) == []
    assert prefix(b"x" * HEADER_BYTES_MAX, PAYLOAD_BYTES_MAX)


@pytest.mark.parametrize(("header", "payload"), [(HEADER_BYTES_MAX + 1, 0), (0, 1 << 31)])
def test_we_send_no_frame_the_other_side_would_refuse(header: int, payload: int) -> None:
    with pytest.raises(FrameTooLarge):
        prefix(b"x" * header, payload)


# ---- lines


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_lines_are_found_whatever_the_size_of_the_pieces(size: int) -> None:
    stream, reader = b"".join(line + b"\n" for line in LINES), LineReader(100)
    got = []
    for start in range(0, len(stream), size):
        got += reader.feed(stream[start : start + size])
    assert got == LINES and b"".join(reader._parts) == b"" and reader.oversized == 0


@given(
    lines=st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"")), max_size=12),
    tail=st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"")),
    cuts=st.lists(st.integers(0, 300), max_size=12),
    limit=st.integers(0, 12),
)
def test_any_lines_cut_anywhere_come_out_but_those_over_the_limit(
    lines: list[bytes], tail: bytes, cuts: list[int], limit: int
) -> None:
    reader, stream = LineReader(limit), b"".join(line + b"\n" for line in lines) + tail
    got = [line for piece in cut(stream, cuts) for line in reader.feed(piece)]
    assert got == [line for line in lines if len(line) <= limit]
    too_long = [line for line in [*lines, tail] if len(line) > limit]
    assert reader.oversized == len(too_long)
    assert b"".join(reader._parts) == (tail if len(tail) <= limit else b"")


def test_a_line_over_the_limit_is_dropped_whole_and_holds_no_memory() -> None:
    reader = LineReader(1000)
    for _ in range(10_000):
        assert reader.feed(b"x" * 999) == []
        assert len(b"".join(reader._parts)) <= 1000
    assert reader.feed(b"xxx\nfine\n") == [b"fine"]
    assert reader.oversized == 1


def test_a_limit_set_in_the_middle_of_a_line_counts_from_there() -> None:
    reader = LineReader(10)
    reader.feed(b"x" * 8)
    reader.line_bytes_max = 100
    assert reader.feed(b"y" * 50 + b"\n") == [b"x" * 8 + b"y" * 50]
    reader.line_bytes_max = 5
    assert reader.feed(b"123456\n12345\n") == [b"12345"]


# ---- linear time, by counting what is copied


class Copies:
    """Counts the bytes that `bytes.join` puts together while it watches."""

    def __init__(self, size_of: Callable[[FrameType], int]) -> None:
        self.bytes = 0
        self._size_of = size_of

    def __enter__(self) -> "Copies":
        sys.setprofile(self._see)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _see(self, frame: FrameType, event: str, arg: Any) -> None:
        ours = frame.f_code.co_filename == framing.__file__
        if event == "c_call" and ours and getattr(arg, "__name__", "") == "join":
            self.bytes += self._size_of(frame)


def held(frame: FrameType) -> int:
    """How many bytes a reader's parts are."""
    return sum(len(part) for part in frame.f_locals["self"]._parts)


@pytest.mark.parametrize("piece", [1, 100, 4096])
@pytest.mark.parametrize(
    ("reader", "message"),
    [
        (FrameReader(), prefix(b"head", 30_000) + b"head" + b"x" * 30_000),
        (LineReader(1 << 20), b"x" * 30_000 + b"\n"),
    ],
)
def test_a_large_message_is_put_together_once_however_many_pieces_it_came_in(
    reader: FrameReader | LineReader, message: bytes, piece: int
) -> None:
    stream = message * 3
    pieces = [stream[start : start + piece] for start in range(0, len(stream), piece)]
    with Copies(held) as copies:
        count = sum(len(reader.feed(data)) for data in pieces)
    assert count == 3
    assert len(message) < copies.bytes < 1.1 * len(stream)


def test_many_small_messages_in_one_piece_are_not_put_together_at_all() -> None:
    with Copies(held) as copies:
        assert len(FrameReader().feed(stream_of(FRAMES * 500))) == 2500
        assert len(LineReader(100).feed(b"line\n" * 5000)) == 5000
    assert copies.bytes == 0


# ---- going on from another reader's rest


@given(st.binary(max_size=60).map(lambda data: data.replace(b"\r", b"\n")), st.data())
def test_a_reader_made_of_the_rest_of_another_finds_the_same_lines(
    data: bytes, draw: st.DataObject
) -> None:
    cut = draw.draw(st.integers(0, len(data)))
    limit = draw.draw(st.integers(1, 20))
    one = LineReader(limit)
    first = LineReader(limit)
    found = first.feed(data[:cut])
    second = LineReader(limit, first.rest, skipping=first.skipping)
    assert one.feed(data[:cut]) + one.feed(data[cut:]) == found + second.feed(data[cut:])
    assert one.oversized == first.oversized + second.oversized


def test_a_frame_reader_and_a_queue_tell_what_is_left() -> None:
    frame = prefix(b"head", 3) + b"headpay"
    reader = FrameReader()
    assert reader.feed(frame + frame[:9]) == [(b"head", b"pay")] and reader.rest == frame[:9]
    second = FrameReader()
    assert second.feed(reader.rest) == [] and second.feed(frame[9:]) == [(b"head", b"pay")]
    queue = WriteQueue()
    queue.append(b"one", memoryview(b"two"))
    assert queue.rest == b"onetwo" and queue.size == 6
