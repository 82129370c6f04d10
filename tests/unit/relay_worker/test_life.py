"""What is killed when the supervisor is gone: by group, by mark, and nothing else."""

import os
import signal
import sys

import pytest

from relay_worker import life
from relay_worker.life import Life, kill_marked

pytestmark = pytest.mark.usefixtures("kills")


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    done: list[tuple[str, int, int]] = []
    monkeypatch.setattr(life.os, "kill", lambda pid, number: done.append(("kill", pid, number)))
    monkeypatch.setattr(life.os, "killpg", lambda pid, number: done.append(("killpg", pid, number)))
    return done


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> bytes:
    return b"MCP_RELAY_INSTANCE=unit-test-%d" % os.getpid()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_only_others_with_exactly_the_mark_are_killed(
    kills: list[tuple[str, int, int]], mark: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    environs = {
        "10": mark,
        "11": b"A=1\0" + mark + b"\0B=2",
        "12": mark + b"0",
        "13": b"X" + mark,
        "14": b"",
        str(os.getpid()): mark,
        "self": mark,
    }
    monkeypatch.setattr(life.os, "listdir", lambda _path: [*environs, "15"])

    class FakePath:
        def __init__(self, *parts: str) -> None:
            self.pid = parts[1]

        def read_bytes(self) -> bytes:
            if self.pid not in environs:
                raise ProcessLookupError
            return environs[self.pid]

    monkeypatch.setattr(life, "Path", FakePath)
    assert kill_marked(mark) == 2
    assert kills == [("kill", 10, signal.SIGKILL), ("kill", 11, signal.SIGKILL)]


def test_groups_are_killed_first_then_what_left_them(
    kills: list[tuple[str, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[bytes] = []

    def two_passes(mark: bytes) -> int:
        assert len(kills) == 2
        passes.append(mark)
        return 2 - len(passes)

    monkeypatch.setattr(life, "kill_marked", two_passes)
    monkeypatch.setattr(life.sys, "platform", "linux")
    ended: list[int] = []
    monkeypatch.setattr(life.os, "_exit", ended.append)
    read, write = os.pipe()
    one = Life(read)
    one.groups |= {500, 600}
    one.mark("i-1")
    one.start()
    os.write(write, b"still here")
    one.wait(0.0)
    assert ended == []
    os.close(write)
    one.wait(5.0)
    os.close(read)
    assert ended == [0]
    assert sorted(pid for _, pid, _ in kills) == [500, 600]
    assert passes == [b"MCP_RELAY_INSTANCE=i-1"] * 2


def test_it_does_not_look_for_ever(
    kills: list[tuple[str, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[bytes] = []

    def always_one_more(mark: bytes) -> int:
        looks.append(mark)
        return 1

    monkeypatch.setattr(life, "kill_marked", always_one_more)
    monkeypatch.setattr(life.sys, "platform", "linux")
    monkeypatch.setattr(life.time, "sleep", lambda _seconds: None)
    one = Life(-1)
    one.mark("i")
    one._kill_all()
    assert len(looks) == life.PASSES_MAX
