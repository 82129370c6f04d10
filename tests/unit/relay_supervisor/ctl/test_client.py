"""Finding relays and asking them, also where they are dead, hung, mad or not ours."""

import os
import stat
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from relay_supervisor.ctl import client
from relay_supervisor.ctl.client import Answer, ask_all, find
from relay_supervisor.errors import ConfigurationError
from relay_supervisor.wire.control_v1 import Failure, Reply, Request, encode
from tests.unit.relay_supervisor.ctl.fake_relay import FakeRelay, dead_relay, hung_relay, mad_relay

UID = os.getuid()
STATUS = Request("status")
LONG = 30.0  # a bound that a test which works does not come near
SHORT = 0.2  # for relays that never answer


def ask(runtime: Path, seconds: float = LONG, request: Request = STATUS) -> list[Answer]:
    return ask_all(find(str(runtime), UID), request, seconds)


def trouble(runtime: Path) -> str:
    """The trouble with the only relay."""
    (answer,) = ask(runtime)
    assert answer.result is None and answer.trouble is not None
    return answer.trouble


def test_all_relays_are_asked_and_answer_in_the_order_of_their_ids(runtime: Path) -> None:
    with ExitStack() as stack:
        for name in ("b", "c", "a"):
            stack.enter_context(FakeRelay(runtime, name, {"id": name}))
        answers = ask(runtime)
    assert [answer.id for answer in answers] == ["a", "b", "c"]
    assert [msgspec.json.decode(answer.result or b"") for answer in answers] == [
        {"id": name} for name in ("a", "b", "c")
    ]


def test_without_a_directory_there_is_no_relay_and_none_is_made(runtime: Path) -> None:
    missing = runtime / "missing"
    assert find(str(missing), UID) == []
    assert not missing.exists()


def test_without_relays_nothing_is_waited_for(runtime: Path) -> None:
    assert ask(runtime) == []


def test_dead_sockets_are_removed_and_not_reported(runtime: Path) -> None:
    path = dead_relay(runtime, "dead")
    with FakeRelay(runtime, "alive", {}):
        assert [answer.id for answer in ask(runtime)] == ["alive"]
    assert not path.exists()


def test_a_relay_that_ends_between_finding_and_asking_is_not_reported(runtime: Path) -> None:
    with FakeRelay(runtime, "gone", {}):
        paths = find(str(runtime), UID)
    assert paths
    assert ask_all(paths, STATUS, LONG) == []
    dead = dead_relay(runtime, "killed")
    assert ask_all([str(dead)], STATUS, LONG) == []


def test_hung_relays_cost_their_time_once_and_do_not_hide_the_others(runtime: Path) -> None:
    with ExitStack() as stack:
        for name in ("a", "b", "d"):
            stack.enter_context(hung_relay(runtime, name))
        stack.enter_context(FakeRelay(runtime, "c", {"big": "x" * (1 << 20)}))
        begin = time.monotonic()
        answers = ask(runtime, SHORT * 5)
        took = time.monotonic() - begin
    assert [bool(answer.result) for answer in answers] == [False, False, True, False]
    assert all("stopped or hung" in (a.trouble or "") for a in answers if not a.result)
    assert SHORT * 5 <= took < SHORT * 10


@pytest.mark.skipif(sys.platform != "linux", reason="macOS refuses when the queue is full")
def test_a_relay_with_a_full_queue_is_reported_as_hung(runtime: Path) -> None:
    with hung_relay(runtime, "full", backlog=0):
        paths = find(str(runtime), UID) * 8
        answers = ask_all(paths, STATUS, SHORT)
    assert len(answers) == 8 and all("stopped or hung" in (a.trouble or "") for a in answers)


@pytest.mark.parametrize(
    "answer",
    [
        b"\n",
        b"hello\n",
        b"\xff\xff\n",
        b'{"result":{}}\n',
        b"[" * 100_000 + b"\n",
        b'{"done":true,"result":}\n',
    ],
)
def test_nonsense_is_reported(runtime: Path, answer: bytes) -> None:
    with mad_relay(runtime, "mad", answer):
        assert "none of the control protocol" in trouble(runtime)


@pytest.mark.parametrize("answer", [b"", b'{"done":tr', b'{"done":false}\n'])
def test_an_answer_without_an_end_is_reported(runtime: Path, answer: bytes) -> None:
    with mad_relay(runtime, "mad", answer):
        assert "closed the connection" in trouble(runtime)


def test_a_flood_is_reported_and_not_kept(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "REPLY_BYTES_MAX", 1 << 16)
    with mad_relay(runtime, "mad", b"x" * (1 << 17)):
        assert "is over 65536 bytes" in trouble(runtime)


def test_a_refusal_is_passed_on(runtime: Path) -> None:
    with FakeRelay(runtime, "a", {}):
        (answer,) = ask(runtime, request=Request("nonsense"))
    assert answer.trouble == "refused: this relay cannot do that"


def test_a_refusal_before_the_request_is_read_is_passed_on(runtime: Path) -> None:
    line = encode(Reply(done=True, error=Failure("busy", "16 connections are open")))
    with mad_relay(runtime, "a", line):
        assert trouble(runtime) == "refused: 16 connections are open"


def test_lines_before_the_last_one_are_no_answer(runtime: Path) -> None:
    lines = encode(Reply(done=False)) + encode(Reply(done=True, result=msgspec.Raw(b"7")))
    with mad_relay(runtime, "a", lines):
        assert [answer.result for answer in ask(runtime)] == [b"7"]


def test_files_that_are_no_sockets_are_not_asked(runtime: Path) -> None:
    (runtime / "plain.sock").write_text("")
    (runtime / "folder.sock").mkdir()
    with FakeRelay(runtime, "real", {}):
        (runtime / "link.sock").symlink_to(runtime / "real.sock")
        (runtime / "other").symlink_to(runtime / "real.sock")
        assert find(str(runtime), UID) == [str(runtime / "real.sock")]


@pytest.mark.parametrize("mode", [0o750, 0o777])
def test_a_directory_open_to_others_is_not_trusted(runtime: Path, mode: int) -> None:
    runtime.chmod(mode)
    with pytest.raises(ConfigurationError, match="open to others"):
        find(str(runtime), UID)
    assert stat.S_IMODE(runtime.stat().st_mode) == mode


def test_a_linked_directory_is_not_trusted(runtime: Path) -> None:
    link = runtime / "link"
    link.symlink_to(runtime)
    with pytest.raises(ConfigurationError, match="is no directory"):
        find(str(link), UID)


def test_a_directory_of_somebody_else_is_not_trusted(runtime: Path) -> None:
    with pytest.raises(ConfigurationError, match="belongs to uid"):
        find(str(runtime), UID + 1)
