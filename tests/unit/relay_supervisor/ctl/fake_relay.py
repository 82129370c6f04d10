"""Relays for relayctl to find: the real control socket, with an answer of the test's choosing.

Each runs in a thread of its own. Others are hung, dead or mad: plain sockets without a relay.
"""

import copy
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from relay_supervisor.adapters.control_socket import ControlSocket
from relay_supervisor.adapters.loop import READ, Loop
from relay_supervisor.socket_files import STALE_SECONDS_MIN, socket_path
from relay_supervisor.wire.control_v1 import Failure, Reply, decode_request, encode

GOLDEN = Path(__file__).parent / "golden"
THREAD_SECONDS = 5.0


def golden_status(name: str = "busy", **changes: Any) -> dict[str, Any]:
    """A relay's status as recorded in the golden file, with some members changed."""
    status: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    return {**copy.deepcopy(status), **changes}


class FakeRelay:
    """Answers `status` with *status*, and refuses every other operation."""

    def __init__(self, directory: Path, instance: str, status: object) -> None:
        self.requests: list[bytes] = []
        self._answer = msgspec.Raw(json.dumps(status).encode())
        self._loop = Loop()
        self._running = True
        self._ours, self._theirs = socket.socketpair()
        self.socket = ControlSocket(
            self._loop,
            str(directory),
            instance,
            os.getuid(),
            on_request=self._on_request,
            log=lambda text: None,
        )
        self.socket.open()
        self._loop.watch(self._theirs.fileno(), READ, self._on_stop)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _on_request(self, number: int, line: bytes) -> None:
        self.requests.append(line)
        request = decode_request(line)
        if isinstance(request, Failure) or request.op != "status":
            reply = Reply(done=True, error=Failure("unknown_op", "this relay cannot do that"))
        else:
            reply = Reply(done=True, result=self._answer)
        self.socket.reply(number, encode(reply), done=True)

    def _on_stop(self, events: int) -> None:
        self._running = False

    def _run(self) -> None:
        while self._running:
            self._loop.turn(None)
        self.socket.close()

    def stop(self) -> None:
        self._ours.close()
        self._thread.join(THREAD_SECONDS)
        assert not self._thread.is_alive()
        self._theirs.close()

    def __enter__(self) -> "FakeRelay":
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


@contextmanager
def hung_relay(directory: Path, instance: str, backlog: int = 8) -> Iterator[None]:
    """A relay that is stopped: the system takes connections, and nobody ever answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(socket_path(str(directory), instance))
        listener.listen(backlog)
        yield


@contextmanager
def mad_relay(directory: Path, instance: str, answer: bytes) -> Iterator[None]:
    """Something that sends *answer* to whoever connects, and hangs up."""

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                peer.recv(1 << 16)
                peer.sendall(answer)

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(socket_path(str(directory), instance))
        listener.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept
            thread.join(THREAD_SECONDS)
            assert not thread.is_alive()


def dead_relay(directory: Path, instance: str) -> Path:
    """The socket file of a relay that was killed a while ago."""
    path = Path(socket_path(str(directory), instance))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
    born = path.lstat().st_mtime - STALE_SECONDS_MIN
    os.utime(path, (born, born))
    return path
