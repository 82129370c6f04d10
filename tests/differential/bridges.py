"""What may differ between a direct connection and the relay, and why: this and nothing else.

A transcript is read, each rule of its side is applied to each message, and it is written again. The
rules are applied to both transcripts alike.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from tests.differential.features import EVERYWHERE, LL, LM, ML, MM, By, Pair
from tests.differential.lossless import Tree, dumps, member, members
from tests.differential.player import LISTS, META
from tests.differential.script import ID, MODERN, QUESTION

TASKS_EXTENSION = META + "tasks"

RELAYS_OWN = {
    "initialize",
    "notifications/initialized",
    "ping",
    "server/discover",
    "logging/setLevel",
    "subscriptions/listen",
    *LISTS,
}
"""What the relay answers itself, from what it was told when it was alone with the server."""

ENVELOPE = {
    f"{META}{key}" for key in ("protocolVersion", "clientCapabilities", "clientInfo", "logLevel")
}


UNKNOWN = '"not of a script"'
"""The name of a request that is no part of a session, as those by which a server is heard."""


@dataclass
class Names:
    """The names of the ids in one transcript, which is what is compared of them."""

    known: dict[str, dict[str, str]] = field(default_factory=dict)

    def of(self, kind: str, raw: Tree | None) -> str:
        """The name of an id, or of a token."""
        names = self.known.setdefault(kind, {})
        return names.get(dumps(raw or "null"), UNKNOWN)

    def give(self, kind: str, raw: Tree, name: Tree | None) -> str:
        """Name an id after what both sides know its message by."""
        shown = json.dumps(f"{kind} {dumps(name or 'null')}")
        self.known.setdefault(kind, {})[dumps(raw)] = shown
        return shown


Message = dict[str, Tree]
Rule = Callable[[Message, Names], None]


# ---- what the client was told ----------------------------------------------------------------


def answers_of_known_members(message: Message, names: Names) -> None:
    """The official TypeScript client refuses an answer that has more members than JSON-RPC knows,
    so an answer loses them. What is inside of result and error is not touched.
    """
    if "method" not in message:
        for name in message.keys() - {"jsonrpc", "id", "result", "error"}:
            del message[name]


def questions_renamed(message: Message, names: Names) -> None:
    """Several servers' questions meet in one client: each gets an id of the relay's."""
    params = message.get("params")
    if "method" in message and "id" in message:
        message["id"] = names.give("question", message["id"], member(params, QUESTION))
    elif message.get("method") == '"notifications/cancelled"' and isinstance(params, dict):
        params["requestId"] = names.of("question", params.get("requestId"))


def question_tokens_renamed(message: Message, names: Names) -> None:
    """And each a progress token that says whose it is."""
    meta = member(message, "params", "_meta")
    if "id" in message and isinstance(meta, dict) and "progressToken" in meta:
        meta["progressToken"] = '"token"'


def token_first(message: Message, names: Names) -> None:
    """The client's own token is put in front of the other members of a progress notification."""
    params = message.get("params")
    if message.get("method") == '"notifications/progress"' and isinstance(params, dict):
        message["params"] = {"progressToken": params.pop("progressToken", "null"), **params}


def state_renamed(message: Message, names: Names) -> None:
    """A legacy server has no requestState, so it is the relay's, and so are the questions' keys."""
    result = message.get("result")
    if isinstance(result, dict) and result.get("resultType") == '"input_required"':
        if "requestState" in result:
            result["requestState"] = '"state"'
        if isinstance(wanted := result.get("inputRequests"), dict):
            result["inputRequests"] = list(wanted.values())


def acknowledged_by_the_relay(message: Message, names: Names) -> None:
    """The relay acknowledges a subscription itself: the same URIs, in a spelling of its own."""
    wanted = member(message, "params", "notifications")
    uris = member(wanted, "resourceSubscriptions")
    if isinstance(wanted, dict) and isinstance(uris, list):
        wanted["resourceSubscriptions"] = [json.dumps(json.loads(dumps(uri))) for uri in uris]


def missing_in_either_era(message: Message, names: Names) -> None:
    """A modern server says of a missing resource that the params are invalid; that this is what it
    means by it nobody can tell, and a legacy client has to know both codes.
    """
    error = message.get("error")
    if isinstance(error, dict) and error.get("code") == "-32002":
        error["code"] = "-32602"


