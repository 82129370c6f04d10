"""A stdio backend on a stage: real pipes and loop, but no process, no supervisor, and a clock of
our own. Tests play the supervisor and the backend's process.
"""

import json
import os
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from relay_supervisor.wire import v1
from relay_supervisor.wire.framing import prefix
from relay_supervisor.wire.ledger import LEDGER_BYTES, Ledger
from relay_worker import loop as loops
from relay_worker.backends.base import State
from relay_worker.backends.descriptors import DescriptorError, Descriptors, Ends
from relay_worker.backends.handover import MovableBackend
from relay_worker.backends.mailbox import bytes_for
from relay_worker.backends.surroundings import Plan, Policy, Surroundings
from relay_worker.life import Life
from relay_worker.log import Log
from tests.unit.relay_worker.backends import audience
from tests.unit.relay_worker.backends.audience import Audience

PIECE_BYTES = 10_000
FRAME_BYTES_MAX = 100_000
POLICY = msgspec.structs.replace(audience.POLICY, frame_bytes_max=FRAME_BYTES_MAX)


class FakeDescriptors(Descriptors):
    """Descriptors by token, without a socket."""

    def __init__(self) -> None:
        self.fds: dict[int, Ends] = {}

    def take(self, token: int) -> Ends:
        if token not in self.fds:
            raise DescriptorError("none came")
        return self.fds.pop(token)


