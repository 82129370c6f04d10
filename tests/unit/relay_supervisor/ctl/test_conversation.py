"""A conversation with one relay: its lines as they come, and every way in which it can be lost."""

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from relay_supervisor.ctl import client, conversation
from relay_supervisor.ctl.conversation import RelayLost, converse
from relay_supervisor.socket_files import socket_path
from relay_supervisor.wire.control_v1 import Reply, Request, encode
from tests.unit.relay_supervisor.ctl.fake_relay import (
    PHASES,
    FakeRelay,
    dead_relay,
    golden_status,
    hung_relay,
    line,
    mad_relay,
    refusal,
    swapped,
)

SWAP = Request("swap")


def talk(runtime: Path, name: str = "a") -> list[Reply | None]:
    return list(converse(socket_path(str(runtime), name), SWAP))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """All waits are shorter than in real life."""
    monkeypatch.setattr(client, "ANSWER_SECONDS_MAX", 0.2)
    monkeypatch.setattr(conversation, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(conversation, "PROBE_SECONDS", 0.05)


@pytest.mark.parametrize("last", [swapped(), refusal("busy", "not now")])
def test_all_lines_come_up_to_the_last(runtime: Path, last: Reply) -> None:
    with FakeRelay(runtime, "a", golden_status(), swap=[*PHASES, last]) as relay:
        replies = [reply for reply in talk(runtime) if reply is not None]
    assert replies == [*PHASES, last]
    assert relay.requests == [encode(SWAP).strip()]


def test_lines_that_come_together_or_in_pieces(runtime: Path) -> None:
    with mad_relay(runtime, "a", b"".join(map(encode, [*PHASES, swapped()])) + b"more"):
        assert talk(runtime)[-1] == swapped()


def test_silence_is_told_again_and_again(runtime: Path) -> None:
    with FakeRelay(runtime, "a", golden_status(), swap=PHASES[:1]) as relay:
        replies = converse(socket_path(str(runtime), "a"), SWAP)
        assert [next(replies) for _ in range(9)] == [PHASES[0], *[None] * 8]
        replies.close()
        assert relay.asked("status")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "closed the connection without a final answer"),
        (encode(PHASES[0]), "closed the connection without a final answer"),
        (encode(PHASES[0])[:-9], "closed the connection without a final answer"),
        (b"\x00\xff\n", "none of the control protocol"),
        (b"[" * 50_000 + b"\n", "none of the control protocol"),
        (b"{}\n", "none of the control protocol"),
    ],
)
def test_a_relay_that_talks_nonsense_is_lost(runtime: Path, answer: bytes, reason: str) -> None:
    with mad_relay(runtime, "a", answer), pytest.raises(RelayLost, match=reason):
        talk(runtime)


def test_a_line_has_its_limit(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "REPLY_BYTES_MAX", 50)
    long = encode(line({"phase": "x" * 100}))
    with mad_relay(runtime, "a", long), pytest.raises(RelayLost, match="over 50 bytes"):
        talk(runtime)


def test_a_relay_that_is_gone(runtime: Path) -> None:
    dead_relay(runtime, "dead")
    for name in ("dead", "never"):
        with pytest.raises(RelayLost, match="has ended"):
            talk(runtime, name)


def test_a_hung_relay_is_noticed(runtime: Path) -> None:
    with hung_relay(runtime, "a"), pytest.raises(RelayLost, match="does not answer any more"):
        talk(runtime)


def test_a_hung_relay_with_a_full_queue_is_noticed(runtime: Path) -> None:
    with hung_relay(runtime, "a", backlog=0), ExitStack() as stack:
        for _ in range(8):
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            waiting.setblocking(False)
            waiting.connect_ex(socket_path(str(runtime), "a"))
        with pytest.raises(RelayLost, match="its queue is full: stopped or hung"):
            talk(runtime)


def test_a_relay_that_hangs_later_is_noticed(runtime: Path) -> None:
    """Its loop stands still: the status is not answered either."""

    def hang(request: Request) -> list[Reply]:
        relay.hold()
        return PHASES

    relay = FakeRelay(runtime, "a", golden_status(), swap=hang)
    try:
        with pytest.raises(RelayLost, match="does not answer any more"):
            talk(runtime)
    finally:
        relay.resume()
        relay.stop()


def test_one_that_lives_and_never_ends_it_has_a_limit(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "CONVERSATION_SECONDS_MAX", 0.3)
    with (
        FakeRelay(runtime, "a", golden_status(), swap=PHASES),
        pytest.raises(RelayLost, match=r"within 0\.3 s"),
    ):
        talk(runtime)
