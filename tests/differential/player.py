"""The server of the sessions, of either era: does what the scripts say, and nothing by itself.

It has no I/O. What it is told is read without losing anything, so that ids and tokens are given
back as they were spelled.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.differential.lossless import Tree, dumps, member, members
from tests.differential.script import LEGACY, MODERN, SCRIPT

META = "io.modelcontextprotocol/"
VERSIONS = {LEGACY: "2025-11-25", MODERN: "2026-07-28"}
MISSING = {LEGACY: "-32002", MODERN: "-32602"}
"""How each era says that there is no such resource."""
LISTS = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}
CACHING = '"ttlMs":0,"cacheScope":"private"'
CACHED = {*LISTS, "resources/read"}
CAPABILITIES = (
    '{"tools":{"listChanged":true},"prompts":{"listChanged":true},'
    '"resources":{"subscribe":true,"listChanged":true},"completions":{},"logging":{}'
)


@dataclass
class Run:
    """A request that is being carried out: its script, and how far it has come."""

    id: str
    method: str
    meta: Mapping[str, Tree]
    script: list[list[str]]
    at: int = 0
    unanswered: set[str] = field(default_factory=set)


class Player:
    """A server that speaks one era; *say* gets the id of the request that a message
    belongs to, and the message."""

    def __init__(self, era: str, house: Mapping[str, Any], say: Callable[[str, str], None]) -> None:
        self._era = era
        self._house = house
        self._say = say
        self._capabilities = f"{CAPABILITIES}{house['server_capabilities'][era]}}}"
        self._tokens: dict[str, Tree] = {}
        self._runs: dict[str, Run] = {}
        self._held: dict[str, Run] = {}
        self._released: set[str] = set()
        self._listens: dict[str, set[str]] = {}
        self._followed: set[str] = set()

    def hear(self, line: str) -> None:
        """Take in a message of the client's."""
        message = members(line)
        raw_id, method = message.get("id"), message.get("method")
        if not isinstance(method, str):
            return self._answered(str(raw_id))
        name = json.loads(method)
        if not isinstance(raw_id, str):
            return self._told(name, message.get("params", {}))
        return self._asked(raw_id, name, message.get("params", {}))

    # ---- requests ---------------------------------------------------------------------------

    def _asked(self, raw_id: str, method: str, params: Tree) -> None:
        script = member(params, "_meta", SCRIPT)
        if isinstance(script, list):
            return self._begin(raw_id, method, params, script)
        if method in LISTS:
            return self._respond(raw_id, method, self._page(LISTS[method], params))
        if method == "subscriptions/listen" and self._era == MODERN:
            return self._listen(raw_id, params)
        if method == "server/discover" and self._era == MODERN:
            return self._respond(raw_id, method, self._discovered())
        if method == "initialize" and self._era == LEGACY:
            return self._respond(raw_id, method, self._initialized())
        if method in {"ping", "logging/setLevel"} and self._era == LEGACY:
            return self._respond(raw_id, method, "{}")
        if method in {"resources/subscribe", "resources/unsubscribe"} and self._era == LEGACY:
            uri = json.loads(dumps(member(params, "uri") or "null"))
            (self._followed.add if method == "resources/subscribe" else self._followed.discard)(uri)
            return self._respond(raw_id, method, "{}")
        error = f'{{"code":-32601,"message":"Method not found: {method}"}}'
        return self._out(raw_id, f'"id":{raw_id},"error":{error}')

    def _begin(self, raw_id: str, method: str, params: Tree, script: list[Tree]) -> None:
        meta = member(params, "_meta")
        assert isinstance(meta, dict)
        ops = [[json.loads(text) for text in op if isinstance(text, str)] for op in script]
        run = self._runs[raw_id] = Run(raw_id, method, meta, ops)
        if (state := member(params, "requestState")) is not None:
            run.at = int(json.loads(dumps(state)).split()[-1])
        self._go_on(run)

    def _page(self, member_name: str, params: Tree) -> str:
        items: list[str] = self._house["lists"][member_name]
        size: int = self._house["page_items_max"]
        cursor = member(params, "cursor")
        start = int(json.loads(dumps(cursor))) if cursor is not None else 0
        more = f',"nextCursor":"{start + size}"' if start + size < len(items) else ""
        return f'{{"{member_name}":[{",".join(items[start : start + size])}]{more}}}'

    def _initialized(self) -> str:
        return (
            f'{{"protocolVersion":"{VERSIONS[LEGACY]}","capabilities":{self._capabilities},'
            f'"serverInfo":{self._house["server_info"]}}}'
        )

    def _discovered(self) -> str:
        return (
            f'{{"supportedVersions":["{VERSIONS[MODERN]}"],"capabilities":{self._capabilities},'
            f'"_meta":{{"{META}serverInfo":{self._house["server_info"]}}},{CACHING}}}'
        )

    def _listen(self, raw_id: str, params: Tree) -> None:
        wanted = member(params, "notifications")
        uris = member(wanted, "resourceSubscriptions")
        known = {json.loads(dumps(uri)) for uri in uris} if isinstance(uris, list) else set()
        self._listens[raw_id] = known
        stamp = f'"_meta":{{"{META}subscriptionId":{raw_id}}}'
        filters = f'"notifications":{dumps(wanted or {})}'
        self._notify(raw_id, "notifications/subscriptions/acknowledged", f"{{{stamp},{filters}}}")

    # ---- the rest of what a client says ------------------------------------------------------

    def _told(self, method: str, params: Tree) -> None:
        if method == "notifications/cancelled":
            target = dumps(member(params, "requestId") or "null")
            self._runs.pop(target, None)
            self._listens.pop(target, None)

    def _answered(self, raw_id: str) -> None:
        for run in list(self._runs.values()):
            if raw_id in run.unanswered:
                run.unanswered.discard(raw_id)
                if not run.unanswered:
                    self._go_on(run)

    # ---- scripts ----------------------------------------------------------------------------

    def _go_on(self, run: Run) -> None:
        """Carry a script on until it waits, or has ended."""
        while run.at < len(run.script) and run.id in self._runs:
            name, *texts = run.script[run.at]
            run.at += 1
            if _OPS[name](self, run, *texts):
                return

    def _progress(self, run: Run, more: str) -> None:
        if (token := run.meta.get("progressToken")) is not None:
            self._notify(
                run.id, "notifications/progress", f'{{"progressToken":{dumps(token)}{more}}}'
            )

    def _log(self, run: Run, params: str) -> None:
        if self._era == LEGACY or META + "logLevel" in run.meta:
            self._notify(run.id, "notifications/message", params)

    def _updated(self, run: Run, uri: str, more: str) -> None:
        method = "notifications/resources/updated"
        if json.loads(uri) in self._followed:
            self._notify(run.id, method, f'{{"uri":{uri}{more}}}')
        for raw_id, uris in self._listens.items():
            if json.loads(uri) in uris:
                stamp = f'"_meta":{{"{META}subscriptionId":{raw_id}}}'
                self._notify(raw_id, method, f'{{{stamp},"uri":{uri}{more}}}')

    def _other(self, run: Run, method: str, params: str) -> None:
        self._notify(run.id, method, params)

    def _ask(self, run: Run, *texts: str) -> bool:
        questions = [texts[at : at + 4] for at in range(0, len(texts), 4)]
        if self._era == LEGACY and not questions:
            return False
        if self._era == LEGACY:
            run.unanswered = {raw_id for raw_id, *_ in questions}
            for raw_id, _, method, params in questions:
                self._out(run.id, f'"id":{raw_id},"method":"{method}","params":{params}')
            return True
        wanted = ",".join(
            f'"{key}":{{"method":"{method}","params":{params}}}'
            for _, key, method, params in questions
        )
        requests = f'"inputRequests":{{{wanted}}},' if questions else ""
        state = f'"requestState":"\\u0061t é\u2028 {run.at}"'
        del self._runs[run.id]
        self._out(
            run.id, f'"id":{run.id},"result":{{"resultType":"input_required",{requests}{state}}}'
        )
        return True

    def _withdrawn(self, run: Run, raw_id: str, _key: str, method: str, params: str) -> None:
        self._out(run.id, f'"id":{raw_id},"method":"{method}","params":{params}')
        self._notify(
            run.id, "notifications/cancelled", f'{{"requestId":{raw_id},"reason":"\\u00e9"}}'
        )

    def _hold(self, run: Run, key: str) -> bool:
        if key in self._released:
            return False
        self._held[key] = run
        return True

    def _release(self, run: Run, key: str) -> None:
        self._released.add(key)
        if (held := self._held.pop(key, None)) is not None:
            self._go_on(held)

    def _hang(self, run: Run) -> bool:
        return True

    def _result(self, run: Run, text: str, more: str = "") -> bool:
        del self._runs[run.id]
        self._respond(run.id, run.method, text, more)
        return True

    def _error(self, run: Run, text: str, more: str = "") -> bool:
        del self._runs[run.id]
        self._out(run.id, f'"id":{run.id},"error":{text}{more}')
        return True

    def _made(self, run: Run, task: str, text: str) -> bool:
        """Answer with a task; its progress is reported under the token of the call."""
        if (token := run.meta.get("progressToken")) is not None:
            self._tokens[task] = token
        if self._era == LEGACY:
            return self._result(run, f'{{"task":{text}}}')
        del self._runs[run.id]
        self._out(run.id, f'"id":{run.id},"result":{{"resultType":"task",{text[1:]}')
        return True

    def _late(self, run: Run, task: str, more: str) -> None:
        if (token := self._tokens.get(task)) is not None:
            shown = f'{{"progressToken":{dumps(token)}{more}}}'
            self._notify(run.id, "notifications/progress", shown)

    def _missing(self, run: Run, more: str) -> bool:
        return self._error(run, f'{{"code":{MISSING[self._era]}{more}}}')

    # ---- writing ----------------------------------------------------------------------------

    def _respond(self, raw_id: str, method: str, result: str, more: str = "") -> None:
        """Send a result, with what the era wants in each."""
        if self._era == MODERN:
            added = ['"resultType":"complete"', *([CACHING] if method in CACHED else [])]
            if result.strip() != "{}":
                added.append(result.strip()[1:-1])
            result = "{" + ",".join(added) + "}"
        self._out(raw_id, f'"id":{raw_id},"result":{result}{more}')

    def _notify(self, about: str, method: str, params: str) -> None:
        self._out(about, f'"method":"{method}","params":{params}')

    def _out(self, about: str, rest: str) -> None:
        self._say(about, f'{{"jsonrpc":"2.0",{rest}}}')


_OPS: Mapping[str, Callable[..., bool | None]] = {
    "progress": Player._progress,
    "log": Player._log,
    "updated": Player._updated,
    "other": Player._other,
    "ask": Player._ask,
    "withdrawn": Player._withdrawn,
    "hold": Player._hold,
    "release": Player._release,
    "hang": Player._hang,
    "result": Player._result,
    "error": Player._error,
    "missing": Player._missing,
    "made": Player._made,
    "late": Player._late,
}
