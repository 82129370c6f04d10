"""Random lives of a backend: whatever happens in whatever order, nothing raises, there is never a
second process, and every call that was sent ends exactly once, also under another worker.
"""

import json
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_supervisor.wire import v1
from relay_worker.backends.base import State
from relay_worker.backends.surroundings import Policy
from tests.unit.relay_worker.backends.stage import Process, Stage

POLICY = Policy(frame_bytes_max=5000, restart_attempts_max=2, list_timeout_seconds=5.0)
RESULT = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}, "logging": {}}}
ACTIONS = [
    "want",
    "call",
    "cancel",
    "spawned",
    "no descriptors",
    "refused",
    "exited",
    "answer",
    "answer with an error",
    "notice",
    "junk",
    "long line",
    "close stdout",
    "close stdin",
    "wait a second",
    "wait a minute",
    "another client",
    "subscribe",
    "pause",
    "go on",
    "level",
    "hand over",
    "hand over",
    "take back",
    "take back",
    # What makes for a long life comes more often than what ends it.
    *["spawned"] * 4,
    *["answer"] * 10,
    *["call"] * 8,
    *["cancel"] * 2,
]


class Walk:
    """A stage, and what the supervisor and the process know."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.process: Process | None = None
        self.alive: int | None = None
        self.spawns_answered = 0
        self.questions: list[dict[str, Any]] = []
        self.sent: list[int] = []
        self.cancelled: list[int] = []
        self.clients = 0
        self.frozen_times = 0
        self.status: int | None = None
        """Of a process that has died while it was another worker's."""

    def spawn_is_open(self) -> bool:
        return self.stage.count(v1.Spawn) > self.spawns_answered

    def do(self, action: str) -> None:
        getattr(self, action.replace(" ", "_"))()
        self.stage.turn(2)
        if self.process and self.process.stdin is not None:
            self.questions += [one for one in self.process.heard() if "id" in one]
        running = (self.alive is not None) + self.spawn_is_open()
        assert running <= 1, "never two processes of one backend"
        spawning = {State.SPAWNING, State.LEAVING}
        in_states = spawning if self.spawn_is_open() else set(State) - {State.SPAWNING}
        assert self.stage.backend.state in in_states

    def want(self) -> None:
        self.stage.backend.want()

    def call(self) -> None:
        if self.stage.backend.state is State.READY:
            number = 100 + len(self.sent)
            if self.stage.backend.call(number, "tools/call", b"{}") is None:
                self.sent.append(number)

    def cancel(self) -> None:
        if self.stage.backend.state is State.AWAITED:
            return  # it is not for this worker to tell
        ended = self.ends()
        for number in self.sent:
            if number not in ended:
                self.stage.backend.cancel(number, b'{"requestId":%d}' % number)
                self.cancelled.append(number)
                return

    def ends(self) -> list[int]:
        ends = list(self.cancelled)
        for told in self.stage.told:
            if told[0] in {"replied", "unusable"}:
                ends.append(told[1])
            elif told[0] in {"lost", "unread"}:
                ends += told[1]
        return ends

    def spawned(self) -> None:
        if self.spawn_is_open():
            self.spawns_answered += 1
            self.questions.clear()
            self.process = self.stage.start_process()
            self.alive = self.process.pid

    def no_descriptors(self) -> None:
        if self.spawn_is_open():
            self.spawns_answered += 1
            self.process, self.alive = None, 90_000 + self.spawns_answered
            message = v1.Spawned(self.stage.spawn.token, "fix", self.alive)
            self.stage.backend.spawned(message)

    def refused(self) -> None:
        if self.spawn_is_open():
            self.spawns_answered += 1
            self.stage.refuse()

    def exited(self) -> None:
        if self.alive is None or self.status is not None:
            return
        if self.process:
            self.process.close()
        if self.stage.backend.state is State.AWAITED:
            self.status = 1  # whoever has it next is told
            return
        pid, self.alive, self.process = self.alive, None, None
        self.stage.backend.exited(v1.Exited("fix", pid, 1))

    def hand_over(self) -> None:
        self.stage.backend.freeze()

    def take_back(self) -> None:
        frozen = [message for message in self.stage.sent if isinstance(message, v1.Frozen)]
        if len(frozen) == self.frozen_times:
            return
        self.frozen_times += 1
        assert len(frozen) == self.frozen_times and frozen[-1].pid in {0, self.alive}
        payload = self.stage.payloads[v1.Frozen]
        if frozen[-1].pid and self.process:
            calls = next(told[1] for told in reversed(self.stage.told) if told[0] == "frozen")
            self.stage.adopt(self.process, payload, *calls)
        else:
            self.stage.backend.adopt(v1.Adopt(0, "fix", 0), payload)
            self.alive = self.status = None
        if self.status is not None:
            self.status = None
            self.exited()

    def say(self, data: bytes) -> None:
        if self.process and self.process.stdout is not None and not self.stage.backend._paused:
            os.write(self.process.stdout, data)

    def answer(self, **members: Any) -> None:
        if self.questions:
            question = self.questions.pop(0)
            lists = question["method"] == "tools/list"
            result = {"tools": [len(self.questions)]} if lists else RESULT
            message = {"id": question["id"], **(members or {"result": result})}
            self.say(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def answer_with_an_error(self) -> None:
        self.answer(error={"code": -5, "message": "no"})

    def notice(self) -> None:
        self.say(b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n')

    def junk(self) -> None:
        self.say(b'junk {"jsonrpc":"2.0","id":100,"result":{}} \xff\n')

    def long_line(self) -> None:
        self.say(b'{"jsonrpc":"2.0","id":100,')
        self.stage.turn(1)
        self.say(b'"result":"' + b"x" * 6000 + b'"}\n')

    def close_stdout(self) -> None:
        if self.process:
            self.process.close("stdout")

    def close_stdin(self) -> None:
        if self.process:
            self.process.close("stdin")

    def wait_a_second(self) -> None:
        self.stage.wait(1)

    def wait_a_minute(self) -> None:
        self.stage.wait(61)

    def another_client(self) -> None:
        self.clients += 1
        self.stage.introduce(**({"roots": {}} if self.clients % 2 else {}))

    def subscribe(self) -> None:
        self.stage.backend.subscribe(frozenset({"a://b"} if self.clients % 2 else ()))

    def pause(self) -> None:
        self.stage.backend.pause(paused=True)

    def go_on(self) -> None:
        self.stage.backend.pause(paused=False)

    def level(self) -> None:
        self.stage.backend.set_level("info")


@settings(max_examples=300)
@given(
    actions=st.lists(st.sampled_from(ACTIONS), max_size=100),
    prologue=st.sampled_from([[], ["spawned", "answer", "answer", "call", "call"]]),
    lazy=st.booleans(),
    idle=st.sampled_from([0.0, 5.0]),
)
def test_a_random_life(actions: list[str], prologue: list[str], lazy: bool, idle: float) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        stage = Stage(
            monkeypatch, POLICY, lazy=lazy, idle_stop_seconds=idle, start_timeout_seconds=30.0
        )
        walk = Walk(stage)
        try:
            for action in prologue + actions:
                walk.do(action)
            walk.do("go on")
            walk.do("take back")
            walk.do("exited")
            walk.do("take back")
            ends = walk.ends()
            assert sorted(ends) == walk.sent, "every call that was sent ends exactly once"
        finally:
            stage.close()
