"""What hypothesis makes up: JSON, things like JSON-RPC, msgpack, and all of it damaged."""

import json
from typing import Any

import msgspec
from hypothesis import strategies as st

from relay_supervisor.core import mcp
from relay_supervisor.wire import v1

METHODS = (
    "initialize",
    "server/discover",
    "ping",
    "logging/setLevel",
    "subscriptions/listen",
    *mcp.LISTS,
    *mcp.ROUTED_BY,
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
    "no/such",
)
META = "io.modelcontextprotocol/"
WORDS = st.sampled_from(
    (
        "name",
        "uri",
        "_meta",
        "cursor",
        "level",
        "notifications",
        "requestId",
        "reason",
        "protocolVersion",
        "capabilities",
        "clientInfo",
        "progressToken",
        "toolsListChanged",
        "resourceSubscriptions",
        META + "protocolVersion",
        META + "clientCapabilities",
        META + "clientInfo",
    )
)
VALUES = st.sampled_from(
    (
        "2025-03-26",
        "2025-11-25",
        "2026-07-28",
        "info",
        "files__read",
        "slow__think",
        "file:///a",
        1,
        "1",
        0,
    )
)
SCALARS: st.SearchStrategy[Any] = st.one_of(
    VALUES,
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(10**40), max_value=10**40),
    st.floats(),
    st.text(max_size=8),
)
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(WORDS, st.text(max_size=4)), inner, max_size=4),
    ),
    max_leaves=12,
)
PARAMS = st.dictionaries(WORDS, JSON, max_size=5)
ENVELOPE = st.fixed_dictionaries(
    {META + "protocolVersion": st.just("2026-07-28"), META + "clientCapabilities": PARAMS}
)
KEYS = st.one_of(st.integers(0, 3), st.sampled_from(("0", "1", "2")))


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """Something like a JSON-RPC message: right, or with a member wrong or missing."""
    params = draw(PARAMS)
    if draw(st.booleans()):
        params["_meta"] = draw(st.one_of(ENVELOPE, JSON))
    message: dict[str, Any] = {
        "jsonrpc": "2.0",
        "id": draw(st.one_of(KEYS, KEYS, JSON)),
        "method": draw(st.sampled_from(METHODS)),
        "params": draw(st.sampled_from((params, params, None))) or draw(JSON),
    }
    if draw(st.integers(0, 5)) == 0:
        message[draw(st.sampled_from(("result", "error", "extra")))] = draw(JSON)
    for member in draw(st.lists(st.sampled_from((*message, "none")), max_size=2)):
        message.pop(member, None)
    return message


def _damage(line: bytes, edits: list[tuple[int, bytes, int]]) -> bytes:
    """Replace pieces of a line."""
    for at, piece, length in edits:
        start = at % (len(line) + 1)
        line = line[:start] + piece + line[start + length :]
    return line


EDITS = st.lists(
    st.tuples(st.integers(0, 400), st.binary(max_size=3), st.integers(0, 3)), max_size=3
)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """A line of the client's: a message, a batch of them, arbitrary bytes, or a damaged one."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=60)).replace(b"\n", b"")
    many = draw(st.integers(0, 5)) == 0
    value = draw(st.lists(messages(), max_size=4)) if many else draw(messages())
    text = json.dumps(value, ensure_ascii=draw(st.booleans()))
    line = text.encode(errors="surrogatepass")
    if draw(st.integers(0, 3)) == 0:
        line = _damage(line, draw(EDITS))
    return line.replace(b"\n", b" ")


# ---- the worker's pipe


MSGPACK: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.integers(0, 5),
        st.floats(),
        st.text(max_size=6),
        st.binary(max_size=6),
        st.sampled_from(("files", "notifications/resources/updated", "roots/list", b"1")),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
PAYLOADS = st.one_of(
    st.just(b""),
    st.binary(max_size=30),
    JSON.map(lambda value: json.dumps(value).encode()),
    PARAMS.map(lambda value: json.dumps(value).encode()),
    st.sampled_from((b'{"uri":"\xff"}', b'{"\xff":1}', b'{"uri":"\\ud83d"}', b"[" * 2000)),
)
GOOD: tuple[v1.Message, ...] = (
    v1.Configured([v1.BackendInfo("files", "stdio", 5.0)], v1.Limits(), ["a problem"]),
    v1.Catalogue("d2", settled=True),
    v1.LearnedLists("files", "h"),
    v1.Reply(1, 0),
    v1.Progress(1),
    v1.Notification("files", "notifications/resources/updated"),
    v1.Notification("files", "notifications/message"),
    v1.BackendRequest("files", b"1", 61, "roots/list"),
    v1.BackendCancel("files", b"1", 61),
    v1.Spawn(1, "files", ["server"], {"A": "b"}, "/"),
    v1.StopBackend("files", 61),
    v1.BackendState("files", "ready", 61),
    v1.StatusRequest(1),
    v1.Ready(1, "nonce"),
    v1.Pong(1),
)


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    """A frame's header: a message, one with a field of another type, or damaged bytes."""
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return draw(st.binary(max_size=20))
    header = v1.encode(draw(st.sampled_from(GOOD)))
    if kind == 1:
        fields = msgspec.msgpack.decode(header)
        fields[draw(st.integers(0, len(fields) - 1))] = draw(MSGPACK)
        return msgspec.msgpack.encode(fields)
    if kind == 2:
        tag = draw(st.integers(0, 300))
        return msgspec.msgpack.encode([tag, *draw(st.lists(MSGPACK, max_size=4))])
    if kind == 3:
        return _damage(header, draw(EDITS))
    return header
