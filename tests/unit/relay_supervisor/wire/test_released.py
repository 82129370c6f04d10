"""Every message of every released version: what it said then it says now, in the same place.

`golden/v1` is what we write today, and grows with the messages. What was released stays as it was.
"""

from typing import Any

import msgspec
import pytest

from tests.unit.relay_supervisor.wire.samples import TO_SUPERVISOR, TO_WORKER, Sample
from tests.unit.relay_supervisor.wire.test_golden import decoder, name_of, widened
from tests.versions import archive, golden
from tests.versions.relied import goes_on_from

SAMPLES = {name_of(sample): sample for sample in [*TO_WORKER, *TO_SUPERVISOR]}
RELEASED = [
    pytest.param(name, header, id=f"{version}-{name}")
    for version in archive.RELEASED
    for name, header in golden.released(version).items()
]


def today_of(sample: Sample) -> Any:
    """The fields of a message as we send them."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(sample))


def test_there_is_something_to_be_compared_with() -> None:
    assert len(RELEASED) >= 38 and "0.1.0" in archive.RELEASED


@pytest.mark.parametrize(("name", "header"), RELEASED)
def test_who_is_of_that_version_finds_what_it_knows(name: str, header: bytes) -> None:
    """In what we write today."""
    assert goes_on_from(today_of(SAMPLES[name]), msgspec.msgpack.decode(header))


@pytest.mark.parametrize(("name", "header"), RELEASED)
def test_what_it_writes_we_read_and_take_for_the_same(name: str, header: bytes) -> None:
    message = decoder(SAMPLES[name])(header)
    assert name_of(message) == name
    assert goes_on_from(today_of(message), msgspec.msgpack.decode(header))


@pytest.mark.parametrize(
    ("today", "released"),
    [
        ([2, "a"], [1, "a"]),
        ([1], [1, "a"]),
        (["a", 1], [1, "a"]),
        ([1, b"a"], [1, "a"]),
        ([True, "a"], [1, "a"]),
        ([1.0, "a"], [1, "a"]),
        ([1, [2]], [1, [2, 3]]),
        ([1, {"a": 1}], [1, {"b": 1}]),
    ],
)
def test_what_does_not_go_on_is_found(today: Any, released: Any) -> None:
    assert not goes_on_from(today, released)


def test_what_was_added_goes_on() -> None:
    assert goes_on_from([1, [2, "new"], {"a": 1, "b": 2}, "new"], [1, [2], {"a": 1}])
    assert goes_on_from(widened(SAMPLES["Configured"]), today_of(SAMPLES["Configured"]))
