"""A driver with a client of the modern era, whose requests are parked while backends ask."""

import json
from typing import Any

from relay_supervisor.core.parking import GATHER_SECONDS
from relay_supervisor.wire import v1
from tests.unit.relay_supervisor.core.custody_driver import CustodyDriver
from tests.unit.relay_supervisor.core.driver import MODERN_META, modern

CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
ALL: dict[str, Any] = {"elicitation": {}, "sampling": {}, "roots": {}}
ACCEPTED = {"action": "accept", "content": {"ok": True}}
QUESTION = {"message": "sure?", "requestedSchema": {"type": "object", "properties": {}}}


class ParkingDriver(CustodyDriver):
    """Everybody can be asked everything, where a test does not say otherwise."""

    capabilities: dict[str, Any] = ALL
    _at = 0

    def greet(self, protocol: str = "", **capabilities: Any) -> Any:
        """Let the client introduce itself by a first request."""
        self.capabilities = capabilities or self.capabilities
        result = self.ask(self.modern("first", "tools/list"))["result"]
        self.wanted.clear()
        return result

    def modern(self, key: object, method: str, **params: Any) -> dict[str, Any]:
        """A request that declares what this client can."""
        meta = {**MODERN_META, CAPABILITIES: self.capabilities, **params.pop("_meta", {})}
        return modern(key, method, **params, _meta=meta)

    def begin(self, key: object, name: str = "files__read", **params: Any) -> int:
        """The client calls a tool; returns the call's number."""
        self.line(self.modern(key, "tools/call", name=name, **params))
        return self.one(v1.Call).call

    def question(
        self,
        backend_id: bytes = b'"q"',
        method: str = "elicitation/create",
        *,
        params: object = QUESTION,
        backend: str = "files",
        generation: int = 1,
        call: int = 0,
        at: int = 0,
    ) -> None:
        """A backend asks; each time it is something new."""
        self._at = at or self._at + 1
        message = v1.BackendRequest(
            backend, backend_id, self.pid_of[backend], method, self._at, call
        )
        payload = b"" if params is None else json.dumps(params).encode()
        self.frame(message, payload, generation)

    def parked(self, key: object) -> Any:
        """The client is told what is asked in this request, at once or in a moment; returns the
        result.
        """
        lines = self.client()
        if not lines:
            self.wait(GATHER_SECONDS)
            lines = self.client()
        (answer,) = lines
        assert answer["id"] == key and answer["result"]["resultType"] == "input_required", answer
        return answer["result"]

    def park(self, key: object) -> tuple[int, Any]:
        """The client calls a tool that asks at once; returns the call's number and the result."""
        number = self.begin(key)
        self.question()
        return number, self.parked(key)

    def retry(
        self, key: object, asked: Any, responses: object = None, name: str = "files__read", **p: Any
    ) -> None:
        """The client comes back, with the same answer to all where no other is given."""
        if responses is None:
            responses = dict.fromkeys(asked["inputRequests"], ACCEPTED)
        state = p.pop("state", asked["requestState"])
        more = {"requestState": state, "inputResponses": responses}
        self.line(self.modern(key, p.pop("method", "tools/call"), name=name, **more, **p))

    def answered(self) -> list[tuple[int, bytes, Any]]:
        """What backends were answered: by generation, with the question's id."""
        found = self.frames(v1.ClientAnswer)
        return [(gen, m.id, json.loads(b"{" + payload)) for gen, m, payload in found]

    def refused(self) -> str:
        """Why the client's last request was refused."""
        (answer,) = self.client()
        assert answer["error"]["code"] == -32602, answer
        return str(answer["error"]["message"])

    def at_rest(self) -> bool:
        """Nothing is left of any request."""
        timers = [name for name in self.relay.shared.timers.at if name.startswith("parked")]
        parked = self.relay.shared.memory.parking.open
        left = (self.state.requests, self.state.calls, self.state.asks, parked, timers)
        return not any(left) and self.state.retained_bytes == 0