# ---- what the server was told ----------------------------------------------------------------


def calls_renamed(message: Message, names: Names) -> None:
    """Requests have the number of the call for their id and for their progress token."""
    params = message.get("params")
    meta = member(params, "_meta")
    if "method" in message and "id" in message:
        message["id"] = names.give("call", message["id"], member(meta, ID))
        if isinstance(meta, dict) and "progressToken" in meta:
            meta["progressToken"] = '"token"'
    elif message.get("method") == '"notifications/cancelled"' and isinstance(params, dict):
        params["requestId"] = names.of("call", params.get("requestId"))


def envelope_of_one_era(message: Message, names: Names) -> None:
    """The envelope is for modern servers only, and a legacy client has none."""
    params = message.get("params")
    meta = member(params, "_meta")
    if isinstance(params, dict) and isinstance(meta, dict):
        params["_meta"] = {key: value for key, value in meta.items() if key not in ENVELOPE}


CROSSING = frozenset({LM, ML})

TO_CLIENT: tuple[tuple[frozenset[Pair], Rule], ...] = (
    (EVERYWHERE, answers_of_known_members),
    (frozenset({LL, LM}), questions_renamed),
    (frozenset({LL, LM}), question_tokens_renamed),
    (EVERYWHERE, token_first),
    (frozenset({ML}), state_renamed),
    (frozenset({ML, MM}), acknowledged_by_the_relay),
    (frozenset({LM}), missing_in_either_era),
)
TO_SERVER: tuple[tuple[frozenset[Pair], Rule], ...] = (
    (EVERYWHERE, calls_renamed),
    (CROSSING, envelope_of_one_era),
)

_LONE_SURROGATE = re.compile(
    r"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


def mended(line: str) -> str:
    """Half a surrogate pair is no character, and ends Python's clients and servers: it arrives as
    U+FFFD.
    """
    return _LONE_SURROGATE.sub(lambda found: found[1] or "\\ufffd", line)


def to_client(lines: Iterable[str], by: By) -> list[str]:
    """What a client was told, ready to be compared."""
    found = _apply(lines, [rule for pairs, rule in TO_CLIENT if by.pair in pairs])
    return found if by.ordered else sorted(found)


def to_server(lines: Iterable[str], by: By) -> list[str]:
    """What a server was told, without what the relay does on its own account."""
    rules = [rule for pairs, rule in TO_SERVER if by.pair in pairs]
    found = _apply([line for line in lines if not _own(line, by)], rules)
    found = [line for line in found if UNKNOWN not in line]
    return found if by.ordered else sorted(found)


def listed(lists: Mapping[str, list[Tree]], by: By) -> list[str]:
    """All items of all lists, ready to be compared: several servers' lists become one, in an order
    that does not depend on them. Tasks of the other era are not declared, as nobody bridges them.
    """
    if by.pair in CROSSING:
        for one in lists.get("capabilities", []):
            if isinstance(extensions := member(one, "extensions"), dict):
                extensions.pop(TASKS_EXTENSION, None)
    return sorted(f"{name}: {mended(dumps(item))}" for name in lists for item in lists[name])


def greeting(lines: Iterable[str]) -> list[str]:
    """What a server was told of the client by a handshake."""
    greetings = [members(mended(line)) for line in lines]
    return [
        dumps(found.get("params", "null"))
        for found in greetings
        if found.get("method") == '"initialize"'
    ]


def _own(line: str, by: By) -> bool:
    method = members(line).get("method")
    name = json.loads(method) if isinstance(method, str) else ""
    if by.web and by.pair[1] == MODERN and name == "notifications/cancelled":
        return True  # there a connection is closed instead
    # Subscriptions of a client of the other era are the relay's own requests.
    return name in RELAYS_OWN or (by.pair in CROSSING and name.endswith("subscribe"))


def _apply(lines: Iterable[str], rules: Iterable[Rule]) -> list[str]:
    names = Names()
    found = []
    for line in lines:
        message = members(mended(line))
        for rule in rules:
            rule(message, names)
        found.append(dumps(message))
    return found
