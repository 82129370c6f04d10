"""The server of the sessions behind HTTP, in the test's own process; streams without a session.

What a script says goes to the stream of the request that it belongs to. A stream whose client has
hung up is a cancelled request, as the modern era has it.
"""

import queue
import select
import socket
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.differential.lossless import dumps, members
from tests.differential.player import Player

LOOK_SECONDS = 0.05
"""So often a stream on which nothing happens is looked at."""


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Web"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """There is no stream of its own for what a server says by itself."""
        self._short(405)

    do_DELETE = do_GET

    def do_POST(self) -> None:
        """Take in a message; a request is answered by a stream."""
        text = self.rfile.read(int(self.headers["content-length"])).decode()
        message = members(text)
        raw_id = message.get("id")
        if raw_id is None or "method" not in message:
            self.server.hear(text)
            return self._short(202)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        return self._stream(dumps(raw_id), text)

    def _stream(self, raw_id: str, text: str) -> None:
        messages = self.server.open(raw_id, text)
        while not self.server.ended.is_set():
            try:
                message = messages.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                if not self._hung_up():
                    continue
                break
            self.wfile.write(f"event: message\ndata: {message}\n\n".encode())
            answer = members(message)
            if "method" not in answer and answer.get("id") == raw_id:
                break
        self.server.close_stream(raw_id)

    def _hung_up(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def _short(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()


class Web(ThreadingHTTPServer):
    """The server; `url` is where. A context manager. Every message goes to *received* first."""

    daemon_threads = True

    def __init__(self, era: str, house: Mapping[str, Any], received: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/mcp"
        self.ended = threading.Event()
        self._received = received
        self._lock = threading.Lock()
        self._streams: dict[str, queue.SimpleQueue[str]] = {}
        self._player = Player(era, house, self._say)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is gone is none of the server's concern."""

    def hear(self, text: str) -> None:
        """Take in a message, one at a time."""
        with self._lock, self._received.open("ab") as file:
            file.write(text.encode() + b"\n")
            file.flush()
            self._player.hear(text)

    def open(self, raw_id: str, text: str) -> "queue.SimpleQueue[str]":
        """Take in a request; return what gets all that belongs to it."""
        stream: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._streams[raw_id] = stream
        self.hear(text)
        return stream

    def close_stream(self, raw_id: str) -> None:
        """Nobody listens to it any more."""
        with self._lock:
            if self._streams.pop(raw_id, None) is not None:
                told = f'"method":"notifications/cancelled","params":{{"requestId":{raw_id}}}'
                self._player.hear(f'{{"jsonrpc":"2.0",{told}}}')

    def _say(self, about: str, message: str) -> None:
        if (stream := self._streams.get(about)) is not None:
            stream.put(message)
