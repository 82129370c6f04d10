"""How frames look towards a server of either era. No I/O.

A session speaks the legacy era; for a modern server what it says is put into other words, and what
comes back into those it expects: discover for initialize, one open request for subscriptions, an
envelope in each request, and headers that mirror it (2026-07-28).
"""

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from relay_worker.backends import frames
from relay_worker.backends.client import MODERN_PROTOCOL, PROTOCOLS, Client
from relay_worker.backends.remote.messages import Tag
from relay_worker.backends.remote.mirror import Mirror
from relay_worker.lists import RawLists
from relay_worker.repair import Envelope

INITIALIZED: Final = "notifications/initialized"
SUBSCRIBING: Final = frozenset({"resources/subscribe", "resources/unsubscribe"})
SERVER_INFO: Final = "io.modelcontextprotocol/serverInfo"


class Spoken(msgspec.Struct, frozen=True):
    """A frame to send; see `messages.Post`. `headers` are those of this frame alone."""

    body: bytes
    tag: Tag = None
    headers: Mapping[str, str] = {}
    first: bool = False
    urgent: bool = False


class Speech(Protocol):
    """The words of an era."""

    modern: bool

    def say(self, frame: bytes) -> Spoken | Envelope | None:
        """Return what to send for a frame of the session's that is no call; or the answer it has
        without that; or None where nobody is to hear it.
        """

    def call(self, call: int, method: str, params: bytes) -> Spoken | None:
        """Return the frame of a call, or None where there is nothing to do but to listen anew."""

    def heard(self, tag: Tag, envelope: Envelope) -> Envelope:
        """Return a message in the words of the session."""

    def listen(self) -> Spoken | None:
        """Return the request whose answer is what the server says by itself; None where there is
        a stream of its own for that.
        """

    def learned(self, lists: RawLists) -> RawLists:
        """Take note of what the session has learned; return it as it is to be kept."""


class LegacySpeech:
    """Everything as it is."""

    modern = False

    def say(self, frame: bytes) -> Spoken | Envelope | None:
        """Return the frame."""
        envelope = frames.decode_object(frame) or {}
        method = frames.text_of(envelope.get("method"))
        tag = frames.text_of(envelope.get("id")) if method else None
        first = method == INITIALIZED
        # Answers and cancellations: what holds the connections may be waiting for just these.
        return Spoken(frame, tag, first=first, urgent=tag is None and not first)

    def call(self, call: int, method: str, params: bytes) -> Spoken | None:
        """Return the frame of a call."""
        return Spoken(frames.call_frame(call, method, params), call)

    def heard(self, tag: Tag, envelope: Envelope) -> Envelope:
        """Return the message."""
        return envelope

    def listen(self) -> Spoken | None:
        """There is a stream for that."""
        return None

    def learned(self, lists: RawLists) -> RawLists:
        """Return the lists."""
        return lists


class ModernSpeech:
    """The words of 2026-07-28."""

    modern = True

    def __init__(self, client: Client) -> None:
        self._envelope = frames.decode_object(client.envelope) or {}
        self._mirror = Mirror()
        self._discovering: str | None = None
        self._capabilities: Envelope = {}
        self._uris: list[str] = []
        self._listens = 0

    def say(self, frame: bytes) -> Spoken | Envelope | None:
        """Return what a modern server is told instead."""
        envelope = frames.decode_object(frame) or {}
        method = frames.text_of(envelope.get("method")) or ""
        raw_id = envelope.get("id")
        tag = frames.text_of(raw_id)
        if tag is None or raw_id is None:
            return None  # notifications are closed connections there, and it asks nothing
        params = bytes(envelope.get("params", b"{}"))
        if method == "initialize":
            self._discovering = tag
            return self._request(tag, "server/discover", b"{}")
        if method in SUBSCRIBING:
            self._subscribe(method, params)
            return {"id": raw_id, "result": _EMPTY}
        if method == "logging/setLevel":
            level = (frames.decode_object(params) or {}).get("level")
            if level is not None:
                self._envelope["io.modelcontextprotocol/logLevel"] = level
            return {"id": raw_id, "result": _EMPTY}
        return self._request(tag, method, params)

    def call(self, call: int, method: str, params: bytes) -> Spoken | None:
        """Return the frame of a call, with what it says of the client, if it does not."""
        if method in SUBSCRIBING:
            self._subscribe(method, params)
            return None
        params = self._enveloped(params)
        headers = self._mirror.headers(method, params)
        return Spoken(frames.call_frame(call, method, params), call, headers)

    def heard(self, tag: Tag, envelope: Envelope) -> Envelope:
        """Return discover's answer as that to initialize, everything else as it is."""
        if tag is None or tag != self._discovering:
            return envelope
        self._discovering = None
        result = frames.decode_object(envelope.get("result"))
        if result is None:
            return envelope
        versions = bytes(result.get("supportedVersions", b"[]"))
        if MODERN_PROTOCOL.encode() not in versions:
            text = f"it speaks MCP {versions.decode(errors='replace')}, the relay {MODERN_PROTOCOL}"
            error = {"code": frames.INVALID_REQUEST, "message": text}
            return {"id": envelope["id"], "error": msgspec.Raw(frames.encode(error))}
        meta = frames.decode_object(result.get("_meta")) or {}
        result["protocolVersion"] = msgspec.Raw(frames.encode(PROTOCOLS[-1]))
        result.setdefault("serverInfo", meta.get(SERVER_INFO, _EMPTY))
        return {"id": envelope["id"], "result": msgspec.Raw(frames.encode(result))}

    def listen(self) -> Spoken | None:
        """Return the request to hear of everything there is to hear of."""
        self._listens += 1
        wanted: dict[str, object] = {
            f"{kind}ListChanged": True
            for kind in ("tools", "prompts", "resources")
            if kind in self._capabilities
        }
        if self._uris:
            wanted["resourceSubscriptions"] = self._uris
        params = frames.encode({"notifications": wanted})
        return self._request(f"relay-listen-{self._listens}", "subscriptions/listen", params)

    def learned(self, lists: RawLists) -> RawLists:
        """Take note of the tools, whose arguments may have to be in headers."""
        self._capabilities = frames.decode_object(lists.capabilities) or {}
        self._mirror.learn(lists.tools)
        return msgspec.structs.replace(lists, protocol=MODERN_PROTOCOL)

    def _request(self, tag: str, method: str, params: bytes) -> Spoken:
        params = self._enveloped(params)
        return Spoken(
            frames.request(tag, method, params), tag, self._mirror.headers(method, params)
        )

    def _subscribe(self, method: str, params: bytes) -> None:
        uri = frames.text_of((frames.decode_object(params) or {}).get("uri")) or ""
        self._uris = [one for one in self._uris if one != uri]
        if method == "resources/subscribe":
            self._uris.append(uri)

    def _enveloped(self, params: bytes) -> bytes:
        members = frames.decode_object(params) or {}
        meta = {**self._envelope, **(frames.decode_object(members.get("_meta")) or {})}
        return frames.encode({**members, "_meta": meta})


_EMPTY: Final = msgspec.Raw(b"{}")
