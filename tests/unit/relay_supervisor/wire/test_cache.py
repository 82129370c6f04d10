"""A cache file is served whole or not at all: whatever happened to it on the disk."""

import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_supervisor.wire import cache

BODY = cache.Body(
    tools=[cache.Entry("a__x", "a", b'{"name":"a__x"}')],
    prompts=[cache.Entry("p", "a", b"{}")],
    resources=[cache.Entry("file:///\u00e9", "b", b"{}")],
    templates=[cache.Entry("file:///{x}", "b", b"{}")],
    capabilities=b'{"tools":{}}',
    quarantined=[cache.Quarantined("b", "tool", "bad", "no inputSchema")],
)
SNAPSHOT = cache.Snapshot("digest", "Use it.", BODY, [cache.Lists("a", "h", b"\x00\xff raw")])
DATA = cache.dump(SNAPSHOT)


def test_what_is_written_is_read() -> None:
    assert cache.load(DATA) == SNAPSHOT
    assert cache.decode_body(cache.encode_body(BODY)) == BODY


def test_the_same_content_gives_the_same_bytes() -> None:
    assert cache.dump(SNAPSHOT) == DATA
    assert cache.encode_body(BODY) == cache.encode_body(BODY)


def test_a_file_cut_anywhere_is_as_good_as_none() -> None:
    for length in range(len(DATA)):
        assert cache.load(DATA[:length]) is None


def test_a_file_with_any_byte_changed_is_as_good_as_none() -> None:
    for position in range(len(DATA)):
        damaged = bytearray(DATA)
        damaged[position] ^= 0x01
        assert cache.load(bytes(damaged)) is None


def test_a_file_with_something_behind_it_is_as_good_as_none() -> None:
    assert cache.load(DATA + b"\0") is None


@pytest.mark.parametrize("data", [b"", b"\0" * 4096, b"mcp-relay cache 2\n" + DATA[18:]])
def test_empty_files_holes_and_other_versions_are_as_good_as_none(data: bytes) -> None:
    assert cache.load(data) is None


def sealed(content: bytes) -> bytes:
    """A file with this content and a right checksum."""
    return cache.dump(SNAPSHOT)[: len(cache.MAGIC)] + crc(content) + content


def crc(content: bytes) -> bytes:
    """The checksum as the file has it."""
    return zlib.crc32(content).to_bytes(4, "big")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode({}),
        msgspec.msgpack.encode({"digest": 5}),
        msgspec.msgpack.encode([1, 2]),
        b"\x91" * 5000,
        b"\x81\xa6digest\xa1\xff",
    ],
)
def test_a_sealed_file_with_nonsense_in_it_is_as_good_as_none(content: bytes) -> None:
    assert cache.load(sealed(content)) is None


def test_what_a_newer_release_has_added_is_skipped() -> None:
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(SNAPSHOT))
    fields["new"] = {"x": 1}
    fields["body"]["newer"] = [1]
    fields["body"]["tools"][0].append("more")
    assert cache.load(sealed(msgspec.msgpack.encode(fields))) == SNAPSHOT


def test_what_an_older_release_did_not_write_has_its_default() -> None:
    old = {"digest": "d", "instructions": "i", "body": {"tools": []}}
    assert cache.load(sealed(msgspec.msgpack.encode(old))) == cache.Snapshot("d", "i", cache.Body())


@given(data=st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    assert cache.load(data) is None
    assert cache.load(sealed(data)) is None


def test_keys_are_file_names_and_depend_on_every_part() -> None:
    keys = {
        cache.key(),
        cache.key(b""),
        cache.key(b"a"),
        cache.key(b"a", b"b"),
        cache.key(b"ab"),
        cache.key(b"b", b"a"),
        cache.key(b"x" * 100_000),
    }
    assert len(keys) >= 6  # no part and one empty part are the same text
    assert all(key.isascii() and "/" not in key and "." not in key for key in keys)
    assert cache.key(b"a", b"b") == cache.key(b"a", b"b")


def test_the_bytes_of_the_format_are_those_that_were_released() -> None:
    released = bytes.fromhex((Path(__file__).parent / "golden" / "cache.hex").read_text())
    body = cache.Body(
        tools=[cache.Entry("k", "b", b"{}")],
        quarantined=[cache.Quarantined("b", "tool", "n", "r")],
    )
    snapshot = cache.Snapshot("d", "i", body, [cache.Lists("b", "h", b"p")])
    assert cache.dump(snapshot) == released
    assert cache.load(released) == snapshot
