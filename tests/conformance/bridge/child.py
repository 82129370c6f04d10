"""One process of the server behind the bridge, and who gets which of its messages."""

import asyncio
import contextlib
import json
import os
from collections.abc import Sequence
from typing import Final, Self

from tests.conformance.bridge.keys import (
    CANCELLED,
    Json,
    for_client,
    for_pipe,
    is_answer,
    named_key,
)

FRAME_BYTES_MAX: Final = 1 << 26
END_SECONDS_MAX: Final = 10.0


class Exchange:
    """One request of a client, and the messages for it, the last of which is its answer."""

    def __init__(self, request: Json, key: int) -> None:
        self.request = request
        self.key = key
        self.inbox: asyncio.Queue[Json] = asyncio.Queue()

    @property
    def is_listen(self) -> bool:
        """True for a subscription, which takes only what names it."""
        return bool(self.request["method"] == "subscriptions/listen")


class Child:
    """A process; `aside` has what belongs to no request."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._open: dict[int, Exchange] = {}
        self._last_key = 0
        self.aside: asyncio.Queue[Json] = asyncio.Queue()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, argv: Sequence[str]) -> Self:
        """Start the server; its stderr is ours."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=pipe, stdout=pipe, limit=FRAME_BYTES_MAX
        )
        return cls(process)

    def open(self, request: Json) -> Exchange:
        """Send a request."""
        self._last_key += 1
        exchange = Exchange(request, self._last_key)
        self._open[exchange.key] = exchange
        self.send(for_pipe(request, exchange.key))
        return exchange

    def send(self, message: Json) -> None:
        """Send a message as it is."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")

    def cancel(self, message: Json) -> None:
        """Send a client's cancellation, by the key of the request it names."""
        params = message.get("params") or {}
        for exchange in self._open.values():
            if exchange.request["id"] == params.get("requestId"):
                self.send({**message, "params": {**params, "requestId": exchange.key}})
                return

    def leave(self, exchange: Exchange, *, cancel: bool) -> None:
        """Nobody waits for this exchange any more."""
        if self._open.pop(exchange.key, None) is not None and cancel:
            params = {"requestId": exchange.key}
            self.send({"jsonrpc": "2.0", "method": CANCELLED, "params": params})

    async def end(self) -> None:
        """End the process as a client does, by the end of its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), END_SECONDS_MAX)
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._reader.cancel()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            message = json.loads(line)
            if isinstance(message, dict):
                self._deliver(message)
        os.write(2, b"bridge: the server has closed its stdout\n")
        for exchange in list(self._open.values()):
            error = {"code": -32000, "message": "the server behind the bridge has ended"}
            self._deliver({"jsonrpc": "2.0", "id": exchange.key, "error": error})

    def _deliver(self, message: Json) -> None:
        key = named_key(message)
        exchange = self._open.get(key) if isinstance(key, int) else None
        if exchange is not None:
            exchange.inbox.put_nowait(for_client(message, exchange.key, exchange.request))
            if is_answer(message):
                del self._open[exchange.key]
            return
        if is_answer(message):
            return  # of a request that nobody waits for
        # On stdio nothing says which call a question or a log line is about: the newest, then.
        calls = [one for one in self._open.values() if not one.is_listen]
        standing = message["method"].endswith(("/list_changed", "/updated")) or not calls
        (self.aside if standing else calls[-1].inbox).put_nowait(message)
