"""A message of a newer peer is skipped, a broken one is an error, and the two are told apart."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from relay_supervisor.errors import RemoteProtocolError
from relay_supervisor.wire import v1
from relay_supervisor.wire.framing import FrameReader
from tests.unit.relay_supervisor.wire.samples import TO_SUPERVISOR, TO_WORKER

Decode = Callable[[bytes], Any]
BOTH = pytest.mark.parametrize("decode", [v1.decode_to_worker, v1.decode_to_supervisor])
encode = msgspec.msgpack.encode


@BOTH
@pytest.mark.parametrize("tag", [0, 63, 127, 128, 200, 255, 256, 65_536, 2**40])
def test_an_unknown_tag_is_an_unknown_message_whatever_it_carries(decode: Decode, tag: int) -> None:
    for fields in ([], ["x", 1, None], [{"a": [b"\xff"]}], [[[[]]]]):
        assert decode(encode([tag, *fields])) == v1.Unknown(tag)


def test_a_message_of_the_other_direction_is_unknown() -> None:
    assert v1.decode_to_worker(v1.encode(v1.Pong(1))) == v1.Unknown(78)
    assert v1.decode_to_supervisor(v1.encode(v1.Ping(1))) == v1.Unknown(14)


@BOTH
@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xc1",
        b"\x90",
        b"\x91",
        encode(None),
        encode(68),
        encode("text"),
        encode({"tag": 68}),
        encode(["reply", 1, 0]),
        encode([None, 1]),
        encode([1.5, 1]),
        encode([True, 1]),
        encode([[68], 1]),
        encode([200, 1])[:-1],
        encode([200, 1]) + b"\x00",
        b"\x91" * 5000,
        b"\x92\xcc\xc8\xa1\xff",
        b"\xff" * 100,
    ],
)
def test_what_is_no_message_is_the_peers_fault(decode: Decode, header: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(header)


WRONG: tuple[Any, ...] = (None, -1, 2**64 - 1, 1.5, "text", b"bytes", True, [], [[]], {}, {"a": 1})


@pytest.mark.parametrize(
    "sample", [*TO_WORKER[1:], *TO_SUPERVISOR[1:]], ids=lambda s: type(s).__name__
)
def test_a_known_message_with_a_field_of_another_type_is_broken_or_means_the_same(
    sample: v1.Message,
) -> None:
    decode: Decode = v1.decode_to_worker if sample in TO_WORKER else v1.decode_to_supervisor
    fields = msgspec.msgpack.decode(v1.encode(sample))
    for position in range(1, len(fields)):
        refused = 0
        for value in WRONG:
            header = encode([*fields[:position], value, *fields[position + 1 :]])
            try:
                got = decode(header)
            except RemoteProtocolError:
                refused += 1
            else:
                assert type(got) is type(sample)
        assert refused >= 5, f"field {position} takes nearly anything"


@pytest.mark.parametrize(
    "sample", [*TO_WORKER[1:], *TO_SUPERVISOR[1:]], ids=lambda s: type(s).__name__
)
def test_a_known_message_without_a_required_field_is_broken(sample: v1.Message) -> None:
    decode: Decode = v1.decode_to_worker if sample in TO_WORKER else v1.decode_to_supervisor
    fields = msgspec.msgpack.decode(v1.encode(sample))
    required = sum(field.required for field in msgspec.structs.fields(sample))
    for length in range(required):
        with pytest.raises(RemoteProtocolError):
            decode(encode(fields[: 1 + length]))


def test_numbers_as_large_as_javascript_counts_survive() -> None:
    reply = v1.Reply(v1.CALL_MAX, 0)
    assert v1.decode_to_supervisor(v1.encode(reply)) == reply
    assert v1.CALL_MAX == 9007199254740991


@pytest.mark.parametrize("call", [1, 255, 1 << 32, v1.CALL_MAX])
@pytest.mark.parametrize("outcome", [v1.OUTCOME_RESULT, v1.OUTCOME_REFUSED])
def test_the_frame_of_a_small_reply_is_one_like_any(call: int, outcome: int) -> None:
    frame = v1.reply_frame(call, outcome, b'"result":{}}')
    ((header, payload),) = FrameReader().feed(frame)
    assert v1.decode_to_supervisor(header) == v1.Reply(call, outcome)
    assert payload == b'"result":{}}'


def test_the_frame_of_a_small_reply_has_these_bytes() -> None:
    frame = bytes.fromhex("0000000c 0000000c 93 44 cf 0000000000001267 00") + b'"result":{}}'
    assert v1.reply_frame(4711, v1.OUTCOME_RESULT, b'"result":{}}') == frame


def test_ids_of_backends_are_bytes_and_come_back_as_they_were() -> None:
    for raw in (b"7", b'"7"', b'"\\ud83d"', b"\xff\x00", b""):
        question = v1.BackendRequest("files", raw, 1, "roots/list")
        assert v1.decode_to_supervisor(v1.encode(question)) == question
