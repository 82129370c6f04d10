"""The straight way of a call: a tool by its name, given to the worker that serves, and answered.

Nearly every call goes it, and nearly every event is one end of such a call. Whoever does not fit in
every point takes the long way (`client`, `calls`, `requests`): until that is certain nothing is
changed here. There is no rule here that is not there; both do the same, which tests look at.
"""

from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec
from msgspec import Raw

from relay_supervisor.core import envelope, mcp
from relay_supervisor.core.calls import NOTED, Calls
from relay_supervisor.core.effects import SendToClient, SendToWorker
from relay_supervisor.core.events import ClientLine, WorkerFrame
from relay_supervisor.core.mcp import NO_PARAMS, Kind
from relay_supervisor.core.recovery import Recovery
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.state import CALLING, Backend, BackendCall, ClientRequest
from relay_supervisor.wire.errors import UNDECODABLE
from relay_supervisor.wire.v1 import CALL_MAX, LEGACY, MODERN, OUTCOME_RESULT, Call, Reply

TOOLS_CALL: Final = "tools/call"
MODERN_VERSION: Final = Raw(b'"2026-07-28"')
SAFE_INT_MAX: Final = 2**53 - 1

REPLY_TAG: Final = bytes([Reply.__struct_config__.tag])  # type: ignore[list-item]
"""The second byte of a header is its message's tag."""

Way = Callable[[Any, float], SendToWorker | SendToClient | None]
"""One end of it; None: nothing has been done, the event has to go the long way."""


class _Line(msgspec.Struct, frozen=True, gc=False):
    jsonrpc: Literal["2.0"]
    id: Raw
    method: str
    params: Raw = NO_PARAMS


class _Meta(msgspec.Struct, frozen=True, gc=False):
    token: Raw = msgspec.field(default=NO_PARAMS, name="progressToken")
    version: Raw = msgspec.field(default=NO_PARAMS, name=envelope.VERSION)
    capabilities: dict[str, Raw] | None = msgspec.field(default=None, name=envelope.CAPABILITIES)
    log_level: None = msgspec.field(default=None, name=envelope.LOG_LEVEL)


class _Params(msgspec.Struct, frozen=True, gc=False):
    name: str
    meta: _Meta | None = msgspec.field(default=None, name="_meta")
    state: None = msgspec.field(default=None, name="requestState")


_read_line = msgspec.json.Decoder(_Line).decode
_read_params = msgspec.json.Decoder(_Params).decode
_read_scalar = msgspec.json.Decoder().decode
_read_reply = msgspec.msgpack.Decoder(Reply).decode


def _era(meta: _Meta) -> int:
    """Return the era of a request, -1 where that takes a closer look."""
    token = bytes(meta.token)
    if token and not token.isdigit():
        return -1
    if not meta.version:
        return LEGACY
    plain = meta.version == MODERN_VERSION and meta.capabilities is not None
    return MODERN if plain else -1


class Straight:
    """Both ends of the straight way, while it is open."""

    def __init__(self, shared: Shared, calls: Calls, recovery: Recovery) -> None:
        self._shared = shared
        self._state = shared.state
        self._counts = shared.state.counts
        self._requests = shared.state.requests
        self._calls = shared.state.calls
        self._measure = calls.measure
        self._recovery = recovery
        self._both: dict[type, Way] = {ClientLine: self._begin, WorkerFrame: self._end}
        self.ways: dict[type, Way] = {}
        """By the event they begin with; empty while more than calls is under way."""
        self._active = 0
        self._era = LEGACY
        self._owners: dict[str, str] = {}
        self._backends: dict[str, Backend] = {}
        self._limits = shared.state.limits

    def look(self) -> None:
        """See whether it is open, and keep what no call changes: after whatever else happened."""
        shared = self._shared
        active, era = shared.workers.state.active, self._state.peer.era
        if (
            active is None
            or era is None
            or self._recovery.recovering
            or "heartbeat" not in shared.timers.at
            or not shared.memory.calm
        ):
            self.ways = {}
            return
        self.ways = self._both
        self._active, self._era = active, era
        self._backends, self._limits = self._state.backends, self._state.limits
        self._owners = shared.registry.owners.get(Kind.TOOLS, {})

    def _begin(self, event: ClientLine, now: float) -> SendToWorker | None:
        """The client calls: give it to the worker."""
        line, state, requests = event.line, self._state, self._requests
        try:
            if not line.isascii():
                line.decode()  # msgspec does not look into what it leaves raw
            message = _read_line(line)
            if message.method != TOOLS_CALL:
                return None
            params = _read_params(message.params)
            key = _read_scalar(message.id)
        except UNDECODABLE:
            return None
        if type(key) is not int or not 0 <= key <= SAFE_INT_MAX:
            key = mcp.id_of(message.id)
        name, meta = params.name, params.meta
        era, token = (LEGACY, b"") if meta is None else (_era(meta), bytes(meta.token))
        owner = self._backends.get(backend := self._owners.get(name, ""))
        if key is None or key in requests or owner is None or era < self._era:
            return None
        body, limits = bytes(message.params), self._limits
        retained = state.retained_bytes + len(body)
        if retained > limits.retained_bytes_max or len(requests) >= limits.requests_in_flight_max:
            return None
        if owner.call_timeout_seconds is not None:
            return None

        number = state.last_call = state.last_call + 1
        assert number <= CALL_MAX
        state.retained_bytes = retained
        self._counts.total += 1
        owner.calls += 1
        raw_id, active = bytes(message.id), self._active
        # fmt: off
        requests[key] = ClientRequest(
            key, raw_id, TOOLS_CALL, era, CALLING, now, token, name, body, number, 0, 1
        )
        # fmt: on
        self._calls[number] = BackendCall(number, key, active, backend, now)
        return SendToWorker(active, Call(number, TOOLS_CALL, name, era), body)

    def _end(self, event: WorkerFrame, now: float) -> SendToClient | None:
        """The worker answers: tell the client."""
        if event.header[1:2] != REPLY_TAG:
            return None
        try:
            message = _read_reply(event.header)
        except UNDECODABLE:
            return None
        call = self._calls.get(message.call)
        if call is None or call.generation != event.generation or message.outcome != OUTCOME_RESULT:
            return None
        request = self._requests[call.request]
        if message.task or request.batch or request.ticket or request.method in NOTED:
            return None
        del self._requests[call.request], self._calls[message.call]
        self._state.retained_bytes -= len(request.params)
        self._measure(now - call.sent)
        return SendToClient(mcp.response(request.raw_id, event.payload))