class Process:
    """The process of a backend, played by the test."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.stdin, self.worker_stdin = os.pipe()
        self.worker_stdout, self.stdout = os.pipe()
        self.worker_stderr, self.stderr = os.pipe()
        os.set_blocking(self.stdin, False)
        self._rest = b""
        with tempfile.TemporaryFile() as memory:
            memory.truncate(bytes_for(FRAME_BYTES_MAX))
            worker_ends = (self.worker_stdin, self.worker_stdout, self.worker_stderr)
            # As the supervisor does: what it keeps outlives any worker.
            self.kept = [os.dup(fd) for fd in (*worker_ends, memory.fileno())]
        for fd in worker_ends:
            os.close(fd)

    def worker_ends(self) -> Ends:
        """What a worker gets that is to have this process."""
        return Ends(*map(os.dup, self.kept))

    def heard(self) -> list[dict[str, Any]]:
        """The messages that came since the last look."""
        try:
            while chunk := os.read(self.stdin, 1 << 20):
                self._rest += chunk
        except BlockingIOError:
            pass
        *lines, self._rest = self._rest.split(b"\n")
        return [json.loads(line) for line in lines]

    def say(self, **message: Any) -> None:
        os.write(self.stdout, json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def say_in_pieces(self, turn: Callable[[], None], **message: Any) -> None:
        """Say something longer than the pipe holds."""
        data = json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
        for start in range(0, len(data), PIECE_BYTES):
            os.write(self.stdout, data[start : start + PIECE_BYTES])
            turn()

    def close(self, *names: str) -> None:
        for name in names or ("stdin", "stdout", "stderr"):
            if (fd := getattr(self, name)) is not None:
                os.close(fd)
                setattr(self, name, None)

    def forget(self) -> None:
        """The supervisor lets go of it."""
        self.close()
        while self.kept:
            os.close(self.kept.pop())


class Stage(Audience):
    """One backend."""

    clock = 1000.0
    """The time, for all that are on stage together."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        policy: Policy = POLICY,
        *,
        client: bool = True,
        generation: int = 3,
        **plan: Any,
    ) -> None:
        Stage.clock = 1000.0
        monkeypatch.setattr(loops.time, "monotonic", lambda: Stage.clock)
        super().__init__()
        self.sent: list[v1.Message] = []
        self.payloads: dict[type[v1.Message], bytes] = {}
        """The last one of each kind of message."""
        self.descriptors = FakeDescriptors()
        self.processes: list[Process] = []
        self.ledger = Ledger(memoryview(bytearray(LEDGER_BYTES)))
        life_read, self.life_fd = os.pipe()
        self._life_read = life_read
        around = Surroundings(
            loop=self.loop,
            send=self.send,
            when_written=lambda act, number: act(number),
            descriptors=self.descriptors,
            life=Life(life_read),
            log=Log(fd=os.open(os.devnull, os.O_WRONLY)),
            keep_stderr=lambda name, text: self.told.append(("stderr", text)),
            next_token=iter(range(1, 1000)).__next__,
            generation=generation,
            policy=policy,
            ledger=self.ledger,
        )
        self.around = around
        settings = {"argv": ("sh", "-c", "x"), "env": {"PATH": os.environ["PATH"]}, "cwd": "/"}
        self.backend = MovableBackend(Plan(name="fix", **{**settings, **plan}), around, self, self)
        if client:
            self.introduce()

    def send(self, message: v1.Message, payload: bytes = b"") -> None:
        """Take a message of the backend's, within the limits of the pipe."""
        prefix(v1.encode(message), len(payload))
        self.sent.append(message)
        self.payloads[type(message)] = payload

    # ---- the supervisor's part --------------------------------------------------------------

    @property
    def spawn(self) -> v1.Spawn:
        """The last request for a process."""
        return [message for message in self.sent if isinstance(message, v1.Spawn)][-1]

    def count(self, kind: type[v1.Message]) -> int:
        return sum(isinstance(message, kind) for message in self.sent)

    def freeze(self) -> v1.Frozen:
        """Have the backend given back; return the last word of it."""
        self.backend.freeze()
        self.turn()
        return [message for message in self.sent if isinstance(message, v1.Frozen)][-1]

    def adopt(self, process: Process, payload: bytes, *calls: int, crashed: bool = False) -> None:
        """Give the backend a process that another worker had, with calls under way."""
        self.turn()  # so that it knows the time
        token = self.around.next_token()
        self.descriptors.fds[token] = process.worker_ends()
        under_way = [v1.Call(call, "tools/call", "fix__echo", v1.LEGACY) for call in calls]
        self.backend.adopt(v1.Adopt(token, "fix", process.pid, under_way, crashed), payload)
        self.turn()

    def start_process(self) -> Process:
        process = Process(5000 + len(self.processes))
        self.processes.append(process)
        self.descriptors.fds[self.spawn.token] = process.worker_ends()
        self.backend.spawned(v1.Spawned(self.spawn.token, "fix", process.pid))
        self.turn()
        return process

    def refuse(self, reason: str = "no") -> None:
        self.backend.refused(v1.SpawnRefused(self.spawn.token, "fix", reason))
        self.turn()

    def exit(self, status: int = 0) -> None:
        process = self.processes[-1]
        process.close()
        self.backend.exited(v1.Exited("fix", process.pid, status))
        self.turn()

    def connect(self, tools: tuple[Any, ...] = (), **capabilities: Any) -> Process:
        """Bring the backend to READY."""
        process = self.start_process()
        (request,) = process.heard()
        declared = {"tools": {}, **capabilities}
        result = {"protocolVersion": "2025-11-25", "capabilities": declared, "serverInfo": {}}
        process.say(id=request["id"], result=result)
        self.turn()
        for one in process.heard():
            if one["method"] == "tools/list":
                process.say(id=one["id"], result={"tools": list(tools)})
            elif one["method"].endswith("/list"):
                member = {"resources/templates/list": "resourceTemplates"}.get(
                    one["method"], one["method"].split("/")[0]
                )
                process.say(id=one["id"], result={member: []})
        self.turn()
        assert self.backend.state is State.READY
        return process

    def wait(self, seconds: float) -> None:
        """Let so much time go by."""
        Stage.clock += seconds
        self.turn()

    def close(self) -> None:
        if self.backend._connection:
            self.backend._connection.close()
        for process in self.processes:
            process.forget()
        super().close()
        for fd in (self._life_read, self.life_fd, self.around.log._fd):
            os.close(fd)
        assert threading.active_count() == 1
