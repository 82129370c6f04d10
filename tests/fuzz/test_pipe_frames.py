"""Whatever a worker sends, the relay lives, and a frame it cannot read costs that worker alone."""

import random
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_supervisor.core import events
from relay_supervisor.core.generation import GONE
from relay_supervisor.errors import FrameTooLarge
from relay_supervisor.wire import v1
from relay_supervisor.wire.framing import FrameReader, prefix
from tests.fuzz.strategies import GOOD, PAYLOADS, headers
from tests.fuzz.test_client_lines import in_order
from tests.unit.relay_supervisor.core.driver import Driver, call

FRAMES = st.lists(st.tuples(headers(), PAYLOADS), min_size=1, max_size=6)


def serving() -> Driver:
    """A worker with a call, a backend and a question under way."""
    relay = Driver()
    relay.serve(roots={}, elicitation={})
    relay.do(events.BackendSpawned(1, 1, "files", 61))
    relay.line(call(1))
    relay.frame(v1.BackendRequest("files", b"1", 61, "roots/list"), b"{}")
    relay.wanted.clear()
    return relay


def the_next_one_serves(relay: Driver) -> None:
    """Whether or not the worker was lost, calls are carried out by it or by the next."""
    number = 1
    if 1 not in alive(relay):
        relay.wait(1.0)
        number = relay.relay.shared.workers.state.last
        relay.hatch(number)
        relay.configure(number)
    relay.wanted.clear()
    relay.line(call("next"))
    ((generation, sent),) = relay.to_worker(v1.Call)
    assert generation == number
    relay.reply(sent.call, b'"result":"carried out"}', generation=number)
    assert [m["result"] for m in relay.client() if m.get("id") == "next"] == ["carried out"]


def alive(relay: Driver) -> list[int]:
    """The generations that are not given up."""
    generations = relay.relay.shared.workers.state.generations
    return [g.number for g in generations.values() if g.state not in GONE]


@given(frames=FRAMES)
def test_any_frame_is_survived_and_costs_that_worker_at_most(
    frames: list[tuple[bytes, bytes]],
) -> None:
    relay = serving()
    for header, payload in frames:
        relay.do(events.WorkerFrame(1, header, payload))
        in_order(relay)
    the_next_one_serves(relay)


@given(header=headers(), payload=PAYLOADS)
def test_any_first_frame_is_survived(header: bytes, payload: bytes) -> None:
    relay = Driver()
    relay.do(events.Started())
    relay.do(events.WorkerSpawned(1, 5001))
    relay.do(events.WorkerFrame(1, header, payload))
    in_order(relay)
    assert alive(relay) == [], "none of these is a welcome"
    relay.wait(1.0)
    relay.hatch(2)
    relay.configure(2)
    relay.greet()
    relay.line(call("next"))
    assert [generation for generation, _ in relay.to_worker(v1.Call)] == [2]


@given(
    frames=FRAMES,
    tail=st.binary(max_size=40),
    seed=st.integers(0, 2**32),
)
def test_frames_come_out_of_the_stream_as_they_went_in_whatever_follows(
    frames: list[tuple[bytes, bytes]], tail: bytes, seed: int
) -> None:
    relay = serving()
    stream = b"".join(prefix(h, len(p)) + h + p for h, p in frames) + tail
    reader, got = FrameReader(), list[tuple[bytes, bytes]]()
    rng = random.Random(seed)
    while stream:
        size = rng.choice((1, 3, 8, 50, 10_000))
        chunk, stream = stream[:size], stream[size:]
        try:
            complete = reader.feed(chunk)
        except FrameTooLarge as error:
            relay.do(events.WorkerPipeFailed(1, str(error)))
            break
        got += complete
        for header, payload in complete:
            relay.do(events.WorkerFrame(1, header, payload))
    assert got[: len(frames)] == frames[: len(got)]
    assert len(got) >= len(frames) or 1 not in alive(relay)
    in_order(relay)
    the_next_one_serves(relay)


@pytest.mark.parametrize("message", GOOD, ids=lambda message: type(message).__name__)
def test_a_payload_nested_to_any_depth_is_survived(message: v1.Message) -> None:
    """It may come from a backend as it is: no backend may end the relay."""
    header = v1.encode(message)
    for depth in range(sys.getrecursionlimit() - 150, sys.getrecursionlimit() + 10):
        for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
            relay = serving()
            nested = opening * depth + b"1" + closing * depth
            relay.do(events.WorkerFrame(1, header, b'{"uri":"x","y":' + nested + b"}"))
            in_order(relay)


@pytest.mark.parametrize("message", GOOD, ids=lambda message: type(message).__name__)
@pytest.mark.parametrize("payload", [b'{"uri":"\xff"}', b'{"\xff":1}', b"\xff", b'{"uri":"\\ud8'])
def test_a_payload_with_broken_text_is_survived(message: v1.Message, payload: bytes) -> None:
    relay = serving()
    relay.do(events.WorkerFrame(1, v1.encode(message), payload))
    in_order(relay)
    the_next_one_serves(relay)


@pytest.mark.parametrize("message", GOOD, ids=lambda message: type(message).__name__)
def test_fields_of_any_other_type_cost_the_worker_and_no_more(message: v1.Message) -> None:
    fields: list[Any] = msgspec.msgpack.decode(v1.encode(message))
    wrong: tuple[Any, ...] = (None, -1, 2**63, "x", b"x", 1.5, [], {}, [[[]]], True)
    for position in range(1, len(fields)):
        for value in wrong:
            relay = serving()
            changed = [*fields[:position], value, *fields[position + 1 :]]
            relay.do(events.WorkerFrame(1, msgspec.msgpack.encode(changed), b""))
            in_order(relay)
            the_next_one_serves(relay)
