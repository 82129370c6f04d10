"""What backends print becomes frames that any reader can decode, in linear time."""

import json
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_worker import repair
from relay_worker.repair import clean_line, plain_result

GOOD = b'{"jsonrpc":"2.0","id":1,"result":{"text":"}{"}}'
OTHER = b'{"id":2,"result":[1,2.50,1e400],"jsonrpc":"2.0"}'


def frames(line: bytes) -> list[bytes]:
    return [text for text, _ in clean_line(line).frames]


@pytest.mark.parametrize(
    ("line", "expected", "skipped"),
    [
        (GOOD, [GOOD], 0),
        (GOOD + b"\r", [GOOD], 0),
        (b"", [], 0),
        (b" \t\r", [], 0),
        (b"Server started on stdio", [], 1),
        (b'{"level":"info","msg":"a log line, in JSON"}', [], 1),
        (b"Loading ..." + GOOD, [GOOD], 1),
        (GOOD + b"done", [GOOD], 1),
        (b"Loading ..." + GOOD + b" done", [GOOD], 2),
        (b"a" + GOOD + b"b" + OTHER + b"c", [GOOD, OTHER], 3),
        (GOOD + OTHER, [GOOD, OTHER], 0),
        (GOOD + b" " + OTHER, [GOOD, OTHER], 0),
        (b"\xef\xbb\xbf" + GOOD, [GOOD], 1),
        (b"it's an \"open quote " + GOOD, [GOOD], 1),
        (b"{" + GOOD, [GOOD], 1),
        (b'{"jsonrpc":"2.0","id":1,"result":{"cut":"' + OTHER, [OTHER], 1),
        (b'{"id":5,"msg":"a log line"} ' + GOOD, [GOOD], 1),
        (b"[" + GOOD + b", " + OTHER + b"]", [GOOD, OTHER], 0),
        (b"[" + GOOD + b',7,{"a":1},"x"]', [GOOD], 3),
        (b"[INFO] hello " + GOOD, [GOOD], 1),
        (b"[]", [], 0),
        (b"5", [], 1),
        (b'{"jsonrpc"', [], 1),
    ],
)
def test_pollution_is_cut_away_and_counted(
    line: bytes, expected: list[bytes], skipped: int
) -> None:
    cleaned = clean_line(line)
    assert [text for text, _ in cleaned.frames] == expected
    assert cleaned.skipped == skipped


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        (rb'"\ud83d"', rb'"\ufffd"'),
        (rb'"\uD83D and \uDE00"', rb'"\ufffd and \ufffd"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\ud83d\ude00"', rb'"\ud83d\ude00"'),
        (rb'"\\ud83d"', rb'"\\ud83d"'),
        (rb'"\\\ud83d"', rb'"\\\ufffd"'),
        (rb'"\n\ud83d\""', rb'"\n\ufffd\""'),
        (rb'"\u00e9\ud83dx"', rb'"\u00e9\ufffdx"'),
        (b'"\xff\xe2\x82"', '"\ufffd\ufffd"'.encode()),
        ('"é€😀\u2028"'.encode(), '"é€😀\u2028"'.encode()),
        (b"NaN", b"null"),
        (b"-Infinity", b"null"),
        (b'[NaN, -Infinity,Infinity,-1.50,"NaN","\\"-Infinity"]',
         b'[null, null,null,-1.50,"NaN","\\"-Infinity"]'),
        (b'{"NaN":NaN}', b'{"NaN":null}'),
        (b"123456789012345678901234567890.0100", b"123456789012345678901234567890.0100"),
        (b"1" * 5000, b"1" * 5000),
    ],
)  # fmt: skip
def test_values_are_repaired_and_nothing_else_changes(inside: bytes, expected: bytes) -> None:
    line = b'{"jsonrpc": "2.0","n":1.0,"result":%s}'
    assert clean_line(line % inside) == repair.Cleaned(
        [(line % expected, msgspec.json.decode(line % expected, type=repair.Envelope))]
    )
    assert frames(b"glued " + line % inside + b"!") == [line % expected]


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"jsonrpc":' + b'{"jsonrpc":' * 100_000,
        b"[" * 1_000_000,
    ],
)
def test_nesting_beyond_the_recursion_limit_is_skipped(line: bytes) -> None:
    assert clean_line(line) == repair.Cleaned([], 1)


def test_after_a_frame_nested_too_deep_the_next_one_is_found() -> None:
    deep = b'{"jsonrpc":' + b"[" * 5000 + b"]" * 5000 + b"}"
    assert frames(deep + GOOD) == [GOOD]


