"""The client of the sessions, in either era: holds one after another, and keeps what it is told."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from tests.differential.lossless import Tree, dumps, member, members
from tests.differential.player import LISTS, META, VERSIONS
from tests.differential.script import (
    ID,
    LEGACY,
    MODERN,
    QUESTION,
    SCRIPT,
    Follow,
    House,
    Level,
    Question,
    Request,
    Say,
    Session,
    Together,
)
from tests.harness import RawClient

LISTEN_URIS = "resourceSubscriptions"


@dataclass
class Open:
    """A request that waits for its answer, and how many times it was asked again."""

    request: Request
    retries: int = 0


class Talk:
    """A client of a server, or of the relay, that keeps to one era."""

    def __init__(self, client: RawClient, era: str, house: House) -> None:
        self._client = client
        self._era = era
        self._house = house
        self._seen = 0
        self._listen = ""

    # ---- a session --------------------------------------------------------------------------

    def greet(self) -> None:
        """What comes before the first request: a handshake, where the era has one."""
        if self._era == MODERN:
            return
        self._send(
            f'"id":"hello","method":"initialize","params":{{"protocolVersion":"{VERSIONS[LEGACY]}",'
            f'"capabilities":{self._house.client_capabilities},'
            f'"clientInfo":{self._house.client_info}{self._house.client_more}}}'
        )
        self._next()
        self._send('"method":"notifications/initialized"')

    def list_all(self) -> dict[str, list[Tree]]:
        """All lists, as trees."""
        found: dict[str, list[Tree]] = {}
        for method, name in LISTS.items():
            found[name] = []
            cursor: Tree | None = None
            while not found[name] or cursor is not None:
                extra = "" if cursor is None else f',"cursor":{dumps(cursor)}'
                raw_id = f'"{name} {len(found[name])}"'
                self._send(f'"id":{raw_id},"method":"{method}","params":{self._params(extra, "")}')
                result = member(self._next(), "result")
                items = member(result, name)
                assert isinstance(items, list), (method, result)
                found[name] += items
                cursor = member(result, "nextCursor")
                if not items:
                    break
        return found

    def capabilities(self) -> dict[str, Tree]:
        """What the server can do; a legacy client has been told in the handshake, and only then."""
        assert self._era == MODERN
        self._send(f'"id":"who","method":"server/discover","params":{self._params("", "")}')
        found = member(self._next(), "result", "capabilities")
        assert isinstance(found, dict)
        return found

    def hold(self, session: Session) -> list[str]:
        """Hold a session; return every message of the server's in it."""
        begin = self._seen
        for step in session.steps:
            match step:
                case Together():
                    self._together(step.requests)
                case Say():
                    self._send(f'"method":"{step.method}","params":{step.params}')
                case Level():
                    self._plain(step.id, "logging/setLevel", f',"level":"{step.level}"')
                case Follow():
                    self._follow(step)
        return [frame.raw.decode() for frame in self._client.frames[begin : self._seen]]

    def _together(self, requests: tuple[Request, ...]) -> None:
        waiting = {request.id: Open(request) for request in requests}
        for request in requests:
            self._ask(request, request.id, "")
        while waiting:
            message = self._next()
            raw_id, method = message.get("id"), message.get("method")
            if isinstance(method, str):
                self._told(waiting, raw_id, method, message.get("params"))
            elif isinstance(raw_id, str) and raw_id in waiting:
                self._answered(waiting, raw_id, message.get("result"))

    def _told(
        self, waiting: dict[str, Open], raw_id: Tree | None, method: str, params: Tree | None
    ) -> None:
        if isinstance(raw_id, str):
            question = _question(waiting, params)
            token = member(params, "_meta", "progressToken")
            for report in question.reports:
                shown = f'{{"progressToken":{dumps(token or "null")}{report}}}'
                self._send(f'"method":"notifications/progress","params":{shown}')
            if question.answer:
                self._send(f'"id":{raw_id},{question.answer}')
        elif method == '"notifications/progress"':
            token = member(params, "progressToken")
            for key, one in list(waiting.items()):
                if one.request.cancel is not None and one.request.token == token:
                    del waiting[key]
                    shown = f'{{"requestId":{key}{one.request.cancel}}}'
                    self._send(f'"method":"notifications/cancelled","params":{shown}')

    def _answered(self, waiting: dict[str, Open], raw_id: str, result: Tree | None) -> None:
        one = waiting.pop(raw_id)
        if member(result, "resultType") != '"input_required"':
            return
        wanted = member(result, "inputRequests")
        more = ""
        if isinstance(wanted, dict):
            answers = (
                f"{json.dumps(key)}:{_question({raw_id: one}, member(ask, 'params')).result}"
                for key, ask in wanted.items()
            )
            more += f',"inputResponses":{{{",".join(answers)}}}'
        if (state := member(result, "requestState")) is not None:
            more += f',"requestState":{dumps(state)}'
        key = f'"again {one.retries} {json.loads(one.request.id)}"'
        waiting[key] = Open(one.request, one.retries + 1)
        self._ask(one.request, key, more)

    def _follow(self, step: Follow) -> None:
        if self._era == LEGACY:
            return self._plain(step.id, step.method, f',"uri":{step.changed}')
        before, self._listen = self._listen, ""
        if step.uris:
            self._listen = step.id
            uris = ",".join(step.uris)
            wanted = f',"notifications":{{"{LISTEN_URIS}":[{uris}]}}'
            params = self._params(wanted, "")
            self._send(f'"id":{step.id},"method":"subscriptions/listen","params":{params}')
            while self._next().get("method") != '"notifications/subscriptions/acknowledged"':
                pass
        if before:
            self._send(f'"method":"notifications/cancelled","params":{{"requestId":{before}}}')
        return None

    # ---- messages ---------------------------------------------------------------------------

    def _ask(self, request: Request, raw_id: str, more: str) -> None:
        meta = f',"{SCRIPT}":{request.script_text},"{ID}":{request.id}{request.meta}'
        if request.token is not None:
            meta += f',"progressToken":{request.token}'
        if request.logs and self._era == MODERN:
            meta += f',"{META}logLevel":"debug"'
        params = self._params(request.members, meta, request.client_info)
        params = f"{params[:-1]}{more}}}"
        self._send(f'"id":{raw_id},"method":"{request.method}","params":{params}')

    def _plain(self, raw_id: str, method: str, more: str) -> None:
        self._send(f'"id":{raw_id},"method":"{method}","params":{self._params(more, "")}')
        while self._next().get("id") != raw_id:
            pass

    def _params(self, more: str, meta: str, client_info: str = "") -> str:
        if self._era == MODERN:
            meta = (
                f',"{META}protocolVersion":"{VERSIONS[MODERN]}"'
                f',"{META}clientCapabilities":{self._house.client_capabilities}'
                f',"{META}clientInfo":{client_info or self._house.client_info}{meta}'
            )
        shown = f',"_meta":{{{meta[1:]}}}' if meta else ""
        return f"{{{(more + shown)[1:]}}}"

    def _send(self, rest: str) -> None:
        self._client.send_exactly(f'{{"jsonrpc":"2.0",{rest}}}'.encode())

    def _next(self) -> dict[str, Tree]:
        frame = self._client.frame(self._seen)
        self._seen += 1
        return members(frame.raw.decode())


def _question(waiting: dict[str, Open], params: Tree | None) -> Question:
    """The question that is asked with these params."""
    key = json.loads(dumps(member(params, QUESTION) or "null"))
    for question in _questions(waiting):
        if question.key == key:
            return question
    raise AssertionError(f"nobody asks {params!r}")


def _questions(waiting: dict[str, Open]) -> Iterator[Question]:
    for one in waiting.values():
        yield from one.request.questions
