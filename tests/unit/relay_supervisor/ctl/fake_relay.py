"""Relays for relayctl to find: the real control socket, with an answer of the test's choosing.

Each runs in a thread of its own. Others are hung, dead or mad: plain sockets without a relay.
"""

import copy
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from relay_supervisor.adapters.control_socket import ControlSocket
from relay_supervisor.adapters.loop import READ, Loop
from relay_supervisor.socket_files import STALE_SECONDS_MIN, socket_path
from relay_supervisor.wire.control_v1 import Failure, Reply, Request, decode_request, encode

GOLDEN = Path(__file__).parent / "golden"
THREAD_SECONDS = 5.0


def golden_status(name: str = "busy", **changes: Any) -> dict[str, Any]:
    """A relay's status as recorded in the golden file, with some members changed."""
    status: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    return {**copy.deepcopy(status), **changes}


Script = Callable[[Request], Sequence[Reply]]


def line(result: object, *, done: bool = False) -> Reply:
    """One line of an answer."""
    return Reply(done=done, result=msgspec.Raw(json.dumps(result).encode()))


def refusal(code: str, message: str) -> Reply:
    """The answer to what cannot be done."""
    return Reply(done=True, error=Failure(code, message))


def version(generation: int, build: str = "0.1.0+aaaa", release: str = "") -> dict[str, Any]:
    """A version as relays tell it."""
    return {"generation": generation, "build": build, "release": release}


def swapped(outcome: str = "committed", **changes: Any) -> Reply:
    """The final answer to a swap from generation 1 to 2."""
    old, new = version(1), version(2, "0.2.0+bbbb")
    result = {
        "id": "a-1",
        "outcome": outcome,
        "reason": "",
        "from": old,
        "to": new,
        "seconds": 1.5,
        "serving": new if outcome in ("committed", "probation") else old,
        "tools": {"kept": 3, "added": [], "lost": []},
        "calls_at_cut_over": 0,
    }
    return line({**result, **changes}, done=True)


PHASES = [
    line({"phase": name, "seconds": number / 10, "text": ""})
    for number, name in enumerate(("spawning", "handshaking", "warming", "ready", "active"))
]


class FakeRelay:
    """Answers `status` with *status*, other operations as *scripts* say, and refuses the rest. A
    script without a last line leaves its connection open.
    """

    def __init__(
        self, directory: Path, instance: str, status: object, **scripts: Script | Sequence[Reply]
    ) -> None:
        self.requests: list[bytes] = []
        self.status = status
        self._scripts = scripts
        self._held = threading.Event()
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

    def _on_request(self, number: int, text: bytes) -> None:
        self.requests.append(text)
        request = decode_request(text)
        assert isinstance(request, Request)
        for reply in self._answer(request):
            self.socket.reply(number, encode(reply), done=reply.done)

    def _answer(self, request: Request) -> Sequence[Reply]:
        if request.op == "status":
            return [line(self.status, done=True)]
        script = self._scripts.get(request.op, [refusal("unknown_op", "this relay cannot do that")])
        replies = script(request) if callable(script) else script
        self._serve(replies)
        return replies

    def _serve(self, replies: Sequence[Reply]) -> None:
        """What a swap ends with serves from now on."""
        result = msgspec.json.decode(bytes(replies[-1].result)) if replies else None
        serving = result.get("serving") if isinstance(result, dict) else None
        if isinstance(serving, dict) and serving and isinstance(self.status, dict):
            worker = {**serving, "state": "active", "pid": 1}
            worker["release"] = serving["release"] or serving["build"]
            self.status = {**self.status, "workers": [worker]}

    def hold(self) -> None:
        """Stand still, called from a script, until `resume`."""
        assert self._held.wait(THREAD_SECONDS)

    def resume(self) -> None:
        """Go on."""
        self._held.set()

    def asked(self, op: str) -> list[Request]:
        """The requests for this operation so far."""
        requests = [decode_request(text) for text in self.requests]
        return [one for one in requests if isinstance(one, Request) and one.op == op]

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
