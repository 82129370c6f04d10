"""The other side of a session, for its tests: a backend that says what it is told to say."""

import json
from typing import Any

from relay_supervisor.wire import v1
from relay_worker.backends.client import client_of
from relay_worker.backends.effects import Effect, Send
from relay_worker.backends.frames import decode_object
from relay_worker.backends.session import Phase, Session

ALL = {"tools": {}, "prompts": {}, "resources": {"subscribe": True}, "logging": {}}


class Backend:
    """The other side of a session: keeps what it was asked, answers by method."""

    def __init__(self, era: int = v1.LEGACY, **capabilities: Any) -> None:
        params = {"protocolVersion": "2025-11-25", "capabilities": capabilities}
        client = client_of(v1.Session(era, "2025-11-25", ""), json.dumps(params).encode())
        self.session = Session("fix", client, 3, pages_max=5)
        self.asked: list[dict[str, Any]] = []
        self.effects: list[Effect] = []

    def take(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self.asked.append(json.loads(effect.frame))
            else:
                self.effects.append(effect)

    def say(self, **message: Any) -> None:
        envelope = decode_object(json.dumps({"jsonrpc": "2.0", **message}).encode())
        assert envelope is not None
        self.take(self.session.receive(envelope))

    def answer(self, method: str, **members: Any) -> None:
        """Answer the oldest request for *method*."""
        request = next(one for one in self.asked if one.get("method") == method)
        self.asked.remove(request)
        self.say(id=request["id"], **members)

    def connect(self, capabilities: dict[str, Any] = ALL) -> None:
        self.take(self.session.start())
        result = {"protocolVersion": "2025-06-18", "capabilities": capabilities, "serverInfo": {}}
        self.answer("initialize", result=result)

    def answer_lists(self, **items: list[Any]) -> None:
        for method, member in (
            ("tools/list", "tools"),
            ("prompts/list", "prompts"),
            ("resources/list", "resources"),
            ("resources/templates/list", "resourceTemplates"),
        ):
            if any(one.get("method") == method for one in self.asked):
                self.answer(method, result={member: items.get(member, [])})

    def ready(self, capabilities: dict[str, Any] = ALL) -> None:
        self.connect(capabilities)
        self.answer_lists()
        assert self.session.phase is Phase.READY
        self.asked.clear()
        self.effects.clear()

    def methods(self) -> list[str]:
        return [one.get("method", "") for one in self.asked]
