"""A stand-in for the supervisor: runs a real worker process and real backends, and keeps a record.

It answers `Spawn` and `StopBackend` as the supervisor does, and nothing else by itself.
"""

import array
import json
import mmap
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from relay_supervisor.wire import handshake, v1
from relay_supervisor.wire.framing import FrameReader, prefix
from relay_supervisor.wire.handshake import Hello, Welcome
from relay_supervisor.wire.ledger import LEDGER_BYTES, Ledger, Stage

M = TypeVar("M")

WAIT_SECONDS = 20.0
"""Bound of every wait; reached only when a test fails."""

ROOT = Path(__file__).parents[2]


class FakeSupervisor:
    """One worker and its backends; a context manager that leaves nothing behind."""

    def __init__(
        self,
        state_dir: Path,
        *,
        versions: tuple[int, ...] = handshake.VERSIONS,
        generation: int = 3,
        hello: bytes = b"",
    ) -> None:
        """*hello* is a first frame to be sent instead of today's."""
        self.state_dir = state_dir
        self.inbox: list[tuple[Any, bytes]] = []
        self.children: dict[int, subprocess.Popen[bytes]] = {}
        self.mailboxes: dict[int, int] = {}
        self.spawned: list[tuple[str, int]] = []
        self.refuse: str | None = None
        self.held: list[Any] = []
        self._reader = FrameReader()
        self._exits: queue.SimpleQueue[tuple[str, int, int]] = queue.SimpleQueue()
        self._reapers: list[threading.Thread] = []
        self._wake_read, self._wake_write = os.pipe()
        to_worker, self.out = os.pipe()
        self._in, from_worker = os.pipe()
        life_read, self.life = os.pipe()
        self._socket, theirs = socket.socketpair()
        worker_ends = (to_worker, from_worker, theirs.fileno(), life_read)
        self.ledger_fd = _memory(LEDGER_BYTES)
        self.stderr_path = state_dir / f"worker-stderr-{generation}"
        argv = [sys.executable, "-m", "relay_worker", "--fds", ",".join(map(str, worker_ends))]
        argv += ["--newer", "option", "--ledger", str(self.ledger_fd)]
        with self.stderr_path.open("wb") as stderr:
            self.worker = subprocess.Popen(
                argv,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                pass_fds=(*worker_ends, self.ledger_fd),
                start_new_session=True,
            )
        for fd in (to_worker, from_worker, life_read):
            os.close(fd)
        theirs.close()
        ours = msgspec.msgpack.encode(Hello(versions, "test", generation, "nonce"))
        self.send_raw(hello or ours, b"")

    def __enter__(self) -> "FakeSupervisor":
        return self

    def __exit__(self, *_: object) -> None:
        self.worker.kill()
        self.worker.wait()
        for child in self.children.values():
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except OSError:
                pass
            child.wait()
            for pipe in (child.stdin, child.stdout, child.stderr):
                assert pipe is not None
                pipe.close()
        for reaper in self._reapers:
            reaper.join()
        wake = (self._wake_read, self._wake_write)
        for fd in (self.out, self._in, self.life, self.ledger_fd, *wake, *self.mailboxes.values()):
            try:
                os.close(fd)
            except OSError:
                pass
        self._socket.close()

    # ---- speaking -----------------------------------------------------------------------------

    def send(self, message: Any, payload: bytes = b"") -> None:
        self.send_raw(v1.encode(message), payload)

    def send_raw(self, header: bytes, payload: bytes) -> None:
        data = memoryview(prefix(header, len(payload)) + header + payload)
        while data:
            data = data[os.write(self.out, data) :]

    def configure(self, config: dict[str, Any], *, project: str = "") -> v1.Configured:
        """Handshake and configuration; returns what the worker made of it."""
        self.welcome()
        self.send_configure(json.dumps(config).encode(), project=project)
        return self.expect(v1.Configured)[0]

    def send_configure(self, snapshot: bytes | None, *, project: str = "", **more: Any) -> None:
        message = {
            "config_path": "relay.yaml",
            "project": project or str(self.state_dir),
            "state_dir": str(self.state_dir),
            "instance": "test-instance",
            "log_level": "debug",
            "log_format": "text",
            "has_snapshot": snapshot is not None,
        }
        self.send(v1.Configure(**{**message, **more}), snapshot or b"")

    def welcome(self) -> Welcome:
        header = self._frame(time.monotonic() + WAIT_SECONDS)[0]
        return msgspec.msgpack.decode(header, type=Welcome)

    def session(self, *, era: int = v1.LEGACY, cache_path: str = "", **capabilities: Any) -> None:
        params = {
            "protocolVersion": "2025-11-25",
            "capabilities": capabilities,
            "clientInfo": {"name": "test", "version": "1"},
        }
        protocol = "2025-11-25" if era == v1.LEGACY else "2026-07-28"
        self.send(v1.Session(era, protocol, cache_path), json.dumps(params).encode())

    def call(
        self, number: int, method: str, params: dict[str, Any], *, era: int = v1.LEGACY
    ) -> None:
        name = str(params.get("name") or params.get("uri") or "")
        self.send(v1.Call(number, method, name, era), json.dumps(params).encode())

    def tool(self, number: int, name: str, /, **arguments: Any) -> None:
        self.call(number, "tools/call", {"name": name, "arguments": arguments})

    def ready(self, config: dict[str, Any], *, cache_path: str = "", **capabilities: Any) -> None:
        """Configure, open the session, wait until the catalogue is settled."""
        self.configure(config)
        self.session(cache_path=cache_path, **capabilities)
        self.expect(v1.Catalogue, lambda m: m.settled)

    # ---- listening ----------------------------------------------------------------------------

    def expect(
        self,
        kind: type[M],
        where: Callable[[M], bool] = lambda _m: True,
        *,
        seconds: float = WAIT_SECONDS,
    ) -> tuple[M, bytes]:
        """Return, and take from the inbox, the first such message; waits for it."""
        deadline = time.monotonic() + seconds
        looked = 0
        while True:
            for index in range(looked, len(self.inbox)):
                message, payload = self.inbox[index]
                if isinstance(message, kind) and where(message):
                    del self.inbox[index]
                    return message, payload
            looked = len(self.inbox)
            self.pump(deadline)

    def reply(self, number: int, *, seconds: float = WAIT_SECONDS) -> dict[str, Any]:
        """Return the response to a call, as the client would get it."""
        payload = self.expect(v1.Reply, lambda m: m.call == number, seconds=seconds)[1]
        response: dict[str, Any] = json.loads(b'{"id":%d,%b' % (number, payload))
        return response

    def text(self, number: int) -> str:
        """Return the text of a tool's result."""
        result = self.reply(number)["result"]
        return str(result["content"][0]["text"])

    def structured(self, number: int) -> dict[str, Any]:
        """Return the structured content of a tool's result."""
        content: dict[str, Any] = self.reply(number)["result"]["structuredContent"]
        return content

    def stages(self) -> dict[int, Stage]:
        """What the ledger says of each call."""
        with mmap.mmap(self.ledger_fd, LEDGER_BYTES) as memory, memoryview(memory) as view:
            ledger = Ledger(view)
            found = ledger.read()
            assert ledger.complete
            ledger.close()
        return found

    def last_replies(self) -> list[int]:
        """The calls whose replies a worker that has ended left in its pipe."""
        try:
            while True:
                self.pump(time.monotonic() + WAIT_SECONDS)
        except EOFError:
            return [message.call for message, _ in self.inbox if isinstance(message, v1.Reply)]

    def retire(self) -> int:
        """Tell the worker to end; returns its exit status."""
        self.send(v1.Retire())
        return self.worker.wait(WAIT_SECONDS)

    def until(self, condition: Callable[[], bool]) -> None:
        """Let the worker work, reading nothing of it, until *condition* holds."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, self.log()
            select.select([self._wake_read], [], [], 0.01)

    def vanish(self) -> None:
        """Close everything at once, as the death of a supervisor does."""
        for fd in (self.out, self._in, self.life):
            os.close(fd)
        self._socket.close()

    def pump(self, deadline: float) -> None:
        """Take in the next frame, and do what the supervisor would do about it."""
        header, payload = self._frame(deadline)
        message = v1.decode_to_supervisor(header)
        self.inbox.append((message, payload))
        if isinstance(message, v1.Spawn):
            self.spawn(message)
        elif isinstance(message, v1.StopBackend):
            child = self.children.get(message.pid)
            if child:
                child.send_signal(signal.SIGTERM)

    def spawn(self, message: v1.Spawn) -> None:
        if self.refuse is not None:
            self.send(v1.SpawnRefused(message.token, message.backend, self.refuse))
            return
        pid = self.start(message)
        self.send(v1.Spawned(message.token, message.backend, pid))

    def start(self, message: v1.Spawn) -> int:
        """Start a backend and pass its pipe ends on; returns its pid."""
        child = subprocess.Popen(
            message.argv,
            env=message.env,
            cwd=message.cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        # As the supervisor does, keep the ends: a worker that goes takes no backend with it.
        self.children[child.pid] = child
        if message.mailbox_bytes:  # an older worker asks for none
            self.mailboxes[child.pid] = _memory(message.mailbox_bytes)
        self.pass_ends(message.token, child.pid)
        self.spawned.append((message.backend, child.pid))
        reaper = threading.Thread(target=self._reap, args=(message.backend, child), daemon=True)
        reaper.start()
        self._reapers.append(reaper)
        return child.pid

    def exited(self, backend: str, pid: int, status: int) -> None:
        """A backend has ended: tell the worker."""
        self.send(v1.Exited(backend, pid, status))

    def pass_ends(self, token: int, pid: int) -> None:
        """Send the ends of a process to the worker."""
        child = self.children[pid]
        assert child.stdin and child.stdout and child.stderr
        ends = [pipe.fileno() for pipe in (child.stdin, child.stdout, child.stderr)]
        mailbox = [self.mailboxes[pid]] if pid in self.mailboxes else []
        rights = array.array("i", [*ends, *mailbox])
        data = [token.to_bytes(8, "big")]
        self._socket.sendmsg(data, [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])

    def _reap(self, backend: str, child: subprocess.Popen[bytes]) -> None:
        status = child.wait()
        self._exits.put((backend, child.pid, status))
        os.write(self._wake_write, b"\0")

    def _frame(self, deadline: float) -> tuple[bytes, bytes]:
        while not self.held:
            left = deadline - time.monotonic()
            ready = select.select([self._in, self._wake_read], [], [], max(left, 0))[0]
            if not ready:
                raise TimeoutError(f"nothing came; so far {self.inbox}\n{self.log()}")
            if self._wake_read in ready:
                os.read(self._wake_read, 1)
                self.exited(*self._exits.get())
            if self._in in ready:
                data = os.read(self._in, 1 << 20)
                if not data:
                    raise EOFError(f"the worker ended: {self.worker.wait()}\n{self.log()}")
                self.held += self._reader.feed(data)
        frame: tuple[bytes, bytes] = self.held.pop(0)
        return frame

    def log(self) -> str:
        return self.stderr_path.read_text(errors="replace")


def _memory(size: int) -> int:
    """A descriptor of so much zeroed memory."""
    with tempfile.TemporaryFile() as file:
        file.truncate(size)
        return os.dup(file.fileno())
