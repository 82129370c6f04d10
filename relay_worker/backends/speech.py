"""How frames look towards a server of either era. No I/O.

A session speaks the legacy era; for a modern server what it says is put into other words, and what
comes back into those it expects: discover for initialize, one open request for subscriptions, an
envelope in each request, and headers that mirror it (2026-07-28).
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
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
PROBE_SECONDS: Final = 3.0
"""So long a server may be silent about discover; then it is asked in the words of the other era."""

SERVER_INFO: Final = "io.modelcontextprotocol/serverInfo"
ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"
SUBSCRIPTION: Final = "io.modelcontextprotocol/subscriptionId"


class Spoken(msgspec.Struct, frozen=True):
    """A frame to send; see `messages.Post`. `headers` are those of this frame alone."""

    body: bytes
    tag: Tag = None
    headers: Mapping[str, str] = {}
    first: bool = False
    urgent: bool = False


class Speech(Protocol):
    """The words of an era. `welcome`: the server has refused to begin, and has named the modern
    era as its own all the same.
    """

    modern: bool
    welcome: bool

    def say(self, frame: bytes) -> Spoken | Envelope | None:
        """Return what to send for a frame of the session's that is no call; or the answer it has
        without that; or None where nobody is to hear it.
        """

    def call(self, call: int, method: str, params: bytes) -> Spoken | None:
        """Return the frame of a call, or None where there is nothing to do but to listen anew."""

    def again(self, call: int, number: int, method: str, params: bytes) -> Spoken:
        """Return the frame by which a call is made for the *number*th time."""

    def heard(self, tag: Tag, envelope: Envelope) -> Envelope:
        """Return a message in the words of the session."""

    def listen(self) -> Spoken | None:
        """Return the request whose answer is what the server says by itself; None where there is
        a stream of its own for that.
        """

    def learned(self, lists: RawLists) -> RawLists:
        """Take note of what the session has learned; return it as it is to be kept."""

    def watch(self, tasks: frozenset[str]) -> bool:
        """Want to hear of exactly these tasks; returns whether to listen anew for that."""


def order(client: Client, known: str) -> list[bool]:
    """Return whether to speak modern, as to be tried one after the other, to a server that was
    found to speak the protocol *known* before, if it was; else in the client's era first.
    """
    if known == MODERN_PROTOCOL or (client.modern and known not in PROTOCOLS):
        return [True, False]
    return [False, True]


class LegacySpeech:
    """Everything as it is."""

    modern = False
    welcome = False

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

    def again(self, call: int, number: int, method: str, params: bytes) -> Spoken:
        """Return the frame by which a call is made for the *number*th time."""
        return Spoken(frames.call_frame(call, method, params, number), call)

    def heard(self, tag: Tag, envelope: Envelope) -> Envelope:
        """Return the message."""
        return envelope

    def listen(self) -> Spoken | None:
        """There is a stream for that."""
        return None

    def learned(self, lists: RawLists) -> RawLists:
        """Return the lists."""
        return lists

    def watch(self, tasks: frozenset[str]) -> bool:
        """Nobody tells of them unasked."""
        return False


class ModernSpeech:
    """The words of 2026-07-28. `uris` are the resources to be heard of."""

    modern = True

    def __init__(
        self,
        client: Client,
        mirror: Mirror | None = None,
        *,
        numbers: Iterator[int] | None = None,
        tag: int = 0,
    ) -> None:
        """*mirror* makes the headers of each frame, where it is to have any; *numbers* and *tag*
        make the ids of the requests to hear the server.
        """
        self._envelope = frames.decode_object(client.envelope) or {}
        self._mirror = mirror
        self._discovering: str | None = None
        self._capabilities: Envelope = {}
        self.uris: list[str] = []
        self._tasks: frozenset[str] = frozenset()
        self.welcome = False
        self._numbers = numbers or itertools.count(1)
        self._listens = f"relay-{tag}-listen-"

    def resume(self, uris: Iterable[str], level: str | None, discovering: str | None) -> None:
        """Go on where another worker has stopped."""
        self.uris = list(uris)
        self._discovering = discovering
        if level is not None:
            self._set_level(msgspec.Raw(frames.encode(level)))

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
            self.subscribe(method, params)
            return {"id": raw_id, "result": _EMPTY}
        if method == "logging/setLevel":
            level = (frames.decode_object(params) or {}).get("level")
            if level is not None:
                self._set_level(level)
            return {"id": raw_id, "result": _EMPTY}
        return self._request(tag, method, params)

    def call(self, call: int, method: str, params: bytes) -> Spoken | None:
        """Return the frame of a call, with what it says of the client, if it does not."""
        if method in SUBSCRIBING:
            self.subscribe(method, params)
            return None
        params = self.enveloped(params)
        return Spoken(frames.call_frame(call, method, params), call, self._headers(method, params))

    def again(self, call: int, number: int, method: str, params: bytes) -> Spoken:
        """Return the frame by which a call is made for the *number*th time."""
        body = frames.call_frame(call, method, params, number)
        return Spoken(body, call, self._headers(method, params))

    def heard(self, tag: Tag, envelope: Envelope) -> Envelope:
        """Return discover's answer as that to initialize, a notification without the stamp that
        says by which request it is heard, everything else as it is.
        """
        if "method" in envelope:
            return _unstamped(envelope)
        if tag is None or tag != self._discovering:
            return envelope
        self._discovering = None
        result = frames.decode_object(envelope.get("result"))
        if result is None:
            refusal = frames.decode_object(envelope.get("error")) or {}
            data = frames.decode_object(refusal.get("data")) or {}
            self.welcome = MODERN_PROTOCOL.encode() in bytes(data.get("supported", b""))
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

    def listen(self) -> Spoken:
        """Return the request to hear of everything there is to hear of."""
        wanted: dict[str, object] = {
            f"{kind}ListChanged": True
            for kind in ("tools", "prompts", "resources")
            if kind in self._capabilities
        }
        if self.uris:
            wanted["resourceSubscriptions"] = self.uris
        if self._tasks:
            wanted["taskIds"] = sorted(self._tasks)
        params = frames.encode({"notifications": wanted})
        return self._request(
            f"{self._listens}{next(self._numbers)}", "subscriptions/listen", params
        )

    def learned(self, lists: RawLists) -> RawLists:
        """Take note of the tools, whose arguments may have to be in headers."""
        self._capabilities = frames.decode_object(lists.capabilities) or {}
        if self._mirror is not None:
            self._mirror.learn(lists.tools)
        return msgspec.structs.replace(lists, protocol=MODERN_PROTOCOL)

    def _request(self, tag: str, method: str, params: bytes) -> Spoken:
        params = self.enveloped(params)
        return Spoken(frames.request(tag, method, params), tag, self._headers(method, params))

    def _headers(self, method: str, params: bytes) -> Mapping[str, str]:
        return self._mirror.headers(method, params) if self._mirror else {}

    def _set_level(self, level: msgspec.Raw) -> None:
        self._envelope["io.modelcontextprotocol/logLevel"] = level

    def subscribe(self, method: str, params: bytes) -> None:
        """Want to hear of a resource, or no longer."""
        uri = frames.text_of((frames.decode_object(params) or {}).get("uri")) or ""
        self.uris = [one for one in self.uris if one != uri]
        if method == "resources/subscribe":
            self.uris.append(uri)

    def watch(self, tasks: frozenset[str]) -> bool:
        """Want to hear of exactly these tasks; returns whether that is new."""
        before, self._tasks = self._tasks, tasks
        return tasks != before

    def enveloped(self, params: bytes) -> bytes:
        """Return params with what they do not say of the client."""
        members = frames.decode_object(params) or {}
        meta = {**self._envelope, **(frames.decode_object(members.get("_meta")) or {})}
        return frames.encode({**members, "_meta": meta})


def _unstamped(envelope: Envelope) -> Envelope:
    raw = envelope.get("params")
    if raw is None or SUBSCRIPTION.encode() not in bytes(raw):
        return envelope
    params = frames.decode_object(raw) or {}
    meta = frames.decode_object(params.get("_meta")) or {}
    if meta.pop(SUBSCRIPTION, None) is None:
        return envelope
    if meta:
        params["_meta"] = msgspec.Raw(frames.encode(meta))
    else:
        del params["_meta"]
    return {**envelope, "params": msgspec.Raw(frames.encode(params))}


_EMPTY: Final = msgspec.Raw(b"{}")
