"""Server-sent events from bytes, in whatever pieces they come."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_worker.backends.remote.sse import MESSAGE, Event, Events

LIMIT = 1000


def events(*pieces: bytes, limit: int = LIMIT) -> list[Event]:
    """The events of a stream that comes in these pieces."""
    stream = Events(limit)
    return [event for piece in pieces for event in stream.feed(piece)]


def test_an_event() -> None:
    assert events(b"event: message\ndata: {}\nid: 7\n\n") == [Event(MESSAGE, b"{}", b"7")]


def test_what_is_left_out() -> None:
    """A message by default; one blank after the colon is no data; the id stays."""
    text = b"id: 7\ndata:{}\n\ndata:  {}\n\n"
    assert events(text) == [Event(MESSAGE, b"{}", b"7"), Event(MESSAGE, b" {}", b"7")]


def test_data_over_several_lines() -> None:
    assert events(b"data: a\ndata\ndata: b\n\n") == [Event(MESSAGE, b"a\n\nb", b"")]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_line_ends(end: bytes) -> None:
    text = end.join([b"event: endpoint", b"data: /here", b"", b""])
    assert events(text) == [Event(b"endpoint", b"/here", b"")]


def test_a_byte_order_mark_at_the_beginning() -> None:
    mark = b"\xef\xbb\xbf"
    assert events(mark + b"data: {}\n\n") == [Event(MESSAGE, b"{}", b"")]
    assert events(b"data: 1\n\n" + mark + b"data: 2\n\n") == [
        Event(MESSAGE, b"1", b""),
        Event(MESSAGE, b"", b""),
    ]


def test_comments_and_unknown_fields_are_nothing() -> None:
    assert events(b": keep-alive\n\nfoo: bar\ndata: 1\n\n") == [Event(MESSAGE, b"1", b"")]


def test_an_event_without_data_still_has_its_id() -> None:
    stream = Events(LIMIT)
    assert stream.feed(b"id: e-1\nretry: 1500\n\n") == [Event(MESSAGE, b"", b"e-1")]
    assert (stream.last_id, stream.retry_seconds) == (b"e-1", 1.5)


@pytest.mark.parametrize("value", [b"soon", b"-1", b"1.5", b"9999999999"])
def test_a_retry_that_is_no_number_of_milliseconds(value: bytes) -> None:
    stream = Events(LIMIT)
    stream.feed(b"retry: " + value + b"\n\n")
    assert stream.retry_seconds is None


def test_an_id_with_nul_does_not_count() -> None:
    stream = Events(LIMIT)
    stream.feed(b"id: 1\n\nid: a\0b\n\n")
    assert stream.last_id == b"1"


def test_bytes_that_are_no_utf8_are_left_as_they_are() -> None:
    assert events(b"data: \xe9\xff\n\n") == [Event(MESSAGE, b"\xe9\xff", b"")]


def test_it_goes_on_on_another_stream() -> None:
    stream = Events(LIMIT)
    stream.feed(b"id: 5\nretry: 20\ndata: x\n\ndata: half of")
    onward = stream.onward()
    assert (onward.last_id, onward.retry_seconds) == (b"5", 0.02)
    assert onward.feed(b"data: y\n\n") == [Event(MESSAGE, b"y", b"5")]


@pytest.mark.parametrize("lines", [1, 3])
@pytest.mark.parametrize("piece", [1, 7, 10_000])
def test_an_event_over_the_limit_is_dropped_and_the_next_one_is_not(lines: int, piece: int) -> None:
    text = b"id: 1\n" + b"data: %b\n" % (b"x" * 60) * lines + b"\nid: 2\ndata: y\n\n"
    pieces = [text[at : at + piece] for at in range(0, len(text), piece)]
    first, second = events(*pieces, limit=50)
    assert (first.data, first.oversized) == (b"", True)
    assert second == Event(MESSAGE, b"y", b"2")


def test_a_line_without_end_takes_no_more_memory_than_the_limit() -> None:
    stream = Events(LIMIT)
    for _ in range(1000):
        assert stream.feed(b"data: " + b"x" * 100) == []
    assert sum(map(len, stream._parts)) + sum(map(len, stream._data)) <= LIMIT


@given(st.lists(st.binary(max_size=30)), st.data())
def test_pieces_make_no_difference(lines: list[bytes], data: st.DataObject) -> None:
    text = b"\n".join(line.replace(b"\n", b"") for line in [*lines, b"data: end", b"", b""])
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=8).map(sorted))
    bounds = [0, *cuts, len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(bounds)]
    assert events(*pieces) == events(text)


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner, max_size=3)))
def test_json_arrives_as_it_was_sent(value: object) -> None:
    text = json.dumps(value).encode()
    (event,) = events(b"data: " + text + b"\n\n", limit=1 << 20)
    assert event.data == text