def test_frames_of_one_line_are_bounded() -> None:
    many = GOOD * (repair.LINE_FRAMES_MAX + 10)
    assert len(clean_line(many).frames) == repair.LINE_FRAMES_MAX
    batch = b"[" + b",".join([GOOD] * (repair.LINE_FRAMES_MAX + 10)) + b"]"
    assert clean_line(batch).skipped == 10


SIGNS = [bytes([sign]) for sign in b'{}[]" ,1\\\x00\xff']
WORDS = [
    b'{"jsonrpc"',
    b'{"jsonrpc":',
    b"NaN",
    b"-Infinity",
    b"junk",
    b"\xf0\x9f",
    rb"\ud83d",
    rb"\u",
]
PIECES = st.sampled_from([GOOD, OTHER, *WORDS, *SIGNS])


@given(st.lists(PIECES | st.binary(max_size=4), max_size=30).map(b"".join))
def test_whatever_comes_the_frames_can_be_decoded(line: bytes) -> None:
    cleaned = clean_line(line)
    for text, envelope in cleaned.frames:
        decoded = json.loads(text.decode(), parse_constant=pytest.fail)
        assert "jsonrpc" in decoded
        assert decoded == {key: json.loads(bytes(raw)) for key, raw in envelope.items()}
    assert cleaned.skipped >= 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(JSON, st.booleans(), st.sampled_from(["", "log: ", 'an "open quote: ', "{", "[x] "]))
def test_what_the_standard_library_writes_is_never_lost(
    value: object, ensure_ascii: bool, junk: str
) -> None:
    """Python servers write NaN and lone surrogates as they come."""
    text = json.dumps({"jsonrpc": "2.0", "id": 1, "result": value}, ensure_ascii=ensure_ascii)
    line = (junk + text).encode("utf-8", "surrogatepass")
    cleaned = clean_line(line)
    assert len(cleaned.frames) == 1
    assert msgspec.json.decode(cleaned.frames[0][1]["id"]) == 1
    assert cleaned.skipped == bool(junk)


def repeated(piece: bytes, size: int) -> bytes:
    return piece * (size // len(piece))


ADVERSARIAL = {
    "starts": lambda size: repeated(b'{"jsonrpc"', size),
    "nested starts": lambda size: repeated(b'{"jsonrpc":', size),
    "unclosed": lambda size: repeated(b'{"jsonrpc":1,"a":[{"jsonrpc":1},', size),
    "braces": lambda size: repeated(b"{", size),
    "blanks": lambda size: repeated(b"{    ", size),
    "quotes": lambda size: b'{"jsonrpc":NaN' + repeated(b'"', size),
    "backslashes": lambda size: b'{"jsonrpc":NaN,"' + repeated(b"\\", size),
    "surrogates": lambda size: repeated(rb"\ud83d", size),
    "NaN": lambda size: repeated(b'{"jsonrpc":NaN,', size),
    "frames": lambda size: repeated(b'{"jsonrpc":NaN}', size),
    "bytes": lambda size: repeated(b"\xff", size),
}


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_time_is_linear(name: str) -> None:
    """Sixteen times the input takes about sixteen times as long; quadratic would be 256."""

    def best(size: int) -> float:
        line = ADVERSARIAL[name](size)
        times = []
        for _ in range(3):
            before = time.process_time()
            clean_line(line)
            times.append(time.process_time() - before)
        return min(times)

    assert best(1 << 21) < 64 * max(best(1 << 17), 0.002)


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":7,"result":{"a": 1.50}}',
        b' {"result":{"a":"\\n"} ,"id":7,"jsonrpc":"2.0"}\r',
    ],
)
def test_a_plain_result_is_what_the_long_way_finds(line: bytes) -> None:
    found = plain_result(line)
    assert found is not None
    ((_, envelope),) = clean_line(line).frames
    assert (found.id, found.result) == (int(bytes(envelope["id"])), envelope["result"])


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":0,"result":1}',
        b'{"jsonrpc":"2.0","id":-7,"result":1}',  # a call of the relay's own has such a number
        b'{"jsonrpc":"2.0","id":"7","result":1}',
        b'{"jsonrpc":"2.0","id":7,"error":1}',
        b'{"jsonrpc":"2.0","id":7,"result":1,"more":2}',
        b'{"jsonrpc":"2.0","id":7,"method":"a","result":1}',
        b'{"jsonrpc":"1.0","id":7,"result":1}',
        b'{"id":7,"result":1}',
        b'{"jsonrpc":"2.0","id":7,"result":"\\ud800"}',
        b'{"jsonrpc":"2.0","id":7,"result":"\xff"}',
        b'{"jsonrpc":"2.0","id":7,"result":1}{',
        b"7",
        b"",
    ],
)
def test_what_is_no_plain_result_takes_the_long_way(line: bytes) -> None:
    assert plain_result(line) is None
