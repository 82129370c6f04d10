"""The client's side of the relay: what it says, what it is answered, what it is told.

Which era a request is of is decided by its own envelope, never by what came before.
"""

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Raw

from relay_supervisor.core import envelope, listening, logs, mcp
from relay_supervisor.core.asks import Asks
from relay_supervisor.core.calls import Calls
from relay_supervisor.core.envelope import EnvelopeError, Meta, Route
from relay_supervisor.core.events import ClientLine
from relay_supervisor.core.news import News
from relay_supervisor.core.notices import Notices
from relay_supervisor.core.parking import Parking
from relay_supervisor.core.registry import MODERN_CACHING
from relay_supervisor.core.requests import Requests
from relay_supervisor.core.shared import Shared
from relay_supervisor.core.state import CALLING, ClientRequest, Phase
from relay_supervisor.wire import extensions, v1
from relay_supervisor.wire.errors import UNDECODABLE

GREETING_SECONDS_MAX: Final = 2.0
"""How long initialize may wait for the instructions; Claude Code gives discover 2.9 s."""

BATCH_ITEMS_MAX: Final = 1000
LISTENS_MAX: Final = 64

EMPTY: Final = Raw(b"{}")

Members = dict[str, Raw]
"""The params of a request, one level deep."""

Meet = Callable[[int, str, bytes, float], None]
"""Called once the client's era, protocol version and `initialize` params are known."""


