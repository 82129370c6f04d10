"""What one process image leaves for the next is whole and understood, or refused."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_supervisor.core import sealed
from relay_supervisor.core.sealed import MAGIC, SCHEMA, seal, unseal
from relay_supervisor.errors import StateRefused


@given(st.binary(max_size=300))
def test_what_is_sealed_comes_back(content: bytes) -> None:
    assert unseal(seal(content)) == content


@given(st.binary(max_size=50), st.data())
def test_one_byte_more_less_or_other_is_refused(content: bytes, data: st.DataObject) -> None:
    whole = seal(content)
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    schema = range(len(MAGIC), len(MAGIC) + 4)
    for bad in (whole[:at], whole + b"x", flipped):
        if at in schema and bad is flipped and _schema_of(bad) <= SCHEMA:
            continue  # an older schema is read
        with pytest.raises(StateRefused):
            unseal(bad)


def _schema_of(data: bytes) -> int:
    return int(struct.unpack_from("!I", data, len(MAGIC))[0])


def test_nothing_at_all_is_refused() -> None:
    with pytest.raises(StateRefused, match="0 bytes"):
        unseal(b"")


def test_a_newer_schema_is_refused_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "SCHEMA", SCHEMA + 1)
    newer = seal(b"content")
    monkeypatch.undo()
    with pytest.raises(StateRefused, match=f"schema {SCHEMA + 1}.* too old"):
        unseal(newer)


def test_an_older_schema_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "SCHEMA", SCHEMA - 1)
    older = seal(b"content")
    monkeypatch.undo()
    assert unseal(older) == b"content"
