"""What is on the wire today, byte by byte, and that peers may know fewer fields of it, or more.

A golden file grows with its message; `test_released` holds it to what was released.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay_supervisor.wire import handshake, v1
from tests.unit.relay_supervisor.wire.samples import TO_SUPERVISOR, TO_WORKER, Sample

GOLDEN = Path(__file__).parent / "golden" / "v1"
SAMPLES = [*TO_WORKER, *TO_SUPERVISOR]


def name_of(sample: object) -> str:
    """The name of a message's class."""
    return type(sample).__name__


def golden(sample: Sample) -> bytes:
    """The bytes of this message as we write it today."""
    return bytes.fromhex((GOLDEN / f"{name_of(sample)}.hex").read_text())


def widened(value: Any) -> Any:
    """A message as a peer sends it that has more fields in each of its structures."""
    if isinstance(value, msgspec.Struct):
        tag = value.__struct_config__.tag
        fields = [widened(getattr(value, name)) for name in value.__struct_fields__]
        return [*([] if tag is None else [tag]), *fields, "new", {"deep": [1, 2]}, None]
    return [widened(item) for item in value] if isinstance(value, list) else value


def decoder(sample: Sample) -> Callable[[bytes], Any]:
    """What its receiver decodes it with."""
    if isinstance(sample, handshake.Hello | handshake.Welcome):
        return msgspec.msgpack.Decoder(type(sample)).decode
    return v1.decode_to_worker if sample in TO_WORKER else v1.decode_to_supervisor


@pytest.mark.parametrize("sample", SAMPLES, ids=name_of)
def test_we_write_the_bytes_of_today(sample: Sample) -> None:
    assert msgspec.msgpack.encode(sample) == golden(sample)


@pytest.mark.parametrize("sample", SAMPLES, ids=name_of)
def test_we_read_the_bytes_of_today(sample: Sample) -> None:
    assert decoder(sample)(golden(sample)) == sample


@pytest.mark.parametrize("sample", SAMPLES, ids=name_of)
def test_every_field_of_a_sample_differs_from_its_default(sample: Sample) -> None:
    """Or its position in the golden bytes would prove nothing."""
    for field in msgspec.structs.fields(sample):
        assert getattr(sample, field.name) != field.default


@pytest.mark.parametrize("sample", SAMPLES, ids=name_of)
def test_fields_a_newer_peer_has_added_are_skipped(sample: Sample) -> None:
    """Of the message, and of the structures in it."""
    longer = msgspec.msgpack.encode(widened(sample))
    assert len(longer) > len(golden(sample))
    assert decoder(sample)(longer) == sample


@pytest.mark.parametrize("sample", SAMPLES, ids=name_of)
def test_fields_an_older_peer_does_not_have_get_their_defaults(sample: Sample) -> None:
    fields = msgspec.structs.fields(sample)
    required = sum(field.required for field in fields)
    shorter = msgspec.msgpack.decode(golden(sample))[: 1 + required]
    got = decoder(sample)(msgspec.msgpack.encode(shorter))
    for position, field in enumerate(fields):
        want = getattr(sample, field.name) if position < required else field_default(field)
        assert getattr(got, field.name) == want


def field_default(field: msgspec.structs.FieldInfo) -> object:
    """The default of a field that has one."""
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def test_there_is_a_sample_and_a_golden_file_for_every_message_and_no_other() -> None:
    known = {*v1.ToWorker.__args__, *v1.ToSupervisor.__args__, handshake.Hello, handshake.Welcome}
    assert {kind.__name__ for kind in known} == {name_of(sample) for sample in SAMPLES}
    assert {path.stem for path in GOLDEN.iterdir()} == {name_of(sample) for sample in SAMPLES}


def test_no_tag_is_used_twice_and_the_directions_are_apart() -> None:
    to_worker = [kind.__struct_config__.tag for kind in v1.ToWorker.__args__]
    to_supervisor = [kind.__struct_config__.tag for kind in v1.ToSupervisor.__args__]
    assert len({*to_worker, *to_supervisor}) == len(to_worker) + len(to_supervisor)
    assert max(to_worker) < 64 < min(to_supervisor)