class Client:
    """Talks JSON-RPC with the client; everything a backend has to do goes to `Calls`."""

    def __init__(
        self,
        shared: Shared,
        requests: Requests,
        calls: Calls,
        asks: Asks,
        parking: Parking,
        meet: Meet,
    ) -> None:
        self._shared = shared
        self._state = shared.state
        self._registry = shared.registry
        self._timers = shared.timers
        self._out = shared.out
        self._open = requests
        self._calls = calls
        self._asks = asks
        self._parking = parking
        self.notices = Notices(shared)
        self.news = News(shared)
        self._meet = meet
        self._server_info = {"name": "mcp-relay", "version": shared.workers.identity.build}
        self._methods: dict[str, Callable[[ClientRequest, Members, float], None] | None] = {
            "initialize": self._initialize,
            "server/discover": self._discover,
            "ping": self._ping,
            "logging/setLevel": self._set_level,
            "subscriptions/listen": self._listen,
            **dict.fromkeys(mcp.LISTS, self._list),
            **dict.fromkeys(mcp.ROUTED_BY),  # a backend's
        }
        self._notifications: dict[str, Callable[[mcp.Notification], None]] = {
            "notifications/initialized": self._initialized,
            "notifications/cancelled": self._cancelled,
            "notifications/progress": self.notices.take,
            "notifications/roots/list_changed": self.notices.take,
            "notifications/tasks/status": self.notices.take,
        }

    # ---- incoming ---------------------------------------------------------------------------

    def line(self, event: ClientLine, now: float) -> None:
        """The client wrote a line; a blank one means nothing."""
        line = event.line
        message = mcp.parse(line)
        if type(message) is mcp.Request:  # as nearly all are
            self._request(message, 0, now)
        elif line and not line.isspace():
            self._message(message, 0, now)

    def line_too_long(self, limit: int) -> None:
        """The client wrote a line over the limit; its id is unknown."""
        text = f"the line is over the limit of {limit} bytes (frame_bytes_max) and was dropped"
        self._out.error(b"null", mcp.INVALID_REQUEST, text)

    def _message(self, message: mcp.Message, batch: int, now: float) -> None:
        match message:
            case mcp.Request():
                self._request(message, batch, now)
            case mcp.Notification():
                if (take := self._notifications.get(message.method)) is not None:
                    take(message)
            case mcp.Response():
                self._asks.answered(message)
            case mcp.Batch():
                self._batch(message, batch, now)
            case mcp.Invalid():
                self._open.reject(message.raw_id, message.code, message.message, batch)

    def _request(self, message: mcp.Request, batch: int, now: float) -> None:
        state, method = self._state, message.method
        if message.id in state.requests:
            # Answered under its own id it would be taken for the answer to the first one.
            text = f"id {message.raw_id.decode()} is already in use by an open request"
            return self._open.reject(b"null", mcp.INVALID_REQUEST, text, batch)
        try:
            route, meta = envelope.read(message.params)
        except EnvelopeError as error:
            return self._open.reject(message.raw_id, error.code, str(error), batch, error.data)
        handle = self._methods.get(method)  # None: a backend's, or nobody's
        # All at once, as to store a member later costs as much as to make the whole.
        request = ClientRequest(
            message.id,
            message.raw_id,
            method,
            v1.MODERN if meta.version else v1.LEGACY,
            CALLING,
            now,
            bytes(meta.token),
            (envelope.name_in(route, method) or "") if handle is None else "",
            bytes(message.params) if handle is None else b"",
            0,
            batch,
        )
        if meta.log_level:
            request.log_level = mcp.string(meta.log_level) or ""
        self._open.add(request)
        if method not in self._methods and not self._extends(method):
            text = f"Method not found: {method}"
            return self._open.answer(request, mcp.error(mcp.METHOD_NOT_FOUND, text))
        if meta.version:
            if method in mcp.LEGACY_ONLY:
                text = f"Method not found: {method} (removed in {mcp.MODERN_VERSIONS[0]})"
                return self._open.answer(request, mcp.error(mcp.METHOD_NOT_FOUND, text))
            self._meet_modern(method, meta, now)
        elif state.peer.era != v1.LEGACY and method not in _BEFORE_INITIALIZE:
            text = f"{method} before initialize: the session is not open yet"
            return self._open.answer(request, mcp.error(mcp.INVALID_REQUEST, text))
        if handle is not None:
            return handle(request, mcp.members_of(message.params), now)
        return self._route(request, route, now)

    def _extends(self, method: str) -> bool:
        """Tell whether a backend declares an extension that has this request."""
        return extensions.has(self._registry.capabilities(), method)

    def _batch(self, message: mcp.Batch, outer: int, now: float) -> None:
        if outer or not message.items:
            text = "a batch must be an array with messages in it"
            return self._open.reject(b"null", mcp.INVALID_REQUEST, text, outer)
        if self._state.peer.protocol != mcp.BATCH_VERSION:
            text = f"batches exist in protocol version {mcp.BATCH_VERSION} only"
            return self._out.error(b"null", mcp.INVALID_REQUEST, text)
        if len(message.items) > BATCH_ITEMS_MAX:
            text = f"a batch may hold {BATCH_ITEMS_MAX} messages"
            return self._out.error(b"null", mcp.INVALID_REQUEST, text)
        items = [mcp.parse(bytes(item)) for item in message.items]
        # All are counted before the first is handled: an answer at once must not end the batch.
        silent = sum(isinstance(item, mcp.Notification | mcp.Response) for item in items)
        number = self._open.open_batch(len(items) - silent)
        for item in items:
            self._message(item, number, now)
        return None

    # ---- requests the supervisor answers itself -----------------------------------------------

    def _initialize(self, request: ClientRequest, params: Members, now: float) -> None:
        if request.batch:
            text = "initialize must not be part of a batch"
            return self._open.answer(request, mcp.error(mcp.INVALID_REQUEST, text))
        wanted = mcp.string(params.get("protocolVersion"))
        if wanted is None and request.era == v1.MODERN:
            text = "there is no initialize in the modern era"
            return self._open.answer(request, mcp.error(mcp.METHOD_NOT_FOUND, text))
        if wanted is None:
            text = "initialize needs a protocolVersion"
            return self._open.answer(request, mcp.error(mcp.INVALID_PARAMS, text))
        protocol = wanted if wanted in mcp.LEGACY_VERSIONS else mcp.LEGACY_VERSIONS[-1]
        params = {**params, "protocolVersion": Raw(msgspec.json.encode(protocol))}
        self._meet(v1.LEGACY, protocol, msgspec.json.encode(params), now)
        return self._greet(request, now)

    def _discover(self, request: ClientRequest, params: Members, now: float) -> None:
        if request.era != v1.MODERN:
            text = f"server/discover needs {envelope.VERSION} in _meta"
            return self._open.answer(request, mcp.error(mcp.INVALID_PARAMS, text))
        return self._greet(request, now)

    def _meet_modern(self, method: str, meta: Meta, now: float) -> None:
        # A probe alone decides nothing: the client may yet fall back to initialize.
        if self._state.peer.era is None and method != "server/discover":
            protocol = mcp.string(meta.version) or ""
            self._meet(v1.MODERN, protocol, envelope.initialize_params(meta), now)

    def _greet(self, request: ClientRequest, now: float) -> None:
        request.phase = Phase.GREETING
        if self._registry.instructions is not None:
            self.greet(request)
        elif "greeting" not in self._timers.at:
            self._timers.set("greeting", now + GREETING_SECONDS_MAX)

    def greet_waiting(self) -> None:
        """Answer those who waited for the instructions."""
        self._timers.clear("greeting")
        for request in self._open.waiting(Phase.GREETING):
            self.greet(request)

    def greet(self, request: ClientRequest) -> None:
        """Answer initialize or server/discover."""
        body: dict[str, object] = {"capabilities": self._registry.capabilities()}
        if request.method == "initialize":
            self._state.peer.greeted = True
            body |= {
                "protocolVersion": self._state.peer.protocol,
                "serverInfo": self._server_info,
            }
        else:
            body |= {
                "resultType": "complete",
                "supportedVersions": mcp.MODERN_VERSIONS,
                "_meta": {mcp.META + "serverInfo": self._server_info},
                **MODERN_CACHING,
                "capabilities": mcp.without(self._registry.capabilities(), "tasks"),
            }
        if self._registry.instructions:
            body["instructions"] = self._registry.instructions
        self._open.answer(request, mcp.result(body))

    def _ping(self, request: ClientRequest, params: Members, now: float) -> None:
        self._open.answer(request, mcp.result({}))

    def _set_level(self, request: ClientRequest, params: Members, now: float) -> None:
        level = mcp.string(params.get("level"))
        if level not in logs.LEVELS:
            text = f"level must be one of {', '.join(logs.LEVELS)}"
            return self._open.answer(request, mcp.error(mcp.INVALID_PARAMS, text))
        self._state.peer.log_level = level
        self._shared.tell_workers(v1.SetLevel(level))
        return self._open.answer(request, mcp.result({}))

    def _list(self, request: ClientRequest, params: Members, now: float) -> None:
        if mcp.string(params.get("cursor")) is not None:
            text = "unknown cursor: every list has one page"
            return self._open.answer(request, mcp.error(mcp.INVALID_PARAMS, text))
        if not self._registry.servable:
            request.phase = Phase.LISTING
            return None
        page = self._registry.page(mcp.LISTS[request.method], request.era)
        return self._open.answer(request, page)

    def list_waiting(self) -> None:
        """Answer the list requests that waited for the first catalogue."""
        for request in self._open.waiting(Phase.LISTING):
            kind = mcp.LISTS[request.method]
            self._open.answer(request, self._registry.page(kind, request.era))

    def _listen(self, request: ClientRequest, params: Members, now: float) -> None:
        if request.era != v1.MODERN:
            text = "Method not found: subscriptions/listen needs protocol version 2026-07-28"
            return self._open.answer(request, mcp.error(mcp.METHOD_NOT_FOUND, text))
        if request.batch:
            text = "a subscription is answered at its end, so it must not be part of a batch"
            return self._open.answer(request, mcp.error(mcp.INVALID_REQUEST, text))
        if len(self._state.peer.listens) >= LISTENS_MAX:
            text = f"too many open subscriptions (at most {LISTENS_MAX})"
            return self._open.answer(request, mcp.error(mcp.RELAY_ERROR, text))
        try:
            wanted = listening.read(params.get("notifications", EMPTY))
        except UNDECODABLE as error:
            text = f"notifications is no subscription filter: {error}"
            return self._open.answer(request, mcp.error(mcp.INVALID_PARAMS, text))
        listen = listening.begin(request.raw_id, wanted)
        request.phase = Phase.LISTENING
        self._state.peer.listens[request.id] = listen
        self.news.stamped("notifications/subscriptions/acknowledged", listen, notifications=wanted)
        if listen.uris or listen.tasks:
            self.news.tell_subscriptions()
        return None

    def _route(self, request: ClientRequest, route: Route, now: float) -> None:
        if not request.name and envelope.name_in(route, request.method) is None:
            member = mcp.ROUTED_BY[request.method]
            text = f"{request.method} needs a string {member!r} in its params"
            return self._open.answer(request, mcp.error(mcp.INVALID_PARAMS, text))
        retries = route.state and request.era == v1.MODERN and request.method in mcp.INPUT_REQUIRED
        if not (retries and self._parking.retried(request, route.state, now)):
            self._calls.admit(request, now)
        return None

    # ---- notifications of the client ----------------------------------------------------------

    def _initialized(self, message: mcp.Notification) -> None:
        if not self._state.peer.ready:
            self._state.peer.ready = True
            self._asks.open()
            self.news.announce()

    def _cancelled(self, message: mcp.Notification) -> None:
        try:
            params = mcp.members_of(message.params)
        except UNDECODABLE:
            return
        raw_id = params.get("requestId")
        request = self._open.find(mcp.id_of(raw_id)) if raw_id is not None else None
        if request is None or request.method == "initialize":
            return
        self._calls.cancel(request, bytes(message.params))
        self._open.cancel(request)
        if self._state.peer.listens.pop(request.id, None) is not None:
            self.news.tell_subscriptions()


_BEFORE_INITIALIZE: Final = ("initialize", "ping", "server/discover")
